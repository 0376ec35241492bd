"""Regular expressions from strangers, matched in a number of steps that is counted.

Python's own matcher tries one way after another: `(a+)+$` takes it time exponential in a name's length. Here
all ways are followed at once: a set of positions, in all names together, is one integer whose bits a step
shifts and masks (as in Cameron et al., Bitwise Data Parallelism in Regular Expression Matching, PACT 2014).
The expression is read by Python's own parser, and its characters are told by Python's own matcher, so that
what is matched is what `re.fullmatch`, and so PEFT, matches. Counted steps give the same answer on a loaded
machine as on an idle one.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from evaluation.findings import excerpt

MAX_LENGTH = 8192
MAX_PATTERNS = 256
# What the expressions may cost together, in bytes of integers that are computed with: about a second of the
# worst, and fifty times what a usual one asks of 18,000 modules. A short integer costs as much as a long one
# of `_OVERHEAD` bytes.
MAX_WORK = 1 << 31
_OVERHEAD = 4096

_parser = importlib.import_module("re._parser")  # no name of its own in the library's documentation
_compiler = importlib.import_module("re._compiler")
_TYPES = re.ASCII | re.LOCALE | re.UNICODE
_NOT_REGULAR = {
    "GROUPREF": "a reference back to a group",
    "GROUPREF_EXISTS": "a condition on a group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repeat",
}

_Node: TypeAlias = tuple[Any, Any]
_Nodes: TypeAlias = Iterable[_Node]


class PatternError(ValueError):
    """A pattern is no regular expression, or none that is matched within `MAX_WORK`; the text says which."""


def full_matches(patterns: Sequence[str], names: Sequence[str]) -> list[frozenset[str]]:
    """For each pattern the names that it matches from end to end, as `re.fullmatch` does.

    Raises PatternError for the first pattern that is malformed, refers back, or takes too many steps.
    """
    if any(len(pattern) > MAX_LENGTH for pattern in patterns):
        raise PatternError(f"a pattern is longer than {MAX_LENGTH:,} characters")
    if len(patterns) > MAX_PATTERNS:
        raise PatternError(f"there are more than {MAX_PATTERNS} patterns")
    text = _Text(tuple(names))
    return [_full_matches(pattern, text) for pattern in patterns]


def _full_matches(pattern: str, text: _Text) -> frozenset[str]:
    try:
        parsed = _parser.parse(pattern)
        _refuse_what_is_not_matched(parsed)
        ends = _Matching(text).after(parsed, text.starts, parsed.state.flags)
    except (re.error, RecursionError, OverflowError) as error:
        said = excerpt(str(error) or type(error).__name__)
        raise PatternError(f"{excerpt(pattern)} is no regular expression ({said})") from error
    return frozenset(name for name, end in zip(text.names, text.end_of, strict=True) if ends >> end & 1)


def _refuse_what_is_not_matched(parsed: _Nodes) -> None:
    """Also where no name comes so far: what is malformed is so for all names."""
    for kind, value in _parts(parsed):
        if str(kind) in _NOT_REGULAR:
            raise PatternError(f"{_NOT_REGULAR[str(kind)]} is not matched here")
        if str(kind) in ("ASSERT", "ASSERT_NOT") and value[0] < 0 and len(set(value[1].getwidth())) > 1:
            raise re.error("look-behind requires fixed-width pattern")


def _parts(value: Any) -> Iterator[_Node]:
    """Each part of what the parser made, however deep."""
    if isinstance(value, _parser.SubPattern):
        for node in value:
            yield node
            yield from _parts(node[1])
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _parts(inner)


@dataclass
class _Text:
    """The names one behind the other, each with a place behind its last character that no character matches.

    A set of positions is an integer: bit `p` stands for the position before the character `p` of the whole.
    """

    names: tuple[str, ...]
    whole: str = field(init=False)
    end_of: list[int] = field(init=False)
    starts: int = field(init=False)
    ends: int = field(init=False)
    everywhere: int = field(init=False)
    work: int = 0

    def __post_init__(self) -> None:
        self.whole = "".join(f"{name}\0" for name in self.names)
        self.end_of = []
        position = 0
        for name in self.names:
            position += len(name)
            self.end_of.append(position)
            position += 1
        self.everywhere = (1 << len(self.whole)) - 1
        self.ends = self._set_of(self.end_of)
        self.starts = ((self.ends << 1) | 1) & self.everywhere

    def where(self, matches: Callable[[str], object]) -> int:
        """The positions of the characters that match."""
        digits = {ord(character): "1" if matches(character) else "0" for character in set(self.whole)}
        self.spend(16)
        return int(self.whole[::-1].translate(digits) or "0", 2) & ~self.ends

    def spend(self, steps: int) -> None:
        self.work += steps * (len(self.whole) // 8 + _OVERHEAD)
        if self.work > MAX_WORK:
            raise PatternError("matching takes too many steps")

    def _set_of(self, positions: Sequence[int]) -> int:
        digits = bytearray(b"0") * (len(self.whole) or 1)
        for position in positions:
            digits[-1 - position] = ord("1")
        return int(digits, 2)


class _Matching:
    """One expression over a text. Methods give the positions that a part leads to from others."""

    def __init__(self, text: _Text) -> None:
        self._text = text
        self._kept: dict[tuple[str, int], int] = {}

    def after(self, nodes: _Nodes, positions: int, flags: int) -> int:
        """Where matches of the parts in turn end that begin at the positions."""
        for node in nodes:
            if not positions:
                break
            positions = self._step(node, positions, flags, self.after)
        return positions

    def before(self, nodes: _Nodes, positions: int, flags: int) -> int:
        """Where matches of the parts in turn begin that end at the positions."""
        for node in reversed(list(nodes)):
            if not positions:
                break
            positions = self._step(node, positions, flags, self.before)
        return positions

    def _step(self, node: _Node, positions: int, flags: int, way: Callable[[_Nodes, int, int], int]) -> int:
        self._text.spend(1)
        kind, value = str(node[0]), node[1]
        if kind == "SUBPATTERN":
            _, added, removed, inner = value
            kept = flags & ~_TYPES if added & _TYPES else flags
            return way(inner, positions, (kept | added) & ~removed)
        if kind == "BRANCH":
            return self._any(way(branch, positions, flags) for branch in value[1])
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inner = value
            return self._repeated(lambda found: way(inner, found, flags), positions, int(least), int(most))
        if kind in ("AT", "ASSERT", "ASSERT_NOT", "FAILURE"):
            return positions & self._kept_as(node, flags, self._condition)
        characters = self._kept_as(node, flags, self._characters)
        return (positions & characters) << 1 if way == self.after else positions >> 1 & characters

    @staticmethod
    def _any(found: Iterable[int]) -> int:
        union = 0
        for positions in found:
            union |= positions
        return union

    @staticmethod
    def _repeated(once: Callable[[int], int], positions: int, least: int, most: int) -> int:
        for _ in range(least):
            found = once(positions)
            if found == positions:  # as it stays from here on
                break
            positions = found
        reached = new = positions
        for _ in range(most - least):
            new = once(new) & ~reached
            if not new:
                break
            reached |= new
        return reached

    def _kept_as(self, node: _Node, flags: int, computed: Callable[[_Node, int], int]) -> int:
        key = (str(node), flags)
        if key not in self._kept:
            self._kept[key] = computed(node, flags)
        return self._kept[key]

    def _characters(self, node: _Node, flags: int) -> int:
        """The positions before the characters that a part of one character matches."""
        if str(node[0]) == "IN":  # Python's compiler walks through ranges
            widths = [value[1] - value[0] for kind, value in node[1] if str(kind) == "RANGE"]
            self._text.spend(min(sum(widths), 1 << 16))
        state = _parser.State()
        state.flags = flags
        one = _compiler.compile(_parser.SubPattern(state, [node]), flags)
        return self._text.where(one.match)

    def _condition(self, node: _Node, flags: int) -> int:
        """The positions at which a part holds that takes up no character."""
        kind, value, text = str(node[0]), node[1], self._text
        if kind == "AT":
            return self._place(str(value), flags)
        if kind == "FAILURE":
            return 0
        direction, inner = value
        found = (self.before if direction > 0 else self.after)(inner, text.everywhere, flags)
        return found if kind == "ASSERT" else text.everywhere & ~found

    def _place(self, place: str, flags: int) -> int:
        text = self._text
        if place == "AT_BEGINNING_STRING":
            return text.starts
        if place == "AT_END_STRING":
            return text.ends
        if place in ("AT_BOUNDARY", "AT_NON_BOUNDARY"):
            words = text.where(re.compile(r"\w", re.ASCII if flags & re.ASCII else 0).match)
            boundary = ((words << 1) ^ words) & text.everywhere
            return boundary if place == "AT_BOUNDARY" else text.everywhere & ~boundary
        breaks = text.where(lambda character: character == "\n")
        if place == "AT_BEGINNING":
            return text.starts | (breaks << 1) if flags & re.MULTILINE else text.starts
        return text.ends | (breaks if flags & re.MULTILINE else breaks & (text.ends >> 1))
