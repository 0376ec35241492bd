"""The portal's app configuration, and that of Django's administration, which opens to staff alone."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.core import checks

from portal.site_checks.of_settings import check_settings


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        # Of the site's checks those that ask nothing of the world come with Django's own for deployments.
        checks.register(check_settings, checks.Tags.security, deploy=True)


class StaffSiteConfig(AdminConfig):
    default_site = "portal.accounts.staff_site.StaffSite"
