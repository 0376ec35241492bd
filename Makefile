# Every target first runs scripts/setup, which takes a moment when there is nothing to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PORT ?= 8000
BIN := .venv/bin
# Without ARGS all cores are used; a chosen part is sooner done in one process (ARGS="tests/portal -n 2" says otherwise).
PYTEST = $(BIN)/pytest -n $(if $(ARGS),0,logical)
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
export PYTHON

# Podman's own format of images has no health checks.
ENGINE ?= $(notdir $(firstword $(shell command -v docker podman)))
IMAGES ?= web worker
images: export BUILDAH_FORMAT = docker

.PHONY: help setup dev vllm client images demo test test-long test-vllm readers test-readers coverage lint format run bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Build .venv from pinned versions; repairs an interrupted one (PYTHON=/path/to/python3.11)
	@scripts/setup

dev: ## Add the tools of tests and lint, as the targets that need them do
	@scripts/setup dev

vllm: setup ## Install vLLM, the second engine: the CUDA build where there is an NVIDIA GPU, else the CPU build
	@scripts/setup-vllm

client: setup ## Build the participants' command line into dist/, as the site serves it at /client/
	@$(BIN)/python -m scripts.client

images: ## Build the container images (ENGINE=podman IMAGES="web worker worker-cuda")
	@for image in $(IMAGES); do \
		$(ENGINE) build --file Containerfile --target $$image --tag flowertune-$$image --build-arg VERSION=$(VERSION) \
			--build-arg REVISION=$$(git rev-parse HEAD) $(BUILD_ARGS) . || exit; \
	done

demo: setup ## Serve a site with evaluated entries, without any model hub, until Ctrl-C (PORT=8000)
	@$(BIN)/python manage.py demo --port $(PORT)

run: setup ## Serve the site and its workers with your own data (PORT=8000)
	@$(BIN)/python manage.py serve --port $(PORT)

test: dev ## Run the tests, but for vLLM's (ARGS="tests/portal -k name")
	$(PYTEST) $(ARGS)

test-long: dev ## Run the tests with all examples of the property tests
	TEST_PROFILE=long $(PYTEST) $(ARGS)

test-vllm: dev vllm ## Run the tests of the vLLM engine on the real vLLM
	$(BIN)/pytest --vllm $(ARGS)

readers: setup ## Install the tools of other result formats into var/readers, an environment of their own
	@scripts/setup-readers

test-readers: dev readers ## Have exported results read back by those tools
	$(BIN)/pytest tests/leaderboard/test_interchange.py $(ARGS)

coverage: dev ## Run the tests and say which lines they ran; a page of each file is in var/coverage
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html:var/coverage $(ARGS)

lint: dev ## Check style, types, import contracts and templates; changes nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 --cache-dir .mypy_cache/client flowertune
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet

format: dev ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: dev ## Run the benchmarks of tests/perf
	$(BIN)/python -m tests.perf

lock: dev ## Write constraints.txt from what is installed, after a changed pin
	$(BIN)/python scripts/lock.py

clean: ## Stop the services and remove .venv, caches and the tests' state; keeps your data in var/
	@if [[ -x $(BIN)/python ]]; then \
		for state in var/services var/test-services; do $(BIN)/python -m portal.machine.embedded stop --state $$state; done; \
	fi
	rm -rf .venv dist var/test-services var/coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	rm -f .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
