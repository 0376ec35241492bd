"""Where editors write the site's texts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from portal.site_texts.models import SiteText
from portal.site_texts.texts import to_start_from


@admin.register(SiteText)
class SiteTextAdmin(admin.ModelAdmin[SiteText]):
    """Each page has one text; a new one begins with what the page shows so far."""

    list_display = ["page", "edited_at"]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        page = request.GET.get("page", "")
        return {"page": page, "body": to_start_from(page)} if page in SiteText.Page.values else {}

    def get_readonly_fields(self, request: HttpRequest, obj: SiteText | None = None) -> list[str]:
        return ["page"] if obj else []
