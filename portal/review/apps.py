"""The app configuration of portal.review."""

from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "portal.review"
