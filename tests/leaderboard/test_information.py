"""Rules, method, benchmarks and base models: what stands on these pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy
import pytest
from django.test import Client

from evaluation.benchmarks import BENCHMARKS
from evaluation.rules.challenges import CHALLENGES
from evaluation.statistics import RankRange
from leaderboard.entry.benchmark import field
from leaderboard.reading import snapshots
from leaderboard.reading.model_names import family_of
from leaderboard.standing.entries import Standing, Track
from leaderboard.views.base_models import Domain
from portal.accounts.models import User
from tests.portal import factories

pytestmark = pytest.mark.django_db


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_the_rules_name_what_every_challenge_fixes(client: Client) -> None:
    html = page(client, "/rules/")
    for challenge in CHALLENGES.values():
        assert challenge.title in html and challenge.training_sets[0] in html
    assert "200,000" in html


def test_the_method_page_writes_its_formulas_as_mathml(client: Client) -> None:
    html = page(client, "/method/")
    assert html.count('<math display="block"') >= 6
    assert "rdad006" in html and 'id="rank-range"' in html
    assert "randomisation test" in html and "9,999" in html and html.count("arXiv 2506.02961") == 2


@pytest.mark.parametrize("slug", BENCHMARKS)
def test_a_benchmark_shows_its_prompt_data_and_rules(client: Client, slug: str) -> None:
    html = page(client, f"/benchmarks/{slug}/")
    benchmark = BENCHMARKS[slug]
    assert f"huggingface.co/datasets/{benchmark.hub.dataset}" in html and f"{benchmark.rows:,}" in html
    assert "No entry is ranked yet" in html
    assert (benchmark.digest[:12] if benchmark.digest else "no result is official") in html


def test_the_prompt_of_a_benchmark_page_is_a_demonstration_item(client: Client) -> None:
    html = page(client, "/benchmarks/tfns/")
    assert "What is the sentiment of this tweet?" in html and "Cindral Energy" in html


def test_an_unknown_benchmark_is_not_found(client: Client) -> None:
    assert client.get("/benchmarks/poetry/").status_code == 404


def test_a_benchmark_page_says_how_the_entries_do(client: Client, owner: User) -> None:
    for correct in (40, 60, 80):
        factories.published(owner, method=f"right {correct}", correct=correct)
    html = page(client, "/benchmarks/tfns/")
    assert "right 80" in html and "Median of 3 entries: 60.00%" in html


def test_demonstration_scores_are_called_so_on_a_benchmark_page(client: Client, owner: User) -> None:
    factories.published(
        owner, scores={"data": "demonstration", "official": False, "unofficial_reasons": ["demonstration"]}
    )
    assert "say nothing about the benchmark" in page(client, "/benchmarks/tfns/")


def test_the_score_without_leaked_items_leaves_their_answers_out(owner: User) -> None:
    benchmark = BENCHMARKS["fpb"]
    right = numpy.zeros(benchmark.rows, dtype=bool)
    right[: benchmark.leaked[2]] = True  # two of the five leaked items are among the right ones
    correct = int(right.sum())
    factories.published(
        owner,
        correct=correct,
        scores={
            "n": benchmark.rows,
            "available": benchmark.rows,
            "correct_bits": numpy.packbits(right).tobytes(),
            "scored_bits": numpy.packbits(numpy.ones(benchmark.rows, dtype=bool)).tobytes(),
        },
    )
    found = field(benchmark, snapshots.current("finance"))
    assert found and found.best[0].without_leaked == pytest.approx((correct - 2) / (benchmark.rows - 5))


def test_a_base_model_lists_its_entries_over_all_boards(client: Client, owner: User) -> None:
    made = factories.published(owner, method="Tuned", correct=70)
    html = page(client, f"/base-models/{made.base_model_id}/")
    assert "Tuned" in html and "Finance" in html and "70.00" in html
    assert made.base_model.hub_id in page(client, "/base-models/")


def test_the_list_of_base_models_says_best_untuned_and_median_gain(client: Client, owner: User) -> None:
    made = [factories.published(owner, correct=correct) for correct in (40, 60)]
    entries = [s.entry for s in snapshots.current("finance").standings]
    assert len({entry.hub_id for entry in entries}) == 1
    found = Domain.of(
        "Finance",
        [
            Standing(replace(entry, gain=gain), Track.OFFICIAL, rank)
            for rank, (entry, gain) in enumerate(zip(entries, (0.2, 0.1), strict=True), start=1)
        ],
    )
    assert (found.count, found.trained) == (2, 2) and found.first and found.first.entry.id == entries[0].id
    assert (found.untuned, found.gain) == (None, pytest.approx(0.15))
    assert "best of 2" in page(client, "/base-models/")
    assert f"/base-models/{made[0].base_model_id}/" in page(client, "/leaderboard/finance/")


def test_no_gain_on_demonstration_data_stands_beside_a_declared_best(owner: User) -> None:
    for correct in (40, 60):
        factories.published(owner, correct=correct)
    tuned, other = (s.entry for s in snapshots.current("finance").standings)
    invented = replace(tuned, gain=0.2, scores=tuple(replace(s, data="demonstration") for s in tuned.scores))
    declared = Standing(other, Track.DECLARED, None)
    found = Domain.of("Finance", [declared, Standing(invented, Track.DEMONSTRATION, 1)])
    assert found.first is declared and (found.untuned, found.gain) == (None, None)


def test_families_are_found_inside_words_that_begin_them_with_a_capital() -> None:
    names = ("JSL-MedLlama-3-8B-v2.0", "Bio-Medical-Llama-3-8B", "bigoption-7b", "some-qwen-1b")
    assert [family_of(name) for name in names] == ["Llama", "Llama", "Bigoption", "Qwen"]


def test_a_closed_base_model_without_entries_has_no_page(client: Client) -> None:
    model = factories.base_model("somebody/secret-7B", active=False)
    assert client.get(f"/base-models/{model.pk}/").status_code == 404
    assert "secret-7B" not in page(client, "/base-models/")


@pytest.mark.parametrize("path", ["/benchmarks/fpb/", "/base-models/", "/changes/", "/feed.atom"])
def test_queries_do_not_grow_with_the_entries(
    client: Client, owner: User, path: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(2):
        factories.published(owner, method=f"number {number}", correct=50 + number)
    with django_assert_max_num_queries(40) as few:
        client.get(path)
    counted = len(few)
    for number in range(2, 6):
        factories.published(owner, method=f"number {number}", correct=50 + number)
    with django_assert_max_num_queries(counted):
        client.get(path)


def test_no_page_tells_a_rank_more_surely_than_the_board(client: Client, owner: User) -> None:
    made = [
        factories.published(
            owner, correct=right, scores={"correct_bits": packed(right), "scored_bits": packed(100)}
        )
        for right in (71, 70)
    ]
    first = made[0]
    assert [s.rank_range for s in snapshots.current("finance").standings] == [RankRange(1, 2)] * 2
    for path in (
        f"/entries/{first.pk}/embed/",
        "/benchmarks/fpb/",
        f"/base-models/{first.base_model_id}/",
        f"/teams/{first.team_id}/",
        "/leaderboard/finance/feed.atom",
        "/",
    ):
        html = page(client, path)
        assert "1–2" in html, path


def packed(right: int) -> bytes:
    """Answers to a hundred items of which the first ones are right."""
    return numpy.packbits([True] * right + [False] * (100 - right)).tobytes()
