"""Addresses of the operator's pages."""

from django.urls import path

from portal.operate import views

app_name = "operate"
urlpatterns = [
    path("", views.index, name="index"),
    path("live/", views.live, name="live"),
    path("record/", views.record, name="record"),
    path("<slug:name>/", views.order, name="order"),
]
