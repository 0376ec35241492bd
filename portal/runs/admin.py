"""Staff's view of evaluations."""

from django.contrib import admin
from django.http import HttpRequest

from portal.runs.models import Evaluation


@admin.register(Evaluation)
class EvaluationAdmin(admin.ModelAdmin[Evaluation]):
    list_display = [
        "id",
        "submission",
        "protocol",
        "status",
        "waits_for",
        "attempts",
        "worker",
        "error_code",
        "queued_at",
        "finished_at",
    ]
    list_filter = ["status", "protocol", "error_code"]
    list_select_related = ["submission"]
    fields = [
        "submission",
        "base_model",
        "checkpoint",
        "protocol",
        "status",
        "priority",
        "waits_for",
        "attempts",
        "worker",
        "progress",
        "error_code",
        "error_message",
        "provenance",
        "queued_at",
        "started_at",
        "finished_at",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Evaluation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Evaluation | None = None) -> bool:
        return False
