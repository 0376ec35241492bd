"""The texts that the operator wrote; where one is missing, the page shows the one to start from."""

from __future__ import annotations

from django.db import models


class SiteText(models.Model):
    """One of the operator's texts, in Markdown."""

    class Page(models.TextChoices):
        CONTACT = "contact", "Contact"
        IMPRINT = "imprint", "Imprint"
        TERMS = "terms", "Terms of use"
        PRIVACY = "privacy", "Privacy"

    page = models.CharField(max_length=10, choices=Page.choices, unique=True)
    body = models.TextField(help_text="Markdown; HTML is shown as text")
    edited_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["page"]

    def __str__(self) -> str:
        return self.get_page_display()
