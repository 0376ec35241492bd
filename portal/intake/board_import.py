"""Rows of a public board as entries: declared, for the field's history, and never evaluated here."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import takewhile

from django.db import transaction
from django.utils import timezone

from evaluation.findings import Finding, Severity
from evaluation.inspection import Known, Material, inspect
from evaluation.inspection.declared import DeclaredScore
from evaluation.method.communication import GB
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PUBLIC
from portal.accounts.models import Team, User
from portal.queues import wake_board_builders
from portal.submissions.models import BaseModel, Resource, Submission
from portal.submissions.models import DeclaredScore as StoredScore
from portal.submissions.models import Finding as StoredFinding
from portal.submissions.rules import site_rules

COLUMNS = (
    "challenge", "team", "base_model", "communication_gb", "score_1", "score_2", "score_3", "score_4", "date",
)  # fmt: skip
SCORES = ("score_1", "score_2", "score_3", "score_4")
ACCOUNT = "board-import"


class BoardError(Exception):
    """The file is no board; `problems` names every line with what is wrong in it. Nothing was imported."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


PUBLIC_BOARD = "https://flower.ai/benchmarks/llm-leaderboard/"
"""Where the rows come from, unless something else is said."""


@dataclass(frozen=True)
class BoardRow:
    """One row: the scores as printed, in the order of the challenge's benchmarks; communication in bytes."""

    line: int
    challenge: str
    team: str
    base_model: str
    communication: float | None
    scores: tuple[DeclaredScore, ...]
    day: date | None
    place: int | None = None

    @property
    def digest(self) -> str:
        """What tells the row from others; not its rank, which changes as others come."""
        facts = [
            self.challenge,
            self.team,
            self.base_model,
            self.communication,
            [str(score.percent) for score in self.scores],
            f"{self.day}T00:00:00+00:00" if self.day else None,
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the inspection says of figures without files; nothing stands against a row of the past."""
        known = Known(declared_bytes=self.communication, declared_scores=self.scores, is_exempt=True)
        return inspect(Material(), site_rules(self.challenge), known).findings


@dataclass(frozen=True)
class Import:
    """The rows that were (or, on a dry run, would be) added, and how many were there already."""

    added: list[BoardRow]
    known: int


def read_board(lines: Iterable[str]) -> list[BoardRow]:
    """Read the CSV's rows, behind lines of remarks that begin with #. Raises BoardError that names every
    faulty line."""
    written = list(lines)
    remarks = sum(1 for _ in takewhile(lambda line: line.startswith("#"), written))
    reader = csv.DictReader(written[remarks:], strict=True)
    rows, problems = [], []
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise BoardError([f"line {remarks + 1}: the columns {', '.join(missing)} are missing"])
        for fields in reader:
            try:
                rows.append(_row(remarks + reader.line_num, fields))
            except ValueError as error:
                problems.append(f"line {remarks + reader.line_num}: {error}")
    except csv.Error as error:
        problems.append(f"line {remarks + reader.line_num}: {error}")
    digests: dict[str, int] = {}
    for row in rows:
        first = digests.setdefault(row.digest, row.line)
        if first != row.line:
            problems.append(f"line {row.line}: the same as line {first}")
    if problems:
        raise BoardError(problems)
    return rows


@transaction.atomic
def import_rows(rows: Sequence[BoardRow], *, source: str = "", dry_run: bool = False) -> Import:
    """Publish the rows that are not there yet as imported entries; `source` is the address of their board.

    Raises BoardError."""
    known = set(Submission.objects.exclude(import_digest="").values_list("import_digest", flat=True))
    added = [row for row in rows if row.digest not in known]
    if added and not dry_run:
        account = _account()
        for row in added:
            _publish(row, account, source)
        wake_board_builders()
    return Import(added, len(rows) - len(added))


def _row(line: int, fields: dict[str, str | None]) -> BoardRow:
    """Raises ValueError that says which column is wrong."""
    if None in fields or any(fields[name] is None for name in COLUMNS):
        raise ValueError("it has another number of columns than the first line")
    values = {name: (fields[name] or "").strip() for name in COLUMNS}
    challenge = CHALLENGES.get(values["challenge"])
    if challenge is None:
        raise ValueError(f"there is no challenge “{values['challenge']}”; there are {', '.join(CHALLENGES)}")
    for name, limit in (("team", 150), ("base_model", 80)):
        if not 0 < len(values[name]) <= limit or not values[name].isprintable():
            raise ValueError(f"{name} has to be a name of at most {limit} characters")
    return BoardRow(
        line=line,
        challenge=challenge.slug,
        team=values["team"],
        base_model=values["base_model"],
        communication=_communication(values["communication_gb"]),
        scores=_scores(PUBLIC.benchmarks[challenge.slug], [values[name] for name in SCORES]),
        day=_day(values["date"]),
        place=_place(fields.get("rank")),
    )


def _place(text: str | None) -> int | None:
    """The column is not needed: a board that gives no place has none."""
    written = (text or "").strip()
    if not written:
        return None
    if not written.isdecimal() or not 0 < int(written) < 100_000:
        raise ValueError(f"rank “{text}” is no place")
    return int(written)


def _scores(benchmarks: Sequence[str], texts: Sequence[str]) -> tuple[DeclaredScore, ...]:
    scores = []
    for number, text in enumerate(texts, start=1):
        if number > len(benchmarks):
            if text:
                raise ValueError(f"score_{number} is given for a challenge of {len(benchmarks)} benchmarks")
            continue
        try:
            scores.append(DeclaredScore(benchmarks[number - 1], Decimal(text)))
        except (InvalidOperation, ValueError) as error:
            raise ValueError(f"score_{number} “{text}” is no percentage with at most two decimals") from error
    return tuple(scores)


def _communication(text: str) -> float | None:
    if not text:
        return None
    try:
        gigabytes = float(text)
    except ValueError as error:
        raise ValueError(f"communication_gb “{text}” is no number") from error
    if not 0 <= gigabytes < 1e9:
        raise ValueError(f"communication_gb “{text}” is no amount of data")
    return gigabytes * GB


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%d.%m.%y").date()
    except ValueError as error:
        raise ValueError(f"date “{text}” is not of the form day.month.year, like 14.01.26") from error


def _account() -> User:
    """The account that imported entries are submitted by: nobody can sign in to it."""
    account, made = User.objects.get_or_create(username=ACCOUNT, defaults={"is_active": False})
    if made:
        account.set_unusable_password()
        account.save(update_fields=["password"])
    elif account.is_active or account.has_usable_password():
        raise BoardError([f"somebody's account is called {ACCOUNT}; rename it first"])
    return account


def _team(name: str) -> Team:
    """A team without members under the board's name: a member could withdraw what others declared."""
    for candidate in (name, f"{name} (public board)"):
        team = Team.objects.filter(name__iexact=candidate).first()
        if team is None:
            return Team.objects.create(name=candidate)
        if not team.memberships.exists():
            return team
    raise BoardError([f"somebody's team is called “{name} (public board)”; rename it first"])


def _base_model(name: str) -> BaseModel:
    """The listed model of this name, else a closed one of which nothing more is known."""
    same = [m for m in BaseModel.objects.defer("tensors") if m.name.casefold() == name.casefold()]
    if len(same) == 1:
        return same[0]
    return BaseModel.objects.get_or_create(hub_id=name, defaults={"active": False, "tensors": {}})[0]


def _publish(row: BoardRow, account: User, source: str) -> None:
    submission = Submission.objects.create(
        team=_team(row.team),
        submitter=account,
        challenge=row.challenge,
        kind=Submission.Kind.IMPORTED,
        method=row.base_model,
        base_model=_base_model(row.base_model),
        status=Submission.Status.PUBLISHED,
        published_at=timezone.now(),
        source_date=row.day,
        source_place=row.place,
        source_url=source,
        import_digest=row.digest,
    )
    StoredScore.objects.bulk_create(StoredScore.of(submission, score) for score in row.scores)
    if row.communication is not None:
        Resource.objects.create(
            submission=submission,
            kind=Resource.Kind.COMMUNICATION,
            value=row.communication,
            basis=Resource.Basis.DECLARED,
        )
    StoredFinding.objects.bulk_create(
        StoredFinding(
            submission=submission,
            code=finding.code,
            severity=finding.severity.value,
            message=finding.message,
            location=finding.location,
        )
        for finding in [*row.findings, *_undated(row)]
    )


def _undated(row: BoardRow) -> list[Finding]:
    if row.day:
        return []
    return [Finding("import.no_date", Severity.NOTE, "The board gives no date.", "date")]
