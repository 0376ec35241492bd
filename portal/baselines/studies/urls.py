"""Addresses of the studies' pages."""

from django.urls import path

from portal.baselines.studies import views

app_name = "studies"
urlpatterns = [
    path("", views.studies, name="list"),
    path("new/", views.new, name="new"),
    path("<int:pk>/", views.study, name="study"),
    path("<int:pk>/live/", views.live, name="live"),
    path("<int:pk>/again/", views.again, name="again"),
    path("<int:pk>/stop/", views.stop, name="stop"),
    path("<int:pk>/priority/", views.priority, name="priority"),
    path("<int:pk>/study.<slug:name>", views.export, name="export"),
]
