"""The Merkle tree of RFC 6962 (RFC 9162, section 2.1) over SHA-256: roots, proofs, and their verification.

A tree of n leaves is read by its perfect subtrees alone: node (level, i) is the root of the leaves
i·2^level … (i+1)·2^level - 1, and never changes once they are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = tuple[int, int]
Read = Callable[[Sequence[Node]], Mapping[Node, bytes]]
_Range = tuple[int, int]


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """What is needed of a tree to append to it: the roots of its perfect subtrees, the largest first."""

    size: int = 0
    roots: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, size: int, read: Read) -> Frontier:
        """Of the tree that is stored."""
        nodes = list(_perfect((0, size)))
        found = read(nodes)
        return cls(size, tuple(found[node] for node in nodes))

    @property
    def root(self) -> bytes:
        return _folded(self.roots) if self.roots else EMPTY_ROOT

    def append(self, leaf: bytes) -> tuple[Frontier, list[tuple[Node, bytes]]]:
        """The tree with one more leaf, and the inner nodes that it completes."""
        roots, completed, hashed = list(self.roots), [], leaf
        level, index = 0, self.size
        while index & 1:
            hashed, level, index = node_hash(roots.pop(), hashed), level + 1, index >> 1
            completed.append(((level, index), hashed))
        return Frontier(self.size + 1, (*roots, hashed)), completed


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree, _ = tree.append(leaf)
    return tree.root


def inclusion_proof(index: int, size: int, read: Read) -> list[bytes]:
    """That leaf `index` is in the tree of `size` leaves. Raises ValueError where it cannot be."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    return _hashes(list(_path(index, (0, size))), read)


def consistency_proof(first: int, second: int, read: Read) -> list[bytes]:
    """That the tree of `first` leaves is the beginning of that of `second`. Raises ValueError."""
    if not 0 < first <= second:
        raise ValueError(f"a tree of {first} leaves is no beginning of one of {second}")
    return _hashes(list(_subproof(first, (0, second), whole=True)), read)


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check an inclusion proof: RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    node, last, hashed = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            hashed = node_hash(part, hashed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            hashed = node_hash(hashed, part)
        node, last = node >> 1, last >> 1
    return last == 0 and hashed == root


def is_consistent(first: int, second: int, proof: Sequence[bytes], old: bytes, new: bytes) -> bool:
    """Check a consistency proof: RFC 9162, section 2.1.4.2. The empty tree is the beginning of any."""
    if first == second:
        return not proof and old == new
    if first == 0:
        return not proof and old == EMPTY_ROOT
    parts = [old, *proof] if first & (first - 1) == 0 else list(proof)
    if not 0 < first < second or not parts:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(part, before), node_hash(part, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, part)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old and after == new


def _path(index: int, whole: _Range) -> Iterator[_Range]:
    """The ranges beside a leaf's way to the root, the lowest first."""
    start, end = whole
    if end - start == 1:
        return
    middle = start + _split(end - start)
    if index < middle:
        yield from _path(index, (start, middle))
        yield middle, end
    else:
        yield from _path(index, (middle, end))
        yield start, middle


def _subproof(size: int, within: _Range, *, whole: bool) -> Iterator[_Range]:
    """SUBPROOF of RFC 6962, section 2.1.2, as ranges of leaves."""
    start, end = within
    if start + size == end:
        if not whole:
            yield start, end
        return
    middle = start + _split(end - start)
    if start + size <= middle:
        yield from _subproof(size, (start, middle), whole=whole)
        yield middle, end
    else:
        yield from _subproof(size - (middle - start), (middle, end), whole=False)
        yield start, middle


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _perfect(within: _Range) -> Iterator[Node]:
    """The perfect subtrees that a range of a proof is made of, from the left."""
    start, end = within
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _hashes(ranges: Sequence[_Range], read: Read) -> list[bytes]:
    """The root of each range, read in one go."""
    nodes = [list(_perfect(within)) for within in ranges]
    found = read([node for parts in nodes for node in parts])
    return [_folded([found[node] for node in parts]) for parts in nodes]


def _folded(roots: Sequence[bytes]) -> bytes:
    hashed = roots[-1]
    for left in reversed(roots[:-1]):
        hashed = node_hash(left, hashed)
    return hashed
