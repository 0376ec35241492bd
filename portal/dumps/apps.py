"""The app configuration of portal.dumps."""

from django.apps import AppConfig


class DumpsConfig(AppConfig):
    name = "portal.dumps"
