"""Staff's view of outages: what work waits for now, and did."""

from django.contrib import admin
from django.http import HttpRequest

from portal.outages.models import Outage


@admin.register(Outage)
class OutageAdmin(admin.ModelAdmin[Outage]):
    list_display = ["words", "place", "began_at", "last_seen_at", "ended_at", "count", "detail"]
    list_filter = ["cause"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Outage | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Outage | None = None) -> bool:
        return False
