"""Addresses of the documentation."""

from django.urls import path

from portal.help import views

app_name = "docs"
urlpatterns = [
    path("", views.docs, name="index"),
    path("<slug:slug>/", views.document, name="document"),
]
