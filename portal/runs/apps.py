"""The app configuration of portal.runs."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "portal.runs"
