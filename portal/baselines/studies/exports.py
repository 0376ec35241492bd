"""A study as files: each run and its scores as CSV, all with the plan as JSON, the table for LaTeX."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from portal.baselines.studies.table import CellResult, Table, method_of
from portal.submissions.rules import site_rules

_PLACE = ("cell", "base_model", "challenge", "strategy", "adapter", "partition", "seed")
_RUN = ("run", "stage", "entry", "public", "average", "bytes", "seconds", "energy_joules", "rows")


# Signs that mean something to LaTeX.
_TEX = {sign: f"\\{sign}" for sign in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A file that a study is exported as."""

    name: str
    content_type: str
    write: Callable[[Table], str]
    title: str


def as_csv(table: Table) -> str:
    """A line for each run; scores are fractions, empty where there is none."""
    benchmarks = list(dict.fromkeys(slug for c in table.plan.challenges for slug in site_rules(c).benchmarks))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_PLACE, *_RUN, *benchmarks])
    for result in table.cells:
        for row in _runs(result):
            scores = row.pop("scores")
            writer.writerow([*map(_cell, row.values()), *(_cell(scores.get(slug)) for slug in benchmarks)])
    return text.getvalue()


def as_json(table: Table) -> str:
    return json.dumps(as_data(table), indent=2, ensure_ascii=False) + "\n"


def as_data(table: Table) -> dict[str, Any]:
    """The study with its plan, cells and runs as JSON values. Scores and limits are fractions."""
    return {
        "id": table.study.pk,
        "title": table.study.title,
        "started_at": table.study.started_at.isoformat(),
        "priority": table.study.priority,
        "under_way": table.is_under_way,
        "runs": table.plan.runs,
        "runs_by_stage": dict(table.counts),
        "plan": table.study.plan,
        "plan_sha256": hashlib.sha256(table.study.plan.encode()).hexdigest(),
        "cells": [_cell_data(result) for result in table.cells],
    }


def as_latex(table: Table) -> str:
    """A booktabs table as papers have it: base models and methods down, challenges across.

    A figure is the mean over seeds in per cent with half of its 95% interval's width; the best of a base
    model is bold, and what cannot be told from it has a dagger.
    """
    columns = table.challenges
    head = " & ".join(["Base model", "Method", *(_tex(challenge.title) for challenge in columns)])
    lines = [
        f"% {table.study.title}, study {table.study.pk}: {len(table.plan.seeds)} seed(s), 95% intervals",
        r"% bold: the highest on its base model; $^\dagger$: not told from it (paired test, 5%, all pairs)",
        *([f"% not official: {table.mark}"] if table.mark else []),
        rf"\begin{{tabular}}{{ll{'r' * len(columns)}}}",
        r"\toprule",
        rf"{head} \\",
    ]
    last = ""
    for (base_model, method), row in rows_of(table).items():
        if base_model != last:
            lines.append(r"\midrule")
        name = "" if base_model == last else _tex(base_model.rpartition("/")[2])
        last = base_model
        figures = (_latex_figure(row.get(challenge.slug)) for challenge in columns)
        lines.append(rf"{' & '.join([name, _tex(method), *figures])} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def rows_of(table: Table) -> dict[tuple[str, str], dict[str, CellResult]]:
    """The cells by base model and method, in each row by challenge."""
    rows: dict[tuple[str, str], dict[str, CellResult]] = {}
    for result in table.cells:
        key = (result.cell.base_model, method_of(result.cell, table.plan))
        rows.setdefault(key, {})[result.cell.challenge] = result
    return rows


def _runs(result: CellResult) -> Iterator[dict[str, Any]]:
    cell = result.cell
    place = (cell.number, cell.base_model, cell.challenge, cell.strategy, cell.adapter, cell.partition_name)
    for run in result.runs:
        facts = (
            run.run, run.stage, run.entry, run.is_public, run.average, run.bytes, run.seconds, run.energy,
            run.mark or ("official" if run.stage == "scored" else ""),
        )  # fmt: skip
        named = dict(zip((*_PLACE, *_RUN), (*place, run.seed, *facts), strict=True))
        yield named | {"scores": dict(run.scores)}


def _cell_data(result: CellResult) -> dict[str, Any]:
    cell, score = result.cell, result.score
    return {
        "number": cell.number,
        "base_model": cell.base_model,
        "challenge": cell.challenge,
        "strategy": cell.strategy,
        "adapter": cell.adapter,
        "partition": cell.partition_name,
        "score": None if score is None else asdict(score),
        "best": result.best,
        "level_with_best": result.is_level,
        "bytes": result.bytes,
        "seconds": result.seconds,
        "energy_joules": result.energy,
        "runs": [
            {key: value for key, value in row.items() if key in ("seed", *_RUN, "scores")}
            for row in _runs(result)
        ],
    }


def _latex_figure(result: CellResult | None) -> str:
    if result is None or result.score is None:
        return "--"
    low, high = result.score.interval
    text = f"{100 * result.score.value:.2f}"
    figure = rf"\textbf{{{text}}}" if result.best else text + (r"$^\dagger$" if result.is_level else "")
    return rf"{figure} {{\scriptsize $\pm$ {50 * (high - low):.2f}}}"


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text)


def _cell(value: object) -> object:
    """For a spreadsheet: an empty place for None, and no text that it would take for a formula."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@\t\r")) else value


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        one.name: one
        for one in (
            Format("csv", "text/csv; charset=utf-8", as_csv, "every run"),
            Format("json", "application/json", as_json, "all, with the plan"),
            Format("tex", "application/x-tex; charset=utf-8", as_latex, "the table for LaTeX"),
            Format("toml", "application/toml; charset=utf-8", lambda table: table.study.plan, "the plan"),
        )
    }
)
