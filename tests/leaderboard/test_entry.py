"""The page of an entry, and what others may show of it: picture, badge, frame, citation."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import numpy
import pgtrigger
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from evaluation.benchmarks import BENCHMARKS
from evaluation.method.card import MethodCard
from evaluation.rules.challenges import CHALLENGES
from leaderboard.entry.citation import escaped
from leaderboard.entry.facts import settings_diff, template_card
from portal.accounts.models import User
from portal.intake.services import Cost
from portal.review.models import Decision
from portal.runs.models import BaselineRun, Evaluation, Reproduction, RoundMetric
from portal.submissions.models import Resource, Submission
from tests.leaderboard.test_compare import imported
from tests.leaderboard.test_items import answered, line
from tests.portal import factories

pytestmark = pytest.mark.django_db
GB = 1024**3
Kind, Basis = Resource.Kind, Resource.Basis


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    cache.clear()


def page(client: Client, made: Submission) -> str:
    response = client.get(f"/entries/{made.pk}/")
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_each_benchmark_has_its_place(client: Client, owner: User) -> None:
    factories.published(owner, method="Better", correct=90)
    made = factories.published(owner, method="Second", correct=80)
    factories.published(owner, method="Worse", correct=70)
    assert words(page(client, made)).count("2 of 3") == 3


def test_costs_stand_by_their_source_with_their_disagreement(client: Client, owner: User) -> None:
    made = factories.published(
        owner,
        costs=[
            Cost(Kind.COMMUNICATION, 3 * GB, Basis.DECLARED),
            Cost(Kind.COMMUNICATION_UP, GB / 2, Basis.MEASURED),
            Cost(Kind.COMMUNICATION_DOWN, GB / 2, Basis.MEASURED),
        ],
    )
    text = words(page(client, made))
    assert "The declared figure is 3 times higher." in text and "3.0 GB" in text and "1.0 GB" in text


@pytest.mark.parametrize(
    ("joules", "told"), [(1.2e7, "Energy 10 kWh"), (None, "Energy not measured: no meter")]
)
def test_speed_and_energy_of_the_evaluation_are_told(
    client: Client, owner: User, joules: float | None, told: str
) -> None:
    made = factories.published(
        owner, scores={"tokens": 5_000, "tokens_per_second": 2_500.0, "energy_joules": joules}
    )
    text = words(page(client, made))
    assert told in text and "Tokens a second 2,500" in text
    evaluation = client.get(f"/api/v1/evaluations/{made.evaluations.get().pk}/").json()
    assert {score["energy_joules"] for score in evaluation["scores"]} == {joules}


def test_settings_stand_beside_the_templates() -> None:
    challenge = CHALLENGES["finance"]
    assert not any(setting.differs for setting in settings_diff(template_card(challenge), challenge))
    changed = replace(template_card(challenge), rounds=10, optimizer="adamw")
    differing = {setting.label: setting for setting in settings_diff(changed, challenge) if setting.differs}
    assert {label: (one.template, one.here) for label, one in differing.items()} == {"Rounds": ("200", "10")}
    silent = settings_diff(MethodCard(rounds=200), challenge)
    assert not any(setting.differs for setting in silent)


def test_the_score_without_leaked_items_stands_beside_the_score(client: Client, owner: User) -> None:
    benchmark = BENCHMARKS["fpb"]
    right = numpy.zeros(benchmark.rows, bool)
    right[list(benchmark.leaked)] = True
    made = factories.published(
        owner,
        correct=len(benchmark.leaked),
        scores={
            "n": benchmark.rows,
            "available": benchmark.rows,
            "value": len(benchmark.leaked) / benchmark.rows,
            "correct_bits": numpy.packbits(right).tobytes(),
            "scored_bits": numpy.packbits(numpy.ones(benchmark.rows, bool)).tobytes(),
        },
    )
    assert "5 items of FPB stand in the training set too; without them the score is 0.00%" in words(
        page(client, made)
    )


def test_the_repository_that_it_came_from_is_for_reviewers(
    client: Client, as_reviewer: Client, owner: User
) -> None:
    made = factories.published(owner)
    with pgtrigger.ignore("submissions.Submission:submission_content"):
        Submission.objects.filter(pk=made.pk).update(origin="team/private@0123")
    assert "team/private" not in page(client, made)
    assert "team/private" in page(as_reviewer, made)


def test_subjects_lead_to_their_answers(client: Client, owner: User) -> None:
    lines = [line(i, i < 2, group="anatomy" if i % 2 else "high_school_physics") for i in range(8)]
    made = answered(owner, lines, challenge="general-nlp")
    html = page(client, made)
    assert "MMLU STEM by subject" in html and "high school physics" in html
    assert f"/entries/{made.pk}/items/mmlu_stem/?subject=high_school_physics" in html
    assert "1 of 4" in words(html)


def test_every_evaluation_is_listed_and_one_counts(client: Client, owner: User) -> None:
    made = factories.published(owner, correct=60)
    Evaluation.objects.create(
        submission=made,
        base_model=made.base_model,
        checkpoint=made.checkpoint,
        protocol=1,
        status=Evaluation.Status.SUCCEEDED,
        started_at=timezone.now(),
        finished_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
    html = page(client, made)
    assert "2020-01-01" in html and html.count('<span class="badge">counts</span>') == 1


def test_a_disqualified_entry_says_why_and_keeps_its_page(
    client: Client, owner: User, reviewer: User
) -> None:
    made = factories.published(owner)
    factories.review(
        made,
        reviewer,
        Decision.Action.DISQUALIFY,
        reason="Trained on the test set",
    )
    html = page(client, made)
    assert "Trained on the test set" in html and f"/entries/{made.pk}/items/fpb/" not in html
    assert "disqualified" in client.get(f"/entries/{made.pk}/badge.svg").content.decode()


def test_a_confirmed_reproduction_is_shown_with_its_difference(
    client: Client, owner: User, reviewer: User
) -> None:
    made, again = (
        factories.published(owner, correct=70),
        factories.published(owner, method="Again", correct=69),
    )
    run = baseline_run(owner, again, original=made)
    figures = {
        "benchmark": "fpb",
        "original": 0.7,
        "retrained": 0.69,
        "difference": -0.01,
        "low": -0.1,
        "high": 0.08,
    }
    found = Reproduction.objects.create(
        run=run,
        original=made,
        retrained=again,
        original_evaluation=factories.evaluation_of(made),
        retrained_evaluation=factories.evaluation_of(again),
        outcome=Reproduction.Outcome.REPRODUCED,
        difference=-0.01,
        low=-0.1,
        high=0.08,
        p_value=0.8,
        tolerance=0.01,
        benchmarks=[figures],
    )
    assert "Retrained here" not in page(client, made)
    Reproduction.objects.filter(pk=found.pk).update(
        verdict=Reproduction.Verdict.CONFIRMED, judged_by=reviewer, judged_at=timezone.now()
    )
    text = words(page(client, made))
    assert (
        "Retrained here: reproduced" in text
        and "\N{MINUS SIGN}1.00 points" in text
        and f"/entries/{again.pk}/" in page(client, made)
    )


def baseline_run(owner: User, made: Submission, *, original: Submission | None = None) -> BaselineRun:
    """A finished run of three rounds that made an entry."""
    run = BaselineRun.objects.create(
        challenge="finance",
        base_model=made.base_model,
        strategy="fedavg",
        precision="fp32",
        method=made.method,
        config={},
        rounds=3,
        requested_by=owner,
        original=original,
        status="running",
        claim_id=uuid.uuid4(),
        lease_expires_at=timezone.now(),
    )
    for number in (1, 2, 3):
        RoundMetric.objects.create(
            run=run,
            round=number,
            clients=[0],
            examples=10,
            learning_rate=0.1,
            train_loss=3 / number,
            bytes_down=1024**2,
            bytes_up=1024**2,
            train_seconds=1,
            aggregate_seconds=1,
            communicate_seconds=1,
            seconds=2,
            client_peak_rss_bytes=1,
            server_peak_rss_bytes=1,
        )
    BaselineRun.objects.filter(pk=run.pk).update(
        status="succeeded", claim_id=None, lease_expires_at=None, finished_at=timezone.now(), submission=made
    )
    return run


def test_an_entry_of_a_run_here_has_its_curves(client: Client, owner: User) -> None:
    made = factories.published(owner)
    baseline_run(owner, made)
    html = page(client, made)
    assert "Round by round" in html and "from 3.0000 to 1.0000" in html
    assert client.get(f"/entries/{made.pk}/charts/rounds.svg").status_code == 200


def test_the_profile_is_a_file_too(client: Client, owner: User) -> None:
    made = factories.published(owner)
    assert client.get(f"/entries/{made.pk}/charts/profile.png").content.startswith(b"\x89PNG")
    for missing in ("rounds.svg", "nothing.svg"):
        assert client.get(f"/entries/{made.pk}/charts/{missing}").status_code == 404


def test_the_badge_has_rank_and_score_and_is_not_sent_twice(client: Client, owner: User) -> None:
    made = factories.published(owner, correct=81)
    response = client.get(f"/entries/{made.pk}/badge.svg")
    drawn = ElementTree.fromstring(response.content)
    assert "#1" in drawn.get("aria-label", "") and "81.00%" in drawn.get("aria-label", "")
    again = client.get(f"/entries/{made.pk}/badge.svg", headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304 and not again.content


def test_only_the_embedded_page_may_be_framed(client: Client, owner: User) -> None:
    made = factories.published(owner, method="<b>Framed</b>")
    framed, plain = client.get(f"/entries/{made.pk}/embed/"), client.get(f"/entries/{made.pk}/")
    assert "frame-ancestors *" in framed["Content-Security-Policy"] and "X-Frame-Options" not in framed
    assert "default-src 'self'" in framed["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in plain["Content-Security-Policy"] and plain["X-Frame-Options"] == "DENY"
    assert "&lt;b&gt;Framed" in framed.content.decode() and "<form" not in framed.content.decode()


def test_what_others_paste_holds_nothing_that_people_wrote(client: Client, owner: User) -> None:
    made = factories.published(owner, method='"><script>alert(1)</script>')
    snippets = re.findall(r"<code>(.*?)</code>", page(client, made), flags=re.DOTALL)
    pasted = [text for text in snippets if "iframe" in text or "badge.svg" in text]
    assert len(pasted) == 2 and not any("script" in text for text in pasted)


@pytest.mark.parametrize(
    ("text", "latex"),
    [("a_b & 100%", r"a\_b \& 100\%"), ("\\input{x}", r"\textbackslash{}input\{x\}"), ("a\nb", "a b")],
)
def test_names_cannot_leave_their_bibtex_field(text: str, latex: str) -> None:
    assert escaped(text) == latex


@pytest.mark.parametrize("path", ["", "badge.svg", "embed/", "charts/profile.svg"])
def test_what_is_not_public_has_no_page(client: Client, owner: User, path: str) -> None:
    waiting = factories.evaluated(owner)
    assert client.get(f"/entries/{waiting.pk}/{path}").status_code == 404


def test_a_declared_entry_has_its_page_too(client: Client, tmp_path: Any) -> None:
    number = imported(tmp_path, "finance")[0]
    html = client.get(f"/entries/{number}/").content.decode()
    assert "Taken over from a public board" in html and "@misc" in html and "<svg" in html
    assert "declared" in client.get(f"/entries/{number}/badge.svg").content.decode()
    assert client.get(f"/entries/{number}/embed/").status_code == 200


def test_an_entry_costs_the_same_however_many_there_are(
    client: Client, owner: User, django_assert_max_num_queries: Any
) -> None:
    made = answered(owner, [line(i, True) for i in range(8)])
    page(client, made)
    with django_assert_max_num_queries(15) as one:
        page(client, made)
    counted = len(one)
    for number in range(4):
        factories.published(owner, method=f"Other {number}")
    page(client, made)
    with django_assert_max_num_queries(counted):
        page(client, made)
