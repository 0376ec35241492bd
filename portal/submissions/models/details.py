"""What belongs to a submission: findings, what it cost, and the scores that its submitter declares."""

from __future__ import annotations

from decimal import Decimal

import pgtrigger
from django.db import models
from django.db.models import Q

from evaluation import findings
from evaluation.benchmarks import BENCHMARKS
from evaluation.findings import Severity, UncataloguedError
from evaluation.findings.catalogue import CATALOGUE
from evaluation.findings.kinds import FindingKind
from evaluation.inspection import declared
from portal.submissions.models.submission import Submission


def _frozen_once_sent(name: str) -> pgtrigger.Trigger:
    """Rows that belong to a submission change with its draft and never after it."""
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF EXISTS (
                SELECT 1 FROM submissions_submission
                WHERE id = OLD.submission_id AND status <> 'received'
            ) THEN
                RAISE EXCEPTION 'Cannot update or delete rows of a submission that was sent';
            END IF;
            RETURN COALESCE(NEW, OLD);
        """,
    )


class Finding(models.Model):
    """What the checks saw in a submission; the fields are those of evaluation.findings.Finding."""

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="findings")
    code = models.CharField(max_length=60)
    severity = models.CharField(max_length=8, choices=[(s.value, s.value) for s in Severity])
    message = models.TextField()
    location = models.CharField(max_length=400, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(severity__in=[s.value for s in Severity]), name="finding_severity_known"
            ),
        ]
        triggers = [_frozen_once_sent("finding_append_only")]

    def __str__(self) -> str:
        return f"{self.severity}: {self.message}"

    @property
    def kind(self) -> FindingKind | None:
        """What the catalogue says of the code, None for one of an older version."""
        return CATALOGUE.get(self.code)

    def as_finding(self) -> findings.Finding | None:
        """The finding, None where today's checks report nothing under this code and severity."""
        try:
            return findings.Finding(self.code, Severity(self.severity), self.message, self.location)
        except UncataloguedError:
            return None


class Resource(models.Model):
    """What a submission's training cost, in SI units, and how the figure is known."""

    class Kind(models.TextChoices):
        COMMUNICATION = "communication", "communication, both directions"
        COMMUNICATION_UP = "communication_up", "communication, clients to server"
        COMMUNICATION_DOWN = "communication_down", "communication, server to clients"
        CLIENT_VRAM = "client_vram", "client peak GPU memory"
        SERVER_VRAM = "server_vram", "server peak GPU memory"
        CLIENT_RSS = "client_rss", "client peak memory"
        SERVER_RSS = "server_rss", "server peak memory"
        WALL_TIME = "wall_time", "training time"
        GPU_TIME = "gpu_time", "GPU time"
        ENERGY = "energy", "energy"
        ENERGY_NET = "energy_net", "energy above idle"
        TRAINABLE_PARAMETERS = "trainable_parameters", "trainable parameters"

    class Basis(models.TextChoices):
        DECLARED = "declared"
        DERIVED = "derived"
        MEASURED = "measured"

    UNITS = {
        Kind.COMMUNICATION: "B",
        Kind.COMMUNICATION_UP: "B",
        Kind.COMMUNICATION_DOWN: "B",
        Kind.CLIENT_VRAM: "B",
        Kind.SERVER_VRAM: "B",
        Kind.CLIENT_RSS: "B",
        Kind.SERVER_RSS: "B",
        Kind.WALL_TIME: "s",
        Kind.GPU_TIME: "s",
        Kind.ENERGY: "J",
        Kind.ENERGY_NET: "J",
        Kind.TRAINABLE_PARAMETERS: "",
    }

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="resources")
    kind = models.CharField(max_length=24, choices=Kind.choices)
    value = models.FloatField(help_text="Bytes, seconds, joules or a count")
    basis = models.CharField(max_length=8, choices=Basis.choices)

    class Meta:
        ordering = ["kind", "basis"]
        constraints = [
            models.UniqueConstraint(fields=["submission", "kind", "basis"], name="resource_unique"),
            models.CheckConstraint(
                condition=Q(value__gte=0) & Q(value__lt=float("1e21")), name="resource_value_plausible"
            ),
            models.CheckConstraint(
                condition=Q(basis__in=["declared", "derived", "measured"]), name="resource_basis_known"
            ),
        ]
        triggers = [_frozen_once_sent("resource_append_only")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value:g} {self.unit} ({self.basis})"

    @property
    def unit(self) -> str:
        return self.UNITS[self.Kind(self.kind)]


class DeclaredScore(models.Model):
    """A benchmark's score as the submitter states it; nothing here vouches for it."""

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="declared_scores")
    benchmark = models.CharField(max_length=30)
    value = models.DecimalField(max_digits=5, decimal_places=4, help_text="Fraction of the items, 0 to 1")
    decimals = models.PositiveSmallIntegerField(help_text="With which the percentage was printed")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["submission", "benchmark"], name="declared_score_unique"),
            models.CheckConstraint(
                condition=Q(value__gte=0, value__lte=1, decimals__lte=2), name="declared_score_is_a_fraction"
            ),
            models.CheckConstraint(
                # Which there are is the protocols' to say: a new one needs no migration.
                condition=Q(benchmark__regex=r"^[a-z0-9_]+$"),
                name="declared_score_benchmark_is_a_slug",
            ),
        ]
        triggers = [_frozen_once_sent("declared_score_append_only")]

    def __str__(self) -> str:
        return f"{self.benchmark} {self.percent}%"

    @property
    def title(self) -> str:
        return BENCHMARKS[self.benchmark].title

    @property
    def percent(self) -> Decimal:
        """In per cent, with the decimals that it was printed with."""
        return (100 * self.value).quantize(Decimal(1).scaleb(-self.decimals))

    @classmethod
    def of(cls, submission: Submission, score: declared.DeclaredScore) -> DeclaredScore:
        """An unsaved row of a score that was declared."""
        return cls(
            submission=submission,
            benchmark=score.benchmark,
            value=score.percent / 100,
            decimals=score.decimals,
        )

    def as_declared(self) -> declared.DeclaredScore:
        return declared.DeclaredScore(self.benchmark, self.percent)
