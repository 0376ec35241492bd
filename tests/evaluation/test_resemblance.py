"""Copies of an adapter are found however they were disguised; independent adapters have nothing in common."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy
import pytest

from evaluation.errors import CheckpointError
from evaluation.resemblance.factors import AdapterFactors, scales
from evaluation.resemblance.mixtures import likely_parts
from evaluation.resemblance.sketches import SIGNIFICANT, Sketch, estimate, sketch
from evaluation.resemblance.updates import compare, mixture
from tests.evaluation.made_updates import (
    Update,
    averaged,
    cut,
    file_of,
    made,
    merged,
    noised,
    opened,
    rotated,
    scaled,
)

ORIGINAL = made(1)


def of_modules(update: Update) -> Update:
    """Each module's update multiplied by a number of its own."""
    by = numpy.random.default_rng(3).uniform(0.1, 5, len(update)).astype(numpy.float32)
    return {name: (a, b * by[number]) for number, (name, (a, b)) in enumerate(update.items())}


def lopsided(update: Update, by: float | numpy.typing.NDArray[numpy.float64]) -> Update:
    """The same update from factors whose squares no float32 holds."""
    column = numpy.broadcast_to(numpy.asarray(by), (8,))
    return {
        name: ((a * column[:, None]).astype(numpy.float32), (b / column).astype(numpy.float32))
        for name, (a, b) in update.items()
    }


DISGUISES: dict[str, Callable[[Update], Update]] = {
    "as it is": lambda update: update,
    "scaled": lambda update: scaled(update, 3),
    "negated on both sides": lambda update: {name: (-a, -b) for name, (a, b) in update.items()},
    "ranks in another order": lambda update: {n: (a[::-1], b[:, ::-1]) for n, (a, b) in update.items()},
    "other factors": rotated,
    "ranks of zeros added": lambda update: merged([(1, update), (0, made(8))]),
    "scaled module by module": of_modules,
    "one factor multiplied, the other divided": lambda update: lopsided(update, 1e24),
    "so rank by rank": lambda update: lopsided(update, numpy.geomspace(1e-24, 1e24, 8)),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_copy_has_the_same_update_on_every_module(disguise: str) -> None:
    copy = DISGUISES[disguise](ORIGINAL)
    found = estimate(sketch(opened(copy)), sketch(opened(ORIGINAL)))
    assert found and found.even == pytest.approx(1, abs=1e-3)
    (update,) = compare(opened(copy), [opened(ORIGINAL)])
    assert update.lowest == pytest.approx(1, abs=1e-4)
    assert update.within == pytest.approx(1, abs=1e-4)


def test_an_update_that_no_number_holds_is_said_to_be_too_large() -> None:
    huge = {name: (a * numpy.float32(1e30), b * numpy.float32(1e30)) for name, (a, b) in ORIGINAL.items()}
    with pytest.raises(CheckpointError, match="too large"):
        sketch(opened(huge))


def test_another_alpha_is_another_length_of_the_same_update() -> None:
    (update,) = compare(opened(ORIGINAL, scale=6), [opened(ORIGINAL, scale=2)])
    assert (update.cosine, update.ratio) == (pytest.approx(1, abs=1e-5), pytest.approx(3, rel=1e-4))


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_rounding_to_16_bits_changes_next_to_nothing(dtype: str) -> None:
    (update,) = compare(opened(ORIGINAL, dtype=dtype), [opened(ORIGINAL)])
    assert update.cosine and update.cosine > 0.9999


def test_noise_lowers_the_cosine_by_as_much_as_it_adds() -> None:
    """Each factor keeps 1/√(1+σ²) of its direction, so the product keeps 1/(1+σ²)."""
    (update,) = compare(opened(noised(ORIGINAL, 0.3)), [opened(ORIGINAL)])
    assert update.cosine == pytest.approx(1 / 1.09, abs=0.01)
    found = estimate(sketch(opened(noised(ORIGINAL, 0.3))), sketch(opened(ORIGINAL)))
    assert found and found.cosine == pytest.approx(update.cosine, abs=5 * found.error)


def test_an_update_of_fewer_ranks_lies_within_the_one_it_was_cut_from() -> None:
    (update,) = compare(opened(cut(ORIGINAL, 2)), [opened(ORIGINAL)])
    assert update.within == pytest.approx(1, abs=1e-4)
    assert update.cosine and 0.3 < update.cosine < 0.9
    assert (update.rank, update.other_rank) == (2, 8)


def test_a_copy_of_some_modules_is_the_same_on_those() -> None:
    part = dict(list(ORIGINAL.items())[:4])
    (update,) = compare(opened(part), [opened(ORIGINAL)])
    assert (update.shared, update.modules, update.other_modules) == (4, 4, 12)
    assert update.median == pytest.approx(1, abs=1e-5)
    found = estimate(sketch(opened(part)), sketch(opened(ORIGINAL)))
    assert found and found.strength > SIGNIFICANT


def test_independent_adapters_have_nothing_in_common() -> None:
    sketches = [sketch(opened(made(seed))) for seed in range(40)]
    strengths = [
        found.strength
        for number, one in enumerate(sketches)
        for other in sketches[:number]
        if (found := estimate(one, other))
    ]
    assert len(strengths) == 780
    assert max(strengths) < SIGNIFICANT
    # As the standard error says: a twentieth beyond twice of it, here of the larger of two that go together.
    assert numpy.mean(numpy.array(strengths) > 2) < 0.12
    (update,) = compare(opened(made(2)), [opened(made(3))])
    assert update.cosine is not None and abs(update.cosine) < 0.02


def test_a_merge_is_told_by_its_parts_and_their_weights() -> None:
    pool = [made(seed) for seed in range(10, 16)]
    whole = merged([(0.5, pool[1]), (0.3, pool[4])])
    chosen = likely_parts(sketch(opened(whole)), [sketch(opened(part)) for part in pool])
    assert chosen == (1, 4)
    found = mixture(opened(whole), [opened(pool[number]) for number in chosen], enough=0.99)
    assert found and not found.averaged
    assert found.weights == (pytest.approx(0.5, abs=1e-3), pytest.approx(0.3, abs=1e-3))
    assert found.explained == pytest.approx(1, abs=1e-4)


def test_averaged_factors_are_told_from_a_sum_of_updates() -> None:
    """(a₁+a₂)/2 and (b₁+b₂)/2 give a quarter of each update, and of each product of mixed factors."""
    one, other = made(20), made(21)
    whole = averaged(one, other)
    assert likely_parts(sketch(opened(whole)), [sketch(opened(part)) for part in (one, other, made(22))])[
        :2
    ] in (
        (0, 1),
        (1, 0),
    )
    found = mixture(opened(whole), [opened(one), opened(other)], enough=0.99)
    assert found and found.averaged
    assert found.weights == (pytest.approx(0.25, abs=1e-3), pytest.approx(0.25, abs=1e-3))


def test_an_independent_adapter_is_no_merge() -> None:
    assert (
        likely_parts(sketch(opened(made(30))), [sketch(opened(made(seed))) for seed in range(31, 40)]) == ()
    )


def test_an_adapter_that_changes_nothing_is_compared_with_nobody() -> None:
    idle = {name: (a, numpy.zeros_like(b)) for name, (a, b) in ORIGINAL.items()}
    assert estimate(sketch(opened(idle)), sketch(opened(ORIGINAL))) is None
    assert compare(opened(idle), [opened(ORIGINAL)])[0].cosine is None


def test_adapters_on_other_modules_are_compared_with_nobody() -> None:
    elsewhere = {f"other.{name}": factors for name, factors in ORIGINAL.items()}
    assert estimate(sketch(opened(elsewhere)), sketch(opened(ORIGINAL))) is None


def test_a_sketch_comes_back_from_its_bytes() -> None:
    whole = sketch(opened(ORIGINAL))
    kept = Sketch.from_bytes(whole.to_bytes())
    assert len(whole.to_bytes()) < 10_000
    assert numpy.allclose(kept.values, whole.values, atol=2e-3)
    assert (kept.keys == whole.keys).all() and (kept.norms == whole.norms).all()
    for damaged in (whole.to_bytes()[:-1], b"\x07" + whole.to_bytes()[1:], b""):
        with pytest.raises(CheckpointError):
            Sketch.from_bytes(damaged)


def test_sketches_of_few_and_of_many_modules_can_be_compared() -> None:
    large = made(40, layers=20)
    whole, part = sketch(opened(large)), sketch(opened(dict(list(large.items())[:3])))
    assert whole.probes < part.probes
    rows = numpy.isin(whole.keys, part.keys)
    assert numpy.allclose(whole.values[rows], part.values[:, : whole.probes], atol=1e-5)


def test_scales_are_those_that_peft_multiplies_by() -> None:
    modules = [{"name": "a", "rank": 4, "alpha": 8.0}, {"name": "b", "rank": 16, "alpha": None}]
    config = {"lora_alpha": 32, "use_rslora": False}
    assert scales(config, {"modules": modules}) == {"a": 2.0, "b": 2.0}
    assert scales(config | {"use_rslora": True}, {"modules": modules}) == {"a": 4.0, "b": 8.0}


def test_a_file_that_is_cut_off_is_refused() -> None:
    content = file_of(ORIGINAL)[:-10]
    with pytest.raises(CheckpointError):
        AdapterFactors(io.BytesIO(content), len(content), dict.fromkeys(ORIGINAL, 1.0))
