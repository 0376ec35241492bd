"""Addresses of the baselines' pages."""

from django.urls import path

from portal.baselines import views

app_name = "baselines"
urlpatterns = [
    path("", views.grid, name="grid"),
    path("runs/", views.runs, name="runs"),
    path("runs/new/", views.new, name="new"),
    path("runs/new/plan/", views.plan, name="plan"),
    path("runs/new/options/", views.options, name="options"),
    path("runs/<int:pk>/", views.run, name="run"),
    path("runs/<int:pk>/live/", views.live, name="live"),
    path("runs/<int:pk>/curve.csv", views.curve, name="curve"),
    path("runs/<int:pk>/kept/", views.kept, name="kept"),
    path("runs/<int:pk>/cancel/", views.cancel, name="cancel"),
    path("runs/<int:pk>/verdict/", views.verdict, name="verdict"),
]
