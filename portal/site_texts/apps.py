"""The app configuration of portal.site_texts."""

from django.apps import AppConfig


class SiteTextsConfig(AppConfig):
    name = "portal.site_texts"
