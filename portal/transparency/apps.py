"""The app configuration of portal.transparency."""

from django.apps import AppConfig


class TransparencyConfig(AppConfig):
    name = "portal.transparency"
