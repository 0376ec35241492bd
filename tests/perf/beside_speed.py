"""Transfer and leakage against one evaluation at home, in processor seconds of one thread.

Each benchmark is asked a few of the built-in items, and its seconds an item times the items that it has; of
leakage the seconds a text, times those of a measuring with as many rows as it takes at most.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.checkpoints import ADAPTER_FILE
from evaluation.demonstration.base_model import build
from evaluation.federated import data, presets
from evaluation.leakage.canaries import REFERENCES
from evaluation.method.row_form import RowForm, columns_of
from evaluation.rules.challenges import CHALLENGES
from evaluation.running import leakage
from evaluation.running.leakage_rows import ROWS
from evaluation.running.run import Evaluator, Observer, Plan
from tests.evaluation.conftest import make_adapter
from tests.perf.evaluation_speed import MODEL
from tests.perf.measure import Comparison

HOME = "finance"
ITEMS: Mapping[str, int] = {"general-nlp": 8, "finance": 8, "medical": 6, "code": 1}
TRAINING_ROWS, HELD_OUT = 64, 24


class _Loads(Observer):
    """Counts how often a base model is loaded."""

    def __init__(self) -> None:
        self.number = 0

    def loading(self) -> None:
        self.number += 1


def compare() -> Iterator[Comparison]:
    torch.set_num_threads(1)
    base = build(MODEL)
    with tempfile.TemporaryDirectory() as name:
        adapter = _mild(make_adapter(base, Path(name) / "adapter"))
        evaluator, loads = Evaluator(), _Loads()
        _seconds(evaluator, loads, base, HOME, adapter)  # loads the model, and warms up
        home = _seconds(evaluator, loads, base, HOME, adapter)
        others = {
            slug: _seconds(evaluator, loads, base, slug, adapter) for slug in CHALLENGES if slug != HOME
        }
        rows = {slug: _of_leakage(evaluator, loads, base, adapter, slug) for slug in CHALLENGES}
        evaluator.close()
    elsewhere = ", ".join(f"{slug} {seconds / home:.1f}" for slug, seconds in others.items())
    yield Comparison(
        "transfer to three domains", sum(others.values()), "one evaluation of finance", home,
        f"{sum(others.values()) / home:.1f} times one evaluation: {elsewhere}; {loads.number} load",
    )  # fmt: skip
    for slug, (text, texts) in rows.items():
        yield Comparison(
            f"leakage in {slug}, {2 * ROWS} rows on base model and adapter", text * 4 * ROWS,
            "one evaluation of finance", home, f"{text * 4 * ROWS / home:.2f} times one evaluation, from "
            f"{texts} texts; each canary of a run {text * (REFERENCES + 1) / home:.3f} more",
        )  # fmt: skip


def _mild(adapter: Path) -> Path:
    """A thousandth of the random adapter, with which the model still ends its answers."""
    file = adapter / ADAPTER_FILE
    save_file({name: tensor / 1_000 for name, tensor in load_file(file).items()}, file)
    return adapter


def _seconds(evaluator: Evaluator, loads: _Loads, base: Path, challenge: str, adapter: Path) -> float:
    """Of all items of a challenge's benchmarks, at the rate of a few."""
    total = 0.0
    for slug in rules.of(challenge).benchmarks:
        plan = Plan(
            str(base), (slug,), adapter, engine="transformers", precision="fp32", data="demonstration",
            limit=ITEMS[challenge],
        )  # fmt: skip
        began = time.process_time()
        (score,) = evaluator.evaluate(plan, loads).scores
        total += (time.process_time() - began) * BENCHMARKS[slug].rows / score.n
    return total


def _of_leakage(
    evaluator: Evaluator, loads: _Loads, base: Path, adapter: Path, challenge: str
) -> tuple[float, int]:
    """Seconds a text, and how many there were."""
    rows = adapter.parent / f"{challenge}.jsonl"
    form = RowForm("alpaca", columns_of(challenge))
    read = data.read(data.locate(None, challenge)).rows
    texts = {form.prompt(row.instruction, row.input) + row.output: row for row in read}
    few = [asdict(row) for row in [*texts.values()][:TRAINING_ROWS]]
    rows.write_text("\n".join(map(json.dumps, few)))
    settings = presets.get(challenge).of(CHALLENGES[challenge]) | {
        "clients": 2, "clients_per_round": 2, "held_out": HELD_OUT, "evaluate_every": 1,
    }  # fmt: skip
    config = presets.config(settings, model=base, base_model_id="example/base", train_data=rows)
    plan = leakage.LeakagePlan(str(base), adapter, challenge, 1, "fp32", rows, run=config, rounds=((0, 1),))
    began = time.process_time()
    found = leakage.measure(plan, evaluator, loads, lambda *_: None)
    through = 2 * (found.members + found.others)
    return (time.process_time() - began) / through, through
