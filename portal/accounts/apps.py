"""The app configuration of portal.accounts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "portal.accounts"
