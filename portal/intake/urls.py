"""Addresses of the submitter's pages."""

from django.urls import path

from portal.intake import evaluation_views, reading_views, views

app_name = "submissions"
urlpatterns = [
    path("submit/", views.create, name="create"),
    path("submit/base-model/", views.request_base_model, name="request-base-model"),
    path("submit/read/", reading_views.read_chosen, name="read"),
    path("submissions/", views.mine, name="list"),
    path("submissions/<int:pk>/", views.detail, name="detail"),
    path("submissions/<int:pk>/edit/", views.edit, name="edit"),
    path("submissions/<int:pk>/send/", views.send, name="send"),
    path("submissions/<int:pk>/delete/", views.delete, name="delete"),
    path("submissions/<int:pk>/status/", views.status, name="status"),
    path("submissions/<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("submissions/<int:pk>/evaluate/", evaluation_views.evaluate, name="evaluate"),
    path("submissions/<int:pk>/transfer/", evaluation_views.measure_transfer, name="transfer"),
    path("submissions/<int:pk>/leakage/", evaluation_views.measure_leakage, name="leakage"),
    path("submissions/<int:pk>/smoke-run/", evaluation_views.smoke_run, name="smoke-run"),
    path("submissions/<int:pk>/log/", evaluation_views.log, name="log"),
    path("submissions/<int:pk>/log/live/", evaluation_views.log_live, name="log-live"),
]
