"""Ranking as a pure function."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.entries import BenchmarkScore, Entry, Track, Trust
from leaderboard.ranking import standings, track_of

BENCHMARKS = ("fpb", "fiqa", "tfns")
_ids = count(1)


def entry(
    *corrects: int,
    n: int = 100,
    unscored: int = 0,
    data: str = "official",
    official: bool = True,
    available: int = 0,
    precision: str = "nf4",
) -> Entry:
    number = next(_ids)
    return Entry(
        id=number,
        method=f"method {number}",
        challenge="finance",
        team="team",
        team_id=1,
        base_model="model",
        hub_id="Example/model",
        family="Model",
        parameters=1,
        kind="community",
        trust=Trust.EVALUATED,
        flags=(),
        protocol=1,
        precision=precision,
        scores=tuple(
            BenchmarkScore(
                benchmark=slug,
                value=correct / (n - unscored),
                correct=correct,
                n=n,
                available=available or n,
                unscored=unscored,
                data=data,
                official=official,
                reasons=() if official else ("only 100 of 1,212 items",),
            )
            for slug, correct in zip(BENCHMARKS, corrects, strict=False)
        ),
        resources={},
        strategy="FedAvg",
        peft="LoRA",
        rank=8,
        rounds=10,
        clients=50,
        clients_per_round=5,
        adapted=True,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_the_plain_mean_over_the_benchmarks_decides() -> None:
    low, high = entry(90, 10, 20), entry(50, 50, 50)
    assert [(s.entry.id, s.rank) for s in standings([low, high], BENCHMARKS)] == [(high.id, 1), (low.id, 2)]


def test_equal_means_share_a_rank_and_the_next_is_skipped() -> None:
    assert [s.rank for s in standings([entry(5, 5, 5), entry(9, 9, 9), entry(9, 9, 9)], BENCHMARKS)] == [
        1,
        1,
        3,
    ]


def test_an_incomplete_entry_is_not_ranked_and_says_why() -> None:
    standing = standings([entry(99, 99)], BENCHMARKS)[0]
    assert standing.rank is None and standing.unranked_because == "not evaluated on tfns"


def test_an_entry_with_unscored_items_is_not_ranked() -> None:
    standing = standings([entry(9, 9, 9, unscored=1)], BENCHMARKS)[0]
    assert standing.rank is None and "3 items have no score" in standing.unranked_because


def test_demonstration_entries_are_ranked_only_among_themselves() -> None:
    shown, real = entry(99, 99, 99, data="demonstration", official=False), entry(1, 1, 1)
    placed = standings([shown, real], BENCHMARKS)
    assert [(s.entry.id, s.track, s.rank) for s in placed] == [
        (real.id, Track.OFFICIAL, 1),
        (shown.id, Track.DEMONSTRATION, 1),
    ]


def test_a_part_of_the_demonstration_items_is_not_ranked_with_all_of_them() -> None:
    part = entry(3, 3, 3, n=3, available=40, data="demonstration", official=False)
    whole = entry(30, 30, 30, n=40, data="demonstration", official=False)
    placed = standings([part, whole], BENCHMARKS)
    assert [(s.entry.id, s.track, s.rank) for s in placed] == [
        (whole.id, Track.DEMONSTRATION, 1),
        (part.id, Track.UNOFFICIAL, None),
    ]


def test_demonstration_entries_of_another_precision_have_a_ranking_of_their_own() -> None:
    ours, other = (
        entry(correct, correct, correct, data="demonstration", official=False, precision=precision)
        for correct, precision in ((50, "fp32"), (90, "bf16"))
    )
    placed = standings([ours, other], BENCHMARKS)
    assert [(s.entry.id, s.rank) for s in placed] == [(other.id, 1), (ours.id, 1)]


def test_unofficial_entries_stand_apart_with_the_reason() -> None:
    standing = standings([entry(9, 9, 9, data="official", official=False)], BENCHMARKS)[0]
    assert standing.track is Track.UNOFFICIAL and standing.rank is None
    assert standing.unranked_because == "only 100 of 1,212 items"


def test_one_unofficial_score_makes_the_entry_unofficial() -> None:
    good, bad = entry(9, 9, 9), entry(9, 9, 9, data="other", official=False)
    mixed = replace(good, scores=(*good.scores[:2], bad.scores[2]))
    assert track_of(mixed) is Track.UNOFFICIAL


@given(st.lists(st.tuples(*[st.integers(0, 100)] * 3), max_size=20), st.randoms())
def test_the_order_of_the_rows_does_not_matter(scores: list[tuple[int, int, int]], random) -> None:  # type: ignore[no-untyped-def]
    entries = [entry(*triple) for triple in scores]
    shuffled = entries[:]
    random.shuffle(shuffled)
    placed = standings(entries, BENCHMARKS)
    assert placed == standings(shuffled, BENCHMARKS)
    ranks = [s.rank for s in placed]
    assert ranks == sorted(ranks, key=lambda rank: rank or 0) and (not ranks or ranks[0] == 1)
    averages = [s.entry.average for s in placed if s.entry.average is not None]
    assert averages == sorted(averages, reverse=True) and len(averages) == len(entries)
