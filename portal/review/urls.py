"""Addresses of what people ask of the reviewers."""

from django.urls import path

from portal.review import views

app_name = "review"
urlpatterns = [path("entries/<int:pk>/claim/", views.claim, name="claim")]
