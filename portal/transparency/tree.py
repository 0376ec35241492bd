"""The stored nodes of the log's tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.db.models import Q

from evaluation.statements.merkle import Node
from portal.transparency.models import Leaf, TreeNode


def read(nodes: Sequence[Node]) -> Mapping[Node, bytes]:
    """Their hashes, in two queries. KeyError for one that is not there comes with its use."""
    by_level: dict[int, list[int]] = defaultdict(list)
    for level, index in nodes:
        by_level[level].append(index)
    leaves = Leaf.objects.filter(index__in=by_level.pop(0, []))
    found: dict[Node, bytes] = {
        (0, index): bytes(one) for index, one in leaves.values_list("index", "leaf_hash")
    }
    if by_level:
        wanted = Q()
        for level, places in by_level.items():
            wanted |= Q(level=level, index__in=places)
        rows = TreeNode.objects.filter(wanted).values_list("level", "index", "hash")
        found |= {(level, index): bytes(one) for level, index, one in rows}
    return found
