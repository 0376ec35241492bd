"""What the cache holds: every field comes back, nothing is a pickle, and what can't be read is made anew."""

from __future__ import annotations

import pickle
import re
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from django.core.cache import cache
from django.test import Client

from leaderboard import urls
from leaderboard.reading import snapshots
from leaderboard.reading.kept import Kind, UnreadableError
from leaderboard.reading.snapshot_format import BOARDS, Part, Shelf
from leaderboard.standing.entries import BenchmarkScore, Cost, Entry, Flag
from portal.accounts.models import User
from tests.portal import factories

assert urls.urlpatterns, "all views are imported, and with them every kind"
KINDS: list[Kind[Any]] = [
    *{
        kind.name: kind
        for name, module in sorted(sys.modules.items())
        if name.startswith("leaderboard.")
        for value in vars(module).values()
        for kind in ((value.index, value.parts) if isinstance(value, Shelf) else (value,))
        if isinstance(kind, Kind)
    }.values()
]
PLAIN: dict[Any, tuple[Any, Any]] = {
    int: (2, 3),
    float: (0.1, 0.7),
    bool: (False, True),
    str: ("a", "\N{GREEK SMALL LETTER BETA}\n"),
    bytes: (b"\x00", b"\xff\n"),
    datetime: (datetime(2026, 3, 1, 12, 0, 0, 123456, UTC), datetime(2026, 3, 1, 12, 0, 0, 123457, UTC)),
    date: (date(2026, 3, 1), date(2026, 3, 2)),
    Any: ({"mark": ["bar", 1, 0.5, None]}, {"mark": ["line"]}),
    type(None): (None, None),
}


def sample(kind: Any) -> Any:
    """A value of a type in which nothing is empty, nor what a field is by default."""
    if kind in PLAIN:
        return PLAIN[kind][0]
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: sample(hints[field.name]) for field in fields(kind)})  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return sample(next(one for one in arguments if one is not type(None)))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return tuple(sample(one) for one in arguments)
    if origin in (tuple, list):
        return origin((sample(arguments[0]), sample(arguments[0])))
    assert issubclass(origin, Mapping), f"no sample of {kind}: give it one"
    return {sample(arguments[0]): sample(arguments[1])}


def changed(kind: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """The same value with one thing in it changed, for every thing in it, each with its place."""
    if kind in PLAIN:
        yield "", PLAIN[kind][1]
        return
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        for field in fields(kind):
            for place, other in changed(hints[field.name], getattr(value, field.name)):
                yield f".{field.name}{place}", replace(value, **{field.name: other})
        return
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield from (("", member) for member in kind if member is not value)
        return
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        yield "", None
        yield from changed(next(one for one in arguments if one is not type(None)), value)
    elif origin in (tuple, list):
        for position in range(len(value)):
            inner = arguments[min(position, len(arguments) - 1)]
            inner = arguments[0] if inner is Ellipsis else inner
            for place, other in changed(inner, value[position]):
                yield f"[{position}]{place}", origin((*value[:position], other, *value[position + 1 :]))
    else:
        ((key, held),) = value.items()
        yield from ((f"[{key}]{place}", {key: other}) for place, other in changed(arguments[1], held))
        yield from ((" key", {other: held}) for _, other in changed(arguments[0], key))


def told(value: Any) -> Any:
    """All of a value with its types, whatever it says of its own equality."""
    if is_dataclass(value):
        return type(value), [(field.name, told(getattr(value, field.name))) for field in fields(value)]
    if isinstance(value, list | tuple):
        return type(value), [told(one) for one in value]
    if isinstance(value, Mapping):
        return [(told(key), told(held)) for key, held in value.items()]
    return type(value), value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_of_what_is_kept_comes_back_as_it_was(kind: Kind[Any]) -> None:
    value = sample(kind.type)
    assert told(kind.load(kind.dump(value))) == told(value)
    for place, other in changed(kind.type, value):
        assert told(other) != told(value), f"{place} was not changed"
        assert told(kind.load(kind.dump(other))) == told(other), place


def test_the_round_trip_reaches_down_to_every_field() -> None:
    reached = {name for place, _ in changed(Part, sample(Part)) for name in re.findall(r"\w+", place)}
    for whole in (Part, Entry, BenchmarkScore, Flag, Cost):
        assert reached >= {field.name for field in fields(whole)}, whole


def test_boards_indexes_and_pictures_are_among_what_is_kept() -> None:
    names = {kind.name for kind in KINDS}
    assert names >= {"board", "past-board", "items-index", "pairings", "places", "card", "figure", "picture"}
    assert len(names) == len(KINDS), "two kinds of one name may read each other's values"


def test_another_number_or_layout_is_another_format() -> None:
    costs = Kind("test-format", Cost, number=1, seconds=60)
    longer = make_dataclass("Cost", [("value", float), ("basis", str), ("unit", str, "B")])
    longer.__doc__ = Cost.__doc__
    costs.put("x", Cost(1.0, "measured"))
    assert costs.get("x") == Cost(1.0, "measured")
    assert Kind("test-format", Cost, number=2, seconds=60).get("x") is None
    assert Kind("test-format", longer, number=1, seconds=60).get("x") is None


def test_no_damage_goes_unseen(caplog: pytest.LogCaptureFixture) -> None:
    costs = Kind("test-damage", Cost, number=1, seconds=60)
    cost = Cost(0.125, "measured")
    whole = costs.dump(cost)
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 0x10
        for kept in (bytes(broken), whole[:position]):
            try:
                assert costs.load(kept) == cost, "the checksum lets nothing else through"
            except UnreadableError:
                continue
    cache.set(costs.key("x"), whole[:-3], 60)
    assert costs.get_or_make("x", lambda: Cost(2.0, "derived")) == Cost(2.0, "derived")
    assert costs.get("x") == Cost(2.0, "derived")
    assert "test-damage" in caplog.text and "made anew" in caplog.text


@dataclass
class Bomb:
    """A pickle that leaves a file behind when somebody opens it."""

    path: str

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


def test_a_pickle_in_the_cache_is_never_opened(
    client: Client, owner: User, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    factories.published(owner)
    snapshots.checked("finance")
    trace = tmp_path / "opened"
    for key in (BOARDS.index.key("finance:1"), BOARDS.parts.key("finance:1:0"), "throttle_anon_127.0.0.1"):
        raw = cache.client.get_client(write=True)  # type: ignore[attr-defined]
        raw.set(cache.make_key(key), pickle.dumps(Bomb(str(trace))))
    assert cache.get("throttle_anon_127.0.0.1", []) == []
    snapshots._known.clear()
    assert client.get("/leaderboard/finance/").status_code == 200
    assert client.get("/api/v1/leaderboards/finance/").status_code == 200
    assert [s.entry.method for s in snapshots.current("finance").standings] == ["FedAvg"]
    assert not trace.exists()
    assert "Exception ignored" in caplog.text


def test_what_has_no_plain_form_is_refused_instead_of_pickled() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        cache.set("test-plain", Cost(1.0, "measured"), 60)
    with pytest.raises(TypeError, match="no form in the cache"):
        Kind("test-plain", timedelta, number=1, seconds=60).put("x", complex(1, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [b"", b"12", b"\x00\xff", "12", "", [1.5, 2], {"a": None}, True, 0, 12])
def test_plain_values_come_back_of_the_same_type(value: object) -> None:
    cache.set("test-plain", value, 60)
    assert told(cache.get("test-plain")) == told(value)
