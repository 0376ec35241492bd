"""`verify`: checks what a site states of an entry, and says what that proves and what it does not."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from evaluation.commands.text import paragraph
from evaluation.statements.answers import digest_of_file
from evaluation.statements.bundle import Bundle
from evaluation.statements.fields import encoded, written
from evaluation.statements.statement import ADAPTER, Statement
from evaluation.statements.tree_head import TreeHead
from evaluation.statements.verification import EarlierHead, Held, Outcome, Report, verify
from flowertune import known_logs
from flowertune.commands.options import Commands, Context, add_command
from flowertune.console import table
from flowertune.errors import ClientError, UsageError
from flowertune.exit_status import Status
from flowertune.known_logs import Trusted
from flowertune.site import MOST_BYTES, Site, normal_url

_ENTRY = re.compile(r"(.*?)(?:/api/v1)?/entries/([0-9]{1,18})(?:/.*)?")
_ABOUT = (
    "Check what a site states of an entry: that the statement is signed by the site's key and stands in its "
    "public log, that the log still continues what was seen of it before, and, where they are given, that an "
    "adapter and answers are those that were evaluated. A file is checked without network: its keys must be "
    "known from --keys or from an earlier call."
)
_EXAMPLES = (
    "  flowertune verify https://leaderboard.example.org/entries/12/\n"
    "  flowertune verify entry-12-statement.json --keys flowertune-log.json\n"
    "  flowertune verify entry-12-statement.json --adapter peft_8/ --answers answers/evaluation-7-fpb.jsonl\n"
)


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "verify",
        _verify,
        summary="check a site's signed statement of a result",
        about=_ABOUT,
        examples=_EXAMPLES,
    )
    parser.add_argument("target", metavar="FILE|URL", help="a statement's file, or the address of an entry")
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="the site's keys, had by a way that you trust"
    )
    parser.add_argument(
        "--adapter", type=Path, metavar="PATH", help=f"{ADAPTER}, or the folder that it is in"
    )
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="answers to a benchmark as `results --items` writes them; may be repeated",
    )


@dataclass(frozen=True)
class _Source:
    """A bundle, and the site that it was fetched from; None for a file."""

    bundle: Bundle
    site: Site | None


def _verify(context: Context) -> Status:
    options = context.options
    adapter = _digest(options.adapter) if options.adapter else None
    answers = {str(path): digest_of_file(path) for path in options.answers}
    with _opened(options.target) as source:
        head = TreeHead.read(source.bundle.head)
        trusted = _trusted(source, head, options.keys)
        earlier = known_logs.earlier_head(head.log, head, source.site)
    report = verify(source.bundle, Held(trusted.keys, earlier, adapter, answers))
    if not report.failed and trusted.keys and _is_newer(report, earlier):
        known_logs.keep_head(head.log, source.bundle.head)
    context.console.result(_as_document(report, trusted), _as_text(report, trusted))
    if report.failed:
        return Status.REFUSED
    return Status.DONE if trusted.keys else Status.USAGE


@contextlib.contextmanager
def _opened(target: str) -> Iterator[_Source]:
    if not target.startswith(("http://", "https://")):
        yield _Source(_read(Path(target)), None)
        return
    parts = urlsplit(target)
    found = _ENTRY.fullmatch(parts.path)
    if found is None:
        raise UsageError(f"{target} is no entry's address. Write it like https://SITE/entries/12/")
    query = f"?{parts.query}" if parts.query else ""
    with Site(normal_url(f"{parts.scheme}://{parts.netloc}{found[1]}")) as site:
        bundle = Bundle.read(site.document("GET", f"entries/{found[2]}/statement/{query}"))
        stated = Statement.read(bundle.statement.payload).entry
        if stated != int(found[2]):
            raise ClientError(f"The site answered with a statement of entry {stated}.", code="another_entry")
        yield _Source(bundle, site)


def _read(path: Path) -> Bundle:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path} is larger than any statement.")
    return Bundle.parse(content)


def _trusted(source: _Source, head: TreeHead, keys: Path | None) -> Trusted:
    if keys is not None:
        return known_logs.keys_from_file(keys, source.bundle)
    if source.site is not None:
        return known_logs.site_keys(source.site)
    return known_logs.kept_keys(head.log, source.bundle)


def _digest(path: Path) -> str:
    """SHA-256 of an adapter's file."""
    file = path / ADAPTER if path.is_dir() else path
    try:
        with file.open("rb") as content:
            digest = hashlib.sha256()
            while piece := content.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _is_newer(report: Report, earlier: EarlierHead | None) -> bool:
    """Whether the head is the one to remember: the first, or one that was proved to continue the last."""
    if earlier is None:
        return True
    outcomes = {check.name: check.outcome for check in report.checks}
    return report.head.size > earlier.head.size and outcomes["consistency"] is Outcome.PROVED


def _as_document(report: Report, trusted: Trusted) -> dict[str, Any]:
    head = report.head
    return {
        "proved": not report.failed and trusted.keys is not None,
        "keys": trusted.because,
        "checks": [
            {"name": one.name, "outcome": one.outcome.value, "text": one.text} for one in report.checks
        ],
        "statement": {
            "subject": [{"name": one.name, "digest": dict(one.digest)} for one in report.statement.subjects],
            "predicateType": report.statement.predicate_type,
            "predicate": dict(report.statement.predicate),
        },
        "head": {"log": head.log, "size": head.size, "root": encoded(head.root), "time": written(head.time)},
    }


def _as_text(report: Report, trusted: Trusted) -> str:
    statement = report.statement
    about = statement.predicate
    title = (
        f"{_one_line(statement.site)}/entries/{statement.entry}/\n"
        f"  {_one_line(about.get('challenge'))}, protocol {_one_line(about.get('protocol'))}, "
        f"evaluation {_one_line(about.get('evaluation'))}"
        f", stated at {written(statement.stated_at)}"
    )
    rows = [(one.outcome.value, one.name, one.text) for one in report.checks]
    parts = [title, _scores(about), table(rows, head=("outcome", "check", "")), paragraph(trusted.because)]
    if report.failed:
        own = report.failed <= {"adapter", "answers"}
        end = "NOT THE SAME FILES" if own else "FORGED OR DAMAGED: do not believe this statement"
        return "\n\n".join([*parts, f"{end}."])
    if trusted.keys is None:
        return "\n\n".join([*parts, "NOT PROVED: no key is known that it could be held against."])
    page = f"{statement.site}/entries/{statement.entry}/"
    return "\n\n".join(
        [
            *parts,
            paragraph(
                f"This proves that {statement.site} stated this result, of these files and under these "
                "conditions, and put it into its public log, from where it cannot take it away unseen."
            ),
            paragraph(
                "It does not prove that the evaluation went as the site states it, that the entry still "
                f"stands ({page} says so), or that the site shows others the same log: compare heads with "
                "them to know that."
            ),
        ]
    )


def _scores(about: Mapping[str, Any]) -> str:
    """The scores as they are stated, in per cent. Of a forged statement they may be anything."""
    stated = about.get("scores")
    scores = [row for row in stated if isinstance(row, dict)] if isinstance(stated, list) else []
    average = about.get("average")
    if isinstance(average, dict):
        scores.append({**average, "benchmark": "average"})
    rows = [
        (
            str(row.get("benchmark")),
            _percent(row.get("value")),
            _interval(row.get("interval95")),
            str(row.get("n", "")),
        )
        for row in scores
    ]
    return table(rows, head=("benchmark", "%", "95%", "items"), right=(1, 2, 3))


def _one_line(value: object) -> str:
    """What a statement says as part of a line, so that it cannot look like a sentence of this program."""
    return str(value).replace("\n", " ")


def _percent(value: object) -> str:
    return f"{100 * value:.2f}" if _is_share(value) else ""


def _interval(ends: object) -> str:
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(_is_share, ends)):
        return ""
    return f"{100 * ends[0]:.1f}–{100 * ends[1]:.1f}"


def _is_share(value: object) -> TypeGuard[float]:
    """Of what JSON holds, numbers have any size."""
    return isinstance(value, int | float) and 0 <= value <= 1
