# Every target first runs scripts/setup, which takes a moment when there is nothing to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PORT ?= 8000
BIN := .venv/bin
export PYTHON

.PHONY: help setup vllm demo test lint format run bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Build .venv from pinned versions; repairs an interrupted one (PYTHON=/path/to/python3.11)
	@scripts/setup

vllm: setup ## Install vLLM, the second engine: the CUDA build where there is an NVIDIA GPU, else the CPU build
	@scripts/setup-vllm

demo: setup ## Serve a site with evaluated entries, without any model hub, until Ctrl-C (PORT=8000)
	@$(BIN)/python manage.py demo --port $(PORT)

run: setup ## Serve the site and its workers with your own data (PORT=8000)
	@$(BIN)/python manage.py serve --port $(PORT)

test: vllm ## Run the tests (ARGS="tests/portal -k name")
	$(BIN)/pytest $(ARGS)

lint: setup ## Check style, types, import contracts and templates; changes nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet

format: setup ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## Run the benchmarks of tests/perf
	$(BIN)/python -m tests.perf

lock: setup ## Write constraints.txt from what is installed, after a changed pin
	$(BIN)/python scripts/lock.py

clean: ## Stop the services and remove .venv, caches and the tests' state; keeps your data in var/
	@if [[ -x $(BIN)/python ]]; then \
		for state in var/services var/test-services; do $(BIN)/python -m portal.machine.embedded stop --state $$state; done; \
	fi
	rm -rf .venv var/test-services .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
