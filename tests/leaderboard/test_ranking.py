"""Ranking as a pure function."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from random import Random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics import PackedAnswers, RankRange
from leaderboard.standing.entries import BenchmarkScore, Cost, Entry, Flag, Standing, Track, Trust
from leaderboard.standing.ranking import standings, track_of
from leaderboard.standing.seeds import Answers

BENCHMARKS = ("fpb", "fiqa", "tfns")
_ids = count(1)
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


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


Bits = list[list[bool]]
ITEMS = (12, 30, 18)
complete = st.tuples(*[st.lists(st.booleans(), min_size=n, max_size=n) for n in ITEMS])


def answered(bits: tuple[list[bool], ...], **changes: object) -> tuple[Entry, Answers]:
    """An entry with its answers to the items of each benchmark."""
    number = next(_ids)
    made = replace(
        entry(*map(sum, bits)),
        id=number,
        scores=tuple(
            replace(score, value=sum(own) / len(own), correct=sum(own), n=len(own), available=len(own))
            for score, own in zip(entry(*map(sum, bits)).scores, bits, strict=True)
        ),
        **changes,  # type: ignore[arg-type]
    )
    return made, Answers.of(("sha256:0", packed(own)) for own in bits)


def packed(bits: list[bool]) -> PackedAnswers:
    return PackedAnswers.all_scored(len(bits), numpy.packbits(bits).tobytes())


def placed(made: list[tuple[Entry, Answers]]) -> dict[int, Standing]:
    answers = {one.id: kept for one, kept in made}
    return {s.entry.id: s for s in standings([one for one, _ in made], BENCHMARKS, answers)}


def noisy(share: float, seed: int) -> tuple[list[bool], ...]:
    random = Random(seed)
    return tuple([random.random() < share for _ in range(n)] for n in (400, 300, 500))


def test_entries_that_the_items_cannot_tell_apart_share_places() -> None:
    best, second, last = answered(noisy(0.8, 1)), answered(noisy(0.79, 2)), answered(noisy(0.2, 3))
    found = placed([best, second, last])
    assert found[best[0].id].rank_range == found[second[0].id].rank_range == RankRange(1, 2)
    assert found[last[0].id].rank_range == RankRange(3, 3)
    assert [found[e.id].tie_group for e, _ in (best, second, last)] == [1, 1, 2]


def test_without_answers_there_is_a_rank_but_no_claim_of_a_test() -> None:
    found = standings([entry(9, 9, 9), entry(80, 80, 80)], BENCHMARKS)
    assert [(s.rank, s.rank_range, s.tie_group) for s in found] == [(1, None, None), (2, None, None)]


def test_an_entry_that_cannot_be_tested_widens_the_places_of_the_others() -> None:
    tested = [answered(noisy(0.9, 1)), answered(noisy(0.1, 2))]
    found = placed(tested)
    assert [found[e.id].rank_range for e, _ in tested] == [RankRange(1, 1), RankRange(2, 2)]
    silent = (entry(50, 50, 50), ())
    answers = {e.id: kept for e, kept in tested}
    widened = {s.entry.id: s for s in standings([*(e for e, _ in tested), silent[0]], BENCHMARKS, answers)}
    assert [widened[e.id].rank_range for e, _ in tested] == [RankRange(1, 2), RankRange(2, 3)]
    assert widened[silent[0].id].rank_range is None


def test_answers_to_other_data_are_not_compared() -> None:
    ours = [answered(noisy(0.9, n)) for n in range(3)]
    stranger, kept = answered(noisy(0.1, 9))
    found = placed([*ours, (stranger, to_other_data(kept))])
    assert found[stranger.id].rank_range is None


def to_other_data(answers: Answers) -> Answers:
    return replace(answers, data=tuple(("other", items) for _, items in answers.data))


def test_declared_entries_are_in_order_but_not_ranked() -> None:
    low, high = (declared(entry(n, n, n)) for n in (20, 60))
    found = standings([low, high], BENCHMARKS)
    assert [(s.entry.id, s.track, s.rank) for s in found] == [
        (high.id, Track.DECLARED, None),
        (low.id, Track.DECLARED, None),
    ]


def test_a_flagged_entry_stands_apart_with_its_reason() -> None:
    flagged = replace(declared(entry(90, 90, 90)), flags=(Flag("fpb", "no number of items gives it"),))
    sound = declared(entry(20, 20, 20))
    found = standings([flagged, sound], BENCHMARKS)
    assert [s.entry.id for s in found] == [sound.id, flagged.id]
    assert found[1].unranked_because == "no number of items gives it"


def declared(one: Entry) -> Entry:
    scores = tuple(replace(score, data="declared", official=False, decimals=2) for score in one.scores)
    return replace(one, scores=scores, trust=Trust.DECLARED, protocol=0)


def test_the_gain_is_over_the_untuned_base_of_the_same_model_and_conditions() -> None:
    base = replace(entry(40, 40, 40), adapted=False)
    other = replace(entry(10, 10, 10), adapted=False, hub_id="Example/other")
    elsewhere = replace(entry(20, 20, 20), adapted=False, precision="bf16")
    tuned, orphan = entry(55, 55, 55), replace(entry(30, 30, 30), hub_id="Example/unknown")
    alone = replace(entry(50, 50, 50), precision="fp32")
    found = standings([base, other, elsewhere, tuned, orphan, alone], BENCHMARKS)
    gains = {s.entry.id: s.entry.gain for s in found}
    assert gains[tuned.id] == pytest.approx(0.15)
    assert gains[orphan.id] is None and gains[base.id] is None and gains[alone.id] is None


def test_a_gain_has_the_interval_of_the_items_that_both_answered() -> None:
    base = replace(entry(40, 40, 40), adapted=False)
    sure, unsure, other = entry(60, 60, 60), entry(41, 41, 41), entry(60, 60, 60)
    bits = {made.id: first(made.scores[0].correct) for made in (base, sure, unsure, other)}
    bits[other.id] = to_other_data(bits[other.id])
    found = {s.entry.id: s.entry for s in standings([base, sure, unsure, other], BENCHMARKS, bits)}
    low, high = found[sure.id].gain_interval or (0.0, 0.0)
    error = (0.2 * 0.8 / 100 / 3) ** 0.5
    assert (low, high) == pytest.approx((0.2 - 1.96 * error, 0.2 + 1.96 * error), abs=1e-4)
    assert not found[sure.id].gain_is_chance and found[unsure.id].gain_is_chance
    assert found[other.id].gain is not None and found[other.id].gain_interval is None


def first(right: int) -> Answers:
    """Complete answers to a hundred items of each benchmark, of which the first ones are right."""
    return Answers.of([("data", packed([item < right for item in range(100)]))] * 3)


@given(st.lists(complete, min_size=2, max_size=9), st.randoms())
def test_ranges_do_not_depend_on_the_order_of_the_rows(boards: list[Bits], random: Random) -> None:
    made = [answered(tuple(bits)) for bits in boards]
    shuffled = made[:]
    random.shuffle(shuffled)
    assert placed(made) == placed(shuffled)


@given(st.lists(complete, min_size=2, max_size=8), st.data())
def test_one_more_right_answer_never_worsens_the_place(boards: list[Bits], data: st.DataObject) -> None:
    made = [answered(tuple(bits)) for bits in boards]
    chosen = data.draw(st.integers(0, len(made) - 1))
    benchmark = data.draw(st.integers(0, len(ITEMS) - 1))
    item = data.draw(st.integers(0, ITEMS[benchmark] - 1))
    better_bits = [list(own) for own in boards[chosen]]
    better_bits[benchmark][item] = True
    better, kept = answered(tuple(better_bits))
    better = replace(better, id=made[chosen][0].id)
    before = placed(made)[better.id]
    after = placed([*made[:chosen], (better, kept), *made[chosen + 1 :]])[better.id]
    assert after.rank is not None and before.rank is not None and after.rank <= before.rank


@given(st.lists(complete, min_size=2, max_size=9))
def test_ties_are_symmetric_and_ranks_lie_in_their_ranges(boards: list[Bits]) -> None:
    found = list(placed([answered(tuple(bits)) for bits in boards]).values())
    worse = sum(len(found) - s.rank_range.worst for s in found if s.rank_range)
    better = sum(s.rank_range.best - 1 for s in found if s.rank_range)
    assert worse == better  # whoever is surely above another has that one surely below
    for standing in found:
        assert standing.rank and standing.rank_range
        assert standing.rank_range.best <= standing.rank <= standing.rank_range.worst
    for group in {s.tie_group for s in found}:
        assert len({s.rank_range.best for s in found if s.tie_group == group and s.rank_range}) == 1


@given(st.lists(complete, min_size=1, max_size=6), st.integers(0, 2), st.integers(1, 5))
def test_what_is_incomplete_is_never_ranked(boards: list[Bits], benchmark: int, unscored: int) -> None:
    made = [answered(tuple(bits)) for bits in boards]
    whole, kept = made[0]
    scores = list(whole.scores)
    scores[benchmark] = replace(scores[benchmark], unscored=unscored, official=False)
    missing = replace(whole, id=next(_ids), scores=tuple(scores[:benchmark] + scores[benchmark + 1 :]))
    holed = replace(whole, id=next(_ids), scores=tuple(scores))
    found = placed([*made, (missing, kept), (holed, kept)])
    assert found[missing.id].rank is None and found[holed.id].rank is None
    assert all(found[e.id].rank is not None for e, _ in made)


@given(st.lists(complete, min_size=2, max_size=6), st.floats(1e-6, 1e6))
def test_the_units_of_costs_change_nothing(boards: list[Bits], factor: float) -> None:
    made = [
        answered(tuple(bits), resources={"communication": Cost(100.0 * number, "derived")})
        for number, bits in enumerate(boards)
    ]
    scaled = [
        (replace(e, resources={k: Cost(factor * c.value, c.basis) for k, c in e.resources.items()}), kept)
        for e, kept in made
    ]
    before, after = placed(made), placed(scaled)
    assert {i: (s.rank, s.rank_range) for i, s in before.items()} == {
        i: (s.rank, s.rank_range) for i, s in after.items()
    }
