"""A reviewer reads which stored adapters and answers a submission resembles, and whose they are."""

from __future__ import annotations

import json
import math
from io import BytesIO
from typing import Any

import numpy
import pytest
from django.core.files.base import File
from django.core.management import call_command
from django.template.loader import render_to_string

from evaluation import rules
from evaluation.checkpoints import BaseModelTensors
from portal.accounts.models import User
from portal.intake.services import Files
from portal.review.resemblance import Likeness, Resembling, ask, resembling
from portal.review.resemblance.search import run
from portal.runs import services as runs
from portal.runs.models import Score, WrongAnswers
from portal.submissions.models import AdapterSketch, ResemblanceReport, Submission
from tests.evaluation.made_updates import Update, averaged, cut, file_of, made, merged, noised, scaled
from tests.portal import factories
from workers.tasks import find_resemblances

pytestmark = pytest.mark.django_db

ITEMS = 200


@pytest.fixture(autouse=True)
def wide_base_model(db: None) -> None:
    """One whose weights are large enough for independent updates to have nothing in common."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (20, 192), "model.norm.weight": (192,)}
    for layer in range(3):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (192, 192)
        shapes[f"model.layers.{layer}.self_attn.v_proj.weight"] = (64, 192)
    tensors = BaseModelTensors(shapes, tie_word_embeddings=True, model_type="llama")
    factories.base_model(tensors=tensors.to_json())


def update(seed: int) -> Update:
    return made(seed, layers=3, rank=4)


def submitted(by: User, adapter: Update, *, alpha: int = 8, **changes: Any) -> Submission:
    """A submission of that adapter, whatever its rank."""
    rank = len(next(iter(adapter.values()))[0])
    content = file_of(adapter)
    config = factories.config_bytes(r=rank, lora_alpha=alpha)
    lines = {"rank": f"model.lora.peft-lora-r = {rank}", "alpha": f"model.lora.peft-lora-alpha = {alpha}"}
    files = Files(BytesIO(content), len(content), config, factories.pyproject(**lines))
    return factories.submission(by, files=files, **changes)


def found(submission: Submission) -> Resembling:
    ask(submission)
    assert run(until=math.inf)
    return resembling(submission)


def likenesses(submission: Submission) -> dict[int, Likeness]:
    return {line.submission.pk: line.likeness for line in found(submission).lines}


def answer_as(made: Submission, seed: int, copied: int | None = None) -> None:
    """Evaluate it with wrong answers of its own, or mostly those that another seed gives."""
    evaluation = runs.claim(worker="test")
    assert evaluation and evaluation.submission_id == made.pk
    for benchmark in rules.of(made.challenge, evaluation.protocol).benchmarks:
        own, other = (numpy.random.default_rng(s).integers(0, 6, ITEMS) for s in (seed, copied or seed))
        taken = numpy.random.default_rng(seed + 1).random(ITEMS) < 0.9
        answers = numpy.where(taken, other, own)
        lines = "".join(
            json.dumps({"prediction": str(a), "correct": int(a) == 0}) + "\n" for a in answers.tolist()
        )
        runs.record_score(evaluation, factories.score(benchmark), items=File(BytesIO(lines.encode())))
    runs.succeed(evaluation, provenance={})


def test_copies_are_found_however_they_were_disguised(owner: User, stranger: User) -> None:
    original = submitted(owner, update(1))
    for seed in range(2, 6):
        submitted(owner, update(seed))
    for disguised, likeness in (
        (update(1), Likeness.FILE),
        (scaled(update(1), 3), Likeness.UPDATE),
        (noised(update(1), 0.05), Likeness.NEAR),
        (noised(update(1), 0.5), Likeness.RELATED),
        (cut(update(1), 2), Likeness.RANKS),
    ):
        assert likenesses(submitted(stranger, disguised))[original.pk] == likeness
        Submission.objects.filter(team=stranger.memberships.get().team).update(status="withdrawn")


def test_the_same_tensors_are_named_so_under_another_alpha_or_order(owner: User, stranger: User) -> None:
    original = submitted(owner, update(1))
    assert likenesses(submitted(stranger, update(1), alpha=16)) == {original.pk: Likeness.FILE}
    in_another_order = dict(reversed(update(1).items()))
    assert likenesses(submitted(stranger, in_another_order))[original.pk] == Likeness.TENSORS


def test_a_merge_names_its_parts(owner: User, stranger: User) -> None:
    one, other = submitted(owner, update(1)), submitted(owner, update(2))
    submitted(owner, update(3))
    result = found(submitted(stranger, merged([(0.5, update(1)), (0.5, update(2))])))
    assert {line.submission.pk: line.likeness for line in result.lines} == {
        one.pk: Likeness.PART,
        other.pk: Likeness.PART,
    }
    assert result.merge.startswith("100.0% of the update is ")
    assert f"#{one.pk}" in result.merge and f"#{other.pk}" in result.merge


def test_averaged_factors_are_a_merge_too(owner: User, stranger: User) -> None:
    submitted(owner, update(1))
    submitted(owner, update(2))
    assert "their factors added up" in found(submitted(stranger, averaged(update(1), update(2)))).merge


def test_independent_adapters_resemble_nobody(owner: User, stranger: User) -> None:
    made = [submitted(owner if seed % 2 else stranger, update(seed)) for seed in range(1, 9)]
    for submission in made:
        result = found(submission)
        assert (result.lines, result.merge, result.adapters) == ((), "", 7)


def test_the_same_mistakes_are_found_where_the_adapters_differ(owner: User, stranger: User) -> None:
    made = []
    for seed in range(1, 7):
        made.append(submitted(owner, update(seed)))
        answer_as(made[-1], seed)
    copy = submitted(stranger, update(20))
    answer_as(copy, 20, copied=3)
    result = found(copy)
    assert [(line.submission.pk, line.likeness) for line in result.lines] == [(made[2].pk, Likeness.ANSWERS)]
    assert "answers are the same" in result.lines[0].words[0] and "p under 10⁻⁶" in result.lines[0].words[0]
    assert found(made[0]).lines == ()
    assert WrongAnswers.objects.count() == Score.objects.count() == 21


def test_a_submission_that_comes_into_review_is_compared_without_being_asked_for(owner: User) -> None:
    submission = submitted(owner, update(1))
    find_resemblances()
    assert not ResemblanceReport.objects.exists()
    answer_as(submission, 1)
    find_resemblances()
    assert resembling(submission).found_at


def test_one_in_review_is_compared_again_when_something_like_it_came(owner: User, stranger: User) -> None:
    first = submitted(owner, update(1))
    answer_as(first, 1)
    assert found(first).lines == ()
    copy = submitted(stranger, scaled(update(1), 2))
    answer_as(copy, 2)
    run(until=math.inf)
    assert [line.submission.pk for line in resembling(first).lines] == [copy.pk]
    before = ResemblanceReport.objects.get(submission=first).found_at
    run(until=math.inf)
    assert ResemblanceReport.objects.get(submission=first).found_at == before


def test_the_page_says_whose_it_is_and_accuses_nobody(owner: User, stranger: User) -> None:
    submitted(owner, update(1), method="Original <b>method</b>")
    copy = submitted(stranger, scaled(update(1), 2))
    submitted(stranger, noised(update(1), 0.05), method="Second try")
    page = render_to_string("portal/review/_resembles.html", {"resembling": found(copy)})
    assert "The same update" in page and "Original &lt;b&gt;method&lt;/b&gt;" in page
    assert owner.memberships.get().team.name in page
    assert "(the same team)" in page
    assert "2.00 times as long" in page
    assert "Likeness is no proof of copying" in page


def test_until_it_was_compared_the_page_says_so_and_a_worker_is_asked(owner: User) -> None:
    submission = submitted(owner, update(1))
    assert resembling(submission).found_at is None
    assert ResemblanceReport.objects.get().submission_id == submission.pk
    page = render_to_string("portal/review/_resembles.html", {"resembling": resembling(submission)})
    assert "being compared" in page


def test_an_adapter_that_is_gone_from_storage_is_remarked_on(owner: User, stranger: User) -> None:
    original = submitted(owner, update(1))
    copy = submitted(stranger, scaled(update(1), 2))
    assert original.checkpoint
    run(until=math.inf)
    original.checkpoint.file.delete(save=False)
    result = found(copy)
    assert result.lines == () and "could not be read" in result.remarks[0]


def test_the_command_does_all_at_once(owner: User, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        submitted(owner, update(seed))
    call_command("find_resemblances")
    assert "3 adapters sketched, 0 unreadable, 0 reports" in capsys.readouterr().out
    assert AdapterSketch.objects.count() == 3


def test_many_copies_of_ones_own_do_not_hide_whose_it_is(owner: User, stranger: User, settings: Any) -> None:
    settings.SUBMISSIONS_PER_DAY = 20
    original = submitted(owner, update(1))
    copies = [noised(update(1), 0.02, seed=n) for n in range(10)]
    for copy in copies:
        submitted(stranger, copy)
    last = submitted(stranger, noised(copies[-1], 0.001, seed=50))
    assert likenesses(last)[original.pk] == Likeness.NEAR
