"""The app configuration of portal.submissions."""

from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    name = "portal.submissions"
