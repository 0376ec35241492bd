"""Addresses of the participants' command line."""

from django.urls import path

from portal.client import views

app_name = "client"
urlpatterns = [
    path("", views.page, name="page"),
    path("url", views.address, name="address"),
    path("<str:name>.whl", views.wheel, name="wheel"),
]
