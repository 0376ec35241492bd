"""Addresses that programs ask on their way to a token (RFC 8628)."""

from django.urls import path

from portal.account_pages import device_views

urlpatterns = [
    path("device_authorization", device_views.authorization, name="oauth-device-authorization"),
    path("token", device_views.token, name="oauth-token"),
]
