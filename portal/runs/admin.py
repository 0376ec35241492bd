"""Staff's view of evaluations and of the register of digests."""

from django.contrib import admin
from django.http import HttpRequest

from portal.runs.data_register import is_used
from portal.runs.models import DataRegistration, Evaluation


@admin.register(Evaluation)
class EvaluationAdmin(admin.ModelAdmin[Evaluation]):
    list_display = [
        "id",
        "submission",
        "protocol",
        "smoke_run",
        "purpose",
        "domain",
        "status",
        "waits_for",
        "outage",
        "waits_until",
        "attempts",
        "worker",
        "error_code",
        "queued_at",
        "finished_at",
    ]
    list_filter = ["status", "smoke_run", "purpose", "protocol", "error_code"]
    list_select_related = ["submission", "outage"]
    fields = [
        "submission",
        "base_model",
        "checkpoint",
        "protocol",
        "smoke_run",
        "purpose",
        "domain",
        "status",
        "priority",
        "waits_for",
        "outage",
        "waiting_since",
        "waits_until",
        "waits_at",
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


@admin.register(DataRegistration)
class DataRegistrationAdmin(admin.ModelAdmin[DataRegistration]):
    """Read, and delete while no official score rests on it: then its data set can be registered anew."""

    list_display = ["name", "digest", "rows", "dataset", "commit", "adopted_by", "registered_at"]
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DataRegistration | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DataRegistration | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not is_used(obj))
