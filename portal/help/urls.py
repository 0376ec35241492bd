"""Addresses of the help pages."""

from django.urls import path

from portal.help import views

app_name = "help"
urlpatterns = [
    path("findings/", views.findings, name="findings"),
    path("findings/<str:code>/", views.finding, name="finding"),
]
