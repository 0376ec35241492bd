"""Addresses of the talk about a submission."""

from django.urls import path

from portal.discussion import views

app_name = "discussion"
urlpatterns = [path("submissions/<int:pk>/messages/", views.post, name="post")]
