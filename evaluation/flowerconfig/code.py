"""Which strategy an app's Python code uses, found by reading the code; it is never run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence

from evaluation.method.strategies import KNOWN, canonical

MAX_SIZE = 512 * 1024
_INHERITANCE_STEPS = 8


def strategy_in_code(sources: Sequence[str]) -> str | None:
    """The one strategy that the sources of an app make; None when there is none or more than one.

    A class of the app's own counts as what it inherits from, unless its own name is that of a strategy:
    `class FlowerTuneLlm(FedAvg)` is fedavg. Sources that are not Python or over `MAX_SIZE` characters
    are passed over.
    """
    trees = [tree for source in sources if (tree := _parsed(source)) is not None]
    bases = {
        node.name: [name for base in node.bases if (name := _name(base))]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    made = {
        strategy
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (name := _name(node.func))
        for strategy in [_strategy(name, bases)]
        if strategy
    }
    return made.pop() if len(made) == 1 else None


def _parsed(source: str) -> ast.Module | None:
    if len(source) > MAX_SIZE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stranger's invalid escapes
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _name(expression: ast.expr) -> str | None:
    """FedAvg of FedAvg and of strategy.FedAvg."""
    if isinstance(expression, ast.Name):
        return expression.id
    return expression.attr if isinstance(expression, ast.Attribute) else None


def _strategy(name: str, bases: dict[str, list[str]]) -> str | None:
    """What the class `name` is among known strategies."""
    level = [name]
    for _ in range(_INHERITANCE_STEPS):
        for each in level:
            # Variables and functions are called too; only classes, which begin upper-case, are meant.
            if each[:1].isupper() and canonical(each) in KNOWN:
                return canonical(each)
        level = [base for each in level for base in bases.get(each, [])][:64]
    return None
