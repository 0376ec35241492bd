"""The tables of a dump: which rows and columns are public, and what a mirror has in place of the rest.

Nothing of a person is among them: not who sent or reviewed something, nor where private files came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from django.apps import apps
from django.db.models import Case, Expression, F, Model, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, NullIf

from evaluation.findings import Severity
from portal.accounts.models import Team
from portal.review.models import Audit, AuditDraw, Confirmation, Decision, EntryRequest
from portal.runs.models import BaselineRun, Evaluation, Leakage, Reproduction, RoundMetric, Score
from portal.submissions.models import (
    BaseModel,
    Checkpoint,
    DeclaredScore,
    Finding,
    Resource,
    Submission,
)

Kind = Literal["count", "number", "text", "truth", "moment", "day", "json", "bytes", "decimal"]
Rows = Callable[[], QuerySet[Any, Any]]


@dataclass(frozen=True)
class Column:
    """A field of the table's rows, by the name of its column in the database, and what it holds.

    "json" is text that holds JSON, "decimal" text of a decimal number. `told` is what a dump has in place of
    what stands in the database.
    """

    name: str
    holds: Kind
    told: Expression | None = None

    @property
    def read(self) -> str | Expression:
        return self.told or self.name


@dataclass(frozen=True)
class Table:
    """`rows` are the public ones. `fixed` are, of the fields that are not in the dump, those that a mirror's
    rows do not have by default; those named in `persons` have its own account there. What is not
    `mirrored` is in the files alone. Dumps of before there was such a table, or the columns named in
    `added`, can be read: there rows have what the model has by default."""

    name: str
    about: str
    model: type[Model]
    columns: tuple[Column, ...]
    rows: Rows
    fixed: Mapping[str, object] = field(default_factory=dict)
    persons: tuple[str, ...] = ()
    mirrored: bool = True
    added: tuple[str, ...] = ()
    is_added: bool = False


def _columns(**kinds: str) -> tuple[Column, ...]:
    """Columns by what they hold, each kind's names in one text."""
    found = [Column(name, holds) for holds, names in kinds.items() for name in names.split()]  # type: ignore[arg-type]
    return tuple(sorted(found, key=lambda column: column.name != "id"))


def _public(prefix: str = "") -> Q:
    return Q(**{f"{prefix}status__in": Submission.PUBLIC})


def _entries() -> QuerySet[Any]:
    return Submission.objects.filter(_public())


def _public_first_run() -> Expression:
    """The run that all public ones of a method name: its first, or where that is not public the eldest."""
    method = Coalesce(OuterRef("repeats_id"), OuterRef("pk"))
    runs = _entries().filter(Q(pk=method) | Q(repeats=method))
    eldest = runs.order_by(F("repeats_id").asc(nulls_first=True), "published_at", "pk").values("pk")[:1]
    return Case(When(repeats=None, then=None), default=NullIf(Subquery(eldest), F("pk")))


def _evaluations() -> QuerySet[Any]:
    """Those that are results of the entry: no audit, and none of an adapter that it had before its team was
    asked to change it; and those that count on no board, as of its base model."""
    of_entry = Q(checkpoint=None) | Q(checkpoint=F("submission__checkpoint"))
    ended = [Evaluation.Status.SUCCEEDED, Evaluation.Status.MEASURED]
    finished = Evaluation.objects.filter(status__in=ended, for_audit=False)
    # Whose adapters are no entry's, so that a dump has them not.
    finished = finished.exclude(purpose=Evaluation.Purpose.ROUND)
    return finished.filter(of_entry, _public("submission__"))


def _runs() -> QuerySet[Any]:
    """Of reference entries, and only where what they retrain is public, too."""
    known = Q(original=None) | _public("original__")
    return BaselineRun.objects.filter(_public("submission__") & known)


def _reproductions() -> QuerySet[Any]:
    return Reproduction.objects.filter(
        _public("original__") & _public("retrained__"),
        verdict=Reproduction.Verdict.CONFIRMED,
        run__in=_runs(),
        original_evaluation__in=_evaluations(),
        retrained_evaluation__in=_evaluations(),
    )


def _decisions() -> QuerySet[Any]:
    """Those whose reason everybody reads; nothing that was only proposed."""
    public = (Decision.Action.DISQUALIFY, Decision.Action.REINSTATE)
    return Decision.objects.in_effect().filter(_public("submission__"), action__in=public)


def _acts() -> QuerySet[Any]:
    events = apps.get_model("submissions", "StatusEvent")._default_manager
    return events.filter(_public("pgh_obj__"), status__in=Submission.PUBLIC)


def _findings() -> QuerySet[Any]:
    """Those that an entry's page shows: warnings are for reviewers, but for those of imported entries."""
    shown = Q(severity=Severity.NOTE.value) | Q(submission__kind=Submission.Kind.IMPORTED)
    return Finding.objects.filter(shown & _public("submission__"))


ITEMS = "items"
TABLES: tuple[Table, ...] = (
    Table(
        "teams",
        "Teams with a public entry",
        Team,
        _columns(count="id", text="name", moment="created_at"),
        lambda: Team.objects.filter(pk__in=_entries().values("team_id")),
    ),
    Table(
        "base_models",
        "Base models that entries may build on, or did",
        BaseModel,
        _columns(
            count="id parameters context_length",
            text="hub_id revision licence aliases",
            truth="active",
            moment="created_at",
        ),
        lambda: BaseModel.objects.all(),
        {"tensors": {}},
    ),
    Table(
        "checkpoints",
        "Digests and configurations of the adapters; the weights are not part of a dump",
        Checkpoint,
        _columns(
            count="id size",
            text="sha256 config_sha256 tensors_digest",
            json="adapter_config",
            moment="created_at",
        ),
        lambda: Checkpoint.objects.filter(pk__in=_entries().values("checkpoint_id")),
        {"summary": {}},
    ),
    Table(
        "entries",
        "Published and disqualified entries",
        Submission,
        (
            *_columns(
                count="id team_id base_model_id checkpoint_id source_place",
                text="challenge kind method description paper_url code_url adapter_config_text config_text "
                "import_digest status source_url",
                json="method_card",
                moment="status_changed_at created_at sent_at published_at",
                day="source_date",
            ),
            Column("repeats_id", "count", _public_first_run()),
        ),
        _entries,
        persons=("submitter_id",),
        added=("repeats_id",),
    ),
    Table(
        "acts",
        "When entries were published and disqualified",
        apps.get_model("submissions", "StatusEvent"),
        _columns(
            count="pgh_id pgh_obj_id", text="pgh_label status", moment="pgh_created_at status_changed_at"
        ),
        _acts,
    ),
    Table(
        "decisions",
        "Why entries were disqualified or reinstated; a proposed one took effect with its confirmation",
        Decision,
        _columns(count="id submission_id", text="action reason", truth="proposed", moment="created_at"),
        _decisions,
        persons=("reviewer_id",),
        added=("proposed",),
    ),
    Table(
        "confirmations",
        "When a second reviewer agreed to such a decision",
        Confirmation,
        _columns(count="id decision_id", truth="agreed", moment="created_at"),
        lambda: Confirmation.objects.filter(decision__in=_decisions()),
        persons=("reviewer_id",),
        is_added=True,
    ),
    Table(
        "objections",
        "What people objected to entries in public, with the team's reply and the reviewers' answer",
        EntryRequest,
        _columns(
            count="id submission_id",
            text="reason link reply state answer",
            moment="created_at due_at replied_at answered_at",
        ),
        lambda: EntryRequest.objects.filter(
            _public("submission__"), kind=EntryRequest.Kind.OBJECTION, is_hidden=False
        ),
        mirrored=False,
        is_added=True,
    ),
    Table(
        "evaluations",
        "Finished evaluations, with the provenance of each as JSON; those `measured` count on no board, and "
        "asked the benchmarks of `domain`, of the adapter or, with purpose `base`, of its base model",
        Evaluation,
        _columns(
            count="id submission_id base_model_id checkpoint_id protocol",
            text="status purpose domain",
            json="provenance",
            moment="queued_at started_at finished_at",
        ),
        _evaluations,
        added=("purpose", "domain"),
    ),
    Table(
        "scores",
        "Scores as fractions; the bits are numpy.packbits of right and of scored items",
        Score,
        _columns(
            count="id evaluation_id n correct unscored available tokens",
            number="value standard_error seconds tokens_per_second energy_joules energy_net_joules",
            text="benchmark data data_digest energy_method",
            truth="official",
            json="unofficial_reasons",
            bytes="correct_bits scored_bits",
            moment="created_at",
        ),
        lambda: Score.objects.filter(evaluation__in=_evaluations()),
        added=("energy_net_joules", "energy_method"),
    ),
    Table(
        "leakages",
        "What tests of membership showed of adapters; `basis` is how training rows are known",
        Leakage,
        _columns(
            count="id evaluation_id members others",
            number="auc auc_low auc_high true_positives true_positives_low true_positives_high epsilon "
            "seconds",
            text="basis",
            json="memberships clients exposures",
            moment="created_at",
        ),
        lambda: Leakage.objects.filter(evaluation__in=_evaluations()),
        is_added=True,
    ),
    Table(
        "declared_scores",
        "Scores as teams stated them; nobody vouches for them",
        DeclaredScore,
        _columns(count="id submission_id decimals", text="benchmark", decimal="value"),
        lambda: DeclaredScore.objects.filter(_public("submission__")),
    ),
    Table(
        "costs",
        "What training cost, in bytes, seconds, joules or a count, and how that is known",
        Resource,
        _columns(count="id submission_id", number="value", text="kind basis"),
        lambda: Resource.objects.filter(_public("submission__")),
    ),
    Table(
        "findings",
        "Notes of the checks",
        Finding,
        _columns(count="id submission_id", text="code severity message location"),
        _findings,
    ),
    Table(
        "baseline_runs",
        "Trainings of the site that public entries came of",
        BaselineRun,
        _columns(
            count="id base_model_id rounds rounds_done original_id submission_id",
            text="challenge strategy precision method status",
            json="config assumed setup",
            moment="queued_at started_at finished_at",
        ),
        _runs,
        persons=("requested_by_id",),
    ),
    Table(
        "rounds",
        "The rounds of these trainings as they were measured",
        RoundMetric,
        _columns(
            count="id run_id round examples bytes_down bytes_up client_peak_rss_bytes client_peak_vram_bytes "
            "server_peak_rss_bytes",
            number="learning_rate train_loss held_out_loss train_seconds aggregate_seconds "
            "communicate_seconds seconds simulated_time energy_joules energy_net_joules gpu_seconds epsilon",
            text="energy_method",
            json="clients failures client_losses",
            moment="recorded_at",
        ),
        lambda: RoundMetric.objects.filter(run__in=_runs()),
        added=("simulated_time", "energy_net_joules", "energy_method", "client_losses"),
    ),
    Table(
        "reproductions",
        "Entries retrained from their method card, as confirmed",
        Reproduction,
        _columns(
            count="id run_id original_id retrained_id original_evaluation_id retrained_evaluation_id",
            number="difference low high p_value tolerance",
            text="outcome verdict",
            json="benchmarks unequal",
            moment="decided_at judged_at",
        ),
        _reproductions,
        persons=("judged_by_id",),
    ),
    Table(
        "audit_draws",
        "Which entries could be drawn for an audit in a month, and by which seed",
        AuditDraw,
        _columns(
            count="id", text="head seed", number="percent", json="population", day="month", moment="drawn_at"
        ),
        lambda: AuditDraw.objects.all(),
        is_added=True,
    ),
    Table(
        "audits",
        "What came of the audits that are finished",
        Audit,
        _columns(
            count="id draw_id submission_id original_id",
            number="difference low high",
            text="kind outcome note",
            truth="same_machine",
            moment="settled_at",
        ),
        lambda: Audit.objects.exclude(outcome=Audit.Outcome.OPEN).filter(original__in=_evaluations()),
        is_added=True,
    ),
)
ITEM_COLUMNS = (
    Column("score_id", "count"),
    Column("position", "count"),
    *(
        Column(name, "text")
        for name in ("id", "prompt", "completion", "prediction", "target", "group", "failure", "detail")
    ),
    Column("correct", "truth"),
)
"""Of a single answer: a line of its score's file, where that has them."""


def scores_with_items(challenge: str) -> QuerySet[Score]:
    """Of published entries, whose answers anybody may read."""
    published = Q(submission__challenge=challenge, submission__status=Submission.Status.PUBLISHED)
    evaluations = _evaluations().filter(published)
    return Score.objects.filter(evaluation__in=evaluations).exclude(items="").order_by("pk")
