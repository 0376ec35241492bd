"""Wishes for base models that are on no list."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class BaseModelRequest(models.Model):
    """Somebody's wish for a base model. Operators answer by adding it, or by closing the request."""

    hub_id = models.CharField("base model", max_length=200, help_text="As on the hub: organisation/name")
    reason = models.TextField(max_length=1000, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="base_model_requests"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    is_open = models.BooleanField("open", default=True, help_text="Not answered yet")

    class Meta:
        ordering = ["-is_open", "-created_at", "-pk"]
        verbose_name = "request for a base model"
        verbose_name_plural = "requests for base models"

    def __str__(self) -> str:
        return f"{self.hub_id} for {self.user}"
