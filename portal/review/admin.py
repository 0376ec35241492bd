"""Submissions, base models and requests as operators see them in the administration."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from portal.accounts.access import signed_in
from portal.review.entry_requests import shown_to
from portal.review.models import Decision, EntryRequest, ReasonTemplate, TwoPersonRule
from portal.runs.models import Evaluation
from portal.submissions.known_of_method import card_of
from portal.submissions.models import (
    BaseModel,
    BaseModelRequest,
    Checkpoint,
    DeclaredScore,
    Finding,
    Resource,
    Submission,
)


class ReadOnlyInline(admin.TabularInline[Any, Any]):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FindingInline(ReadOnlyInline):
    model = Finding
    fields = ("explained_code", "severity", "message", "location")
    readonly_fields = fields

    @admin.display(description="code")
    def explained_code(self, finding: Finding) -> str:
        if finding.kind is None:
            return finding.code
        page = reverse("help:finding", args=[finding.code])
        return format_html('<a href="{}" title="{}">{}</a>', page, finding.kind.title, finding.code)


class ResourceInline(ReadOnlyInline):
    model = Resource


class EvaluationInline(ReadOnlyInline):
    model = Evaluation
    fields = (
        "id",
        "protocol",
        "status",
        "waits_for",
        "scores_in_words",
        "attempts",
        "error_code",
        "error_message",
        "finished_at",
    )
    readonly_fields = fields
    show_change_link = True

    @admin.display(description="scores")
    def scores_in_words(self, evaluation: Evaluation) -> str:
        return ", ".join(
            f"{score.title} {score.correct} of {score.n} right{f' ({score.mark})' if score.mark else ''}"
            for score in evaluation.scores.all()
        )


class DeclaredScoreInline(ReadOnlyInline):
    model = DeclaredScore
    fields = ("benchmark", "in_percent")
    readonly_fields = fields

    @admin.display(description="per cent, as declared")
    def in_percent(self, score: DeclaredScore) -> str:
        return f"{score.percent}"


class DecisionInline(ReadOnlyInline):
    model = Decision


@admin.register(Submission)
class SubmissionAdmin(admin.ModelAdmin[Submission]):
    """What was submitted, as it is stored. Decisions are taken on the review desk, to which each leads."""

    list_display = [
        "id",
        "method",
        "team",
        "challenge",
        "base_model",
        "kind",
        "status",
        "warnings",
        "created_at",
        "case",
    ]
    list_filter = ["status", "challenge", "kind", "base_model"]
    list_select_related = ["team", "base_model"]
    search_fields = ["method", "team__name", "=id"]
    inlines = [FindingInline, EvaluationInline, ResourceInline, DeclaredScoreInline, DecisionInline]
    fields = [
        "case",
        "method",
        "description",
        "paper_url",
        "code_url",
        ("challenge", "kind", "status"),
        ("team", "submitter", "base_model"),
        "checkpoint",
        "origin",
        "method_in_words",
        "retraining",
        "config_text",
        ("created_at", "sent_at", "status_changed_at", "published_at"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Submission]:
        sent = super().get_queryset(request).exclude(status=Submission.Status.RECEIVED)
        return sent.prefetch_related("findings", "evaluations__scores")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # submissions come in through the form or the API, where they are checked

    def get_readonly_fields(self, request: HttpRequest, obj: Submission | None = None) -> list[str]:
        return [*(field.name for field in Submission._meta.fields), "case", "method_in_words", "retraining"]

    def has_delete_permission(self, request: HttpRequest, obj: Submission | None = None) -> bool:
        return False  # the record stays

    @admin.display(description="case")
    def case(self, submission: Submission) -> str:
        return format_html('<a href="{}">On the review desk</a>', reverse("desk:case", args=[submission.pk]))

    @admin.display(description="method")
    def method_in_words(self, submission: Submission) -> str:
        return format_html_join("", "{}: {}<br>", card_of(submission).method) or "–"

    @admin.display(description="retraining")
    def retraining(self, submission: Submission) -> str:
        """What retraining showed, and the way to retrain it."""
        runs = [(run.get_absolute_url(), str(run)) for run in submission.retrainings.all()]
        if submission.kind == Submission.Kind.COMMUNITY and submission.method_card is not None:
            runs.append((f"{reverse('baselines:new')}?reproduce={submission.pk}", "Retrain it here"))
        return format_html_join("", '<a href="{}">{}</a><br>', runs) or "–"

    @admin.display(description="warnings")
    def warnings(self, submission: Submission) -> int:
        return sum(finding.severity == "warning" for finding in submission.findings.all())


@admin.register(BaseModel)
class BaseModelAdmin(admin.ModelAdmin[BaseModel]):
    list_display = ["hub_id", "parameters", "context_length", "licence", "active"]
    list_editable = ["active"]
    readonly_fields = ["hub_id", "revision", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[BaseModel]:
        """Without those that are only names in imported entries: they can never be opened."""
        return super().get_queryset(request).exclude(parameters=None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # `manage.py add_base_model` reads the facts from the model itself


@admin.register(BaseModelRequest)
class BaseModelRequestAdmin(admin.ModelAdmin[BaseModelRequest]):
    """What base models people ask for; closed once it was answered."""

    list_display = ["hub_id", "reason", "user", "created_at", "is_open"]
    list_editable = ["is_open"]
    list_filter = ["is_open"]
    list_select_related = ["user"]
    readonly_fields = ["hub_id", "reason", "user", "created_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # they come from the page for them


@admin.register(EntryRequest)
class EntryRequestAdmin(admin.ModelAdmin[EntryRequest]):
    """The record of what people asked about entries; they are answered at /review/requests/."""

    list_display = ["__str__", "team", "reason", "link", "created_at", "state"]
    list_filter = ["state", "kind"]
    list_select_related = ["user", "team"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EntryRequest]:
        """Here, too, nobody reads what concerns them."""
        shown = shown_to(signed_in(request))
        return super().get_queryset(request).filter(pk__in=shown.values("pk"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # they come from the entry's page

    def has_change_permission(self, request: HttpRequest, obj: EntryRequest | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: EntryRequest | None = None) -> bool:
        return False


@admin.register(Checkpoint)
class CheckpointAdmin(admin.ModelAdmin[Checkpoint]):
    list_display = ["sha256", "size", "created_at"]
    search_fields = ["sha256"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Checkpoint | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Checkpoint | None = None) -> bool:
        return False


@admin.register(ReasonTemplate)
class ReasonTemplateAdmin(admin.ModelAdmin[ReasonTemplate]):
    """Texts that reviewers start their reasons from; editors keep them."""

    list_display = ["title", "action", "active"]
    list_filter = ["action", "active"]


@admin.register(TwoPersonRule)
class TwoPersonRuleAdmin(admin.ModelAdmin[TwoPersonRule]):
    """Which decisions need a second reviewer; a superuser says so."""

    list_display = ["action", "top"]
