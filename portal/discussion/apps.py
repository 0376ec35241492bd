"""The app configuration of portal.discussion."""

from django.apps import AppConfig


class DiscussionConfig(AppConfig):
    name = "portal.discussion"
