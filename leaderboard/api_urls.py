"""Addresses of the leaderboards in the REST API."""

from django.urls import path

from leaderboard.api import Leaderboard

urlpatterns = [path("leaderboards/<slug:challenge>/", Leaderboard.as_view(), name="api-leaderboard")]
