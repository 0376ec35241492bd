"""The portal's app configuration, and that of Django's administration, which opens to staff alone."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "portal"


class StaffSiteConfig(AdminConfig):
    default_site = "portal.accounts.staff_site.StaffSite"
