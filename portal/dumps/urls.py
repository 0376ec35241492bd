"""Addresses of the dumps."""

from django.urls import path

from portal.dumps import views

app_name = "dumps"
urlpatterns = [
    path("", views.dumps, name="index"),
    path("latest/<str:name>", views.latest, name="latest"),
    path("<str:stamp>/<str:name>", views.download, name="file"),
]
