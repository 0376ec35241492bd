"""Compressed updates: what they hold, what they weigh on their way, and what the next round makes up for."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from evaluation.errors import EvaluationError
from evaluation.federated import at_home, compression, reply
from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import ADAPTER, HOME
from evaluation.federated.factors import Arrays
from evaluation.federated.reply import Received

from .loopback import LoopbackGrid
from .rounds_by_hand import A, B, adapter
from .test_differing_clients import ran, sizes

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


def shapes(update: dict) -> dict:
    return {name: array.shape for name, array in update.items()}


@given(st.lists(FLOATS, min_size=1, max_size=40))
def test_bf16_is_torch_s_rounding(numbers: list[float]) -> None:
    array = numpy.array(numbers, numpy.float32)
    packed = compression.packed({"w": array}, "bf16", 1.0)
    assert packed["w"].nbytes == 2 * array.size
    whole = compression.unpacked(packed, "bf16", {"w": array.shape})["w"]
    assert_array_equal(whole, torch.from_numpy(array).to(torch.bfloat16).float().numpy())


@given(st.lists(FLOATS, min_size=1, max_size=40))
@example([4.8e-44])
def test_int8_is_within_half_a_step_of_its_scale(numbers: list[float]) -> None:
    array = numpy.array(numbers, numpy.float32)
    packed = compression.packed({"w": array}, "int8", 1.0)
    assert sum(part.nbytes for part in packed.values()) == array.size + 4
    whole = compression.unpacked(packed, "int8", {"w": array.shape})["w"]
    smallest_normal = numpy.finfo(numpy.float32).tiny
    assert abs(whole - array).max() <= 0.51 * abs(array).max() / 127 + smallest_normal


def test_top_k_sends_the_largest_numbers_and_their_places() -> None:
    array = numpy.array([[0.1, -5.0, 0.2], [3.0, 0.0, -0.3]], numpy.float32)
    packed = compression.packed({"w": array}, "top-k", 0.3)
    assert sum(part.nbytes for part in packed.values()) == 2 * 8
    whole = compression.unpacked(packed, "top-k", {"w": array.shape})["w"]
    assert_array_equal(whole, [[0, -5, 0], [3, 0, 0]])


def test_what_top_k_leaves_out_is_added_to_the_next_update(config: FederatedConfig) -> None:
    """All that was sent and what is still at home add up to all that was trained."""
    config = replace(config, compression="top-k", top_k=0.2)
    sent = adapter(0)
    home: Arrays = {}
    total, told = ({name: numpy.zeros_like(array) for name, array in sent.items()} for _ in range(2))
    for seed in (1, 2, 3):
        trained = adapter(seed)
        records = reply.of(config, 0, Received(sent, home, {}), trained, 1.0)
        home = records[HOME]
        update = compression.unpacked(records[ADAPTER], "top-k", shapes(sent))
        for name in (A, B):
            total[name] = total[name] + (trained[name] - sent[name])
            told[name] = told[name] + update[name]
    errors = at_home.of_group(home, at_home.ERROR)
    for name in (A, B):
        assert_allclose(told[name] + errors[name], total[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "share"), [("bf16", 1 / 2), ("int8", 1 / 4), ("top-k", None)])
def test_what_is_counted_is_what_travels(kind: str, share: float | None, config: FederatedConfig) -> None:
    config = replace(config, compression=kind, top_k=0.1)
    grid = LoopbackGrid(3)
    (first, _), one = ran(config, grid).records, sum(sizes(config).values())
    arrays = grid.replies[0].content.array_records[ADAPTER].values()
    assert first.bytes_down == 2 * one
    if share is None:
        assert 2 * one * 0.2 <= first.bytes_up < 2 * one * 0.4
    else:
        scales = 2 * 4 * len(arrays) if kind == "int8" else 0  # counted twice: tensors and their scales
        assert 2 * one * share <= first.bytes_up <= 2 * one * share + scales


def test_the_aggregate_is_that_of_the_unpacked_updates(config: FederatedConfig) -> None:
    config = replace(config, rounds=1)
    plain, packed = ran(config).adapter, ran(replace(config, compression="bf16")).adapter
    for name, array in plain.items():
        assert_allclose(packed[name], array, rtol=0, atol=2**-8 * 0.05)


def test_a_reply_that_cannot_be_unpacked_is_left_out(config: FederatedConfig) -> None:
    def uncompressed(answer: object) -> None:
        answer.content[ADAPTER] = answer.content[ADAPTER].copy()  # type: ignore[attr-defined]
        del answer.content[ADAPTER][next(iter(answer.content[ADAPTER]))]  # type: ignore[attr-defined]

    config = replace(config, rounds=1, clients_per_round=3, compression="int8")
    (record,) = ran(config, LoopbackGrid(3, distort={1: uncompressed})).records
    assert record.clients == (0, 2)
    assert record.failures[0].reason == "its compressed adapter has other tensors"
    with pytest.raises(EvaluationError, match="no client gave a usable adapter"):
        ran(config, LoopbackGrid(3, distort=dict.fromkeys(range(3), uncompressed)))
