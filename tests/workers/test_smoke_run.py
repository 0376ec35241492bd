"""A smoke run in a worker's hands: the real process, on answers that a script gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import benchmarks, data
from evaluation.rules.protocol import CURRENT
from portal.accounts.models import User
from portal.intake import smoke_runs
from portal.runs import services
from portal.runs.models import Evaluation
from portal.submissions.models import BaseModel, Submission
from tests.portal import factories
from tests.workers.evaluations import run
from workers.claiming import Evaluator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def scripted_engine(settings: Any, tmp_path: Path, evaluator: Evaluator) -> None:
    """Answers of one word each, right for some."""
    settings.EVALUATION_DATA, settings.EVALUATION_ENGINE = "demonstration", "scripted"
    settings.EVALUATION_PRECISION = "fp32"
    for slug in factories.BENCHMARKS:
        samples = data.load(benchmarks.get(slug), "demonstration", CURRENT, None).samples
        lines = [json.dumps({"id": sample.id, "completion": "positive"}) for sample in samples]
        (tmp_path / f"{slug}.jsonl").write_text("\n".join(lines))
    factories.base_model()
    BaseModel.objects.update(local_path=tmp_path)


def run_next(made: Submission) -> Evaluation:
    claimed = services.claim(worker="test")
    assert claimed and claimed.submission == made
    run(claimed)
    made.refresh_from_db()
    return Evaluation.objects.get(pk=claimed.pk)


def test_it_asks_twenty_items_each_and_the_evaluation_in_full_all(owner: User) -> None:
    made = factories.submission(owner, smoke_run=True)
    smoke = run_next(made)
    assert (smoke.status, made.status) == ("tried", "tried"), smoke.error_message
    scores = list(smoke.scores.all())
    assert {score.n for score in scores} == {20} and not any(score.official for score in scores)
    assert all("it was a smoke run" in score.unofficial_reasons for score in scores)
    with scores[0].items.open() as items:
        assert len(items.read().splitlines()) == 20
    told = [line.text for line in smoke.log.all()]
    assert "engine scripted: asked for" in told
    assert any(line.startswith("FPB: ") and "of 20 right" in line for line in told)

    smoke_runs.evaluate_in_full(made)
    full = run_next(made)
    assert (full.status, made.status) == ("succeeded", "in_review"), full.error_message
    assert {score.n for score in full.scores.all()} == {score.available for score in scores}
