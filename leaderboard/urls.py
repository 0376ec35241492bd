"""Addresses of the public pages."""

from django.urls import include, path
from django.views.generic import RedirectView

from leaderboard.views import board, entry, home, teams

boards = (
    [
        path("<slug:slug>/", board.board, name="board"),
    ],
    "leaderboard",
)
urlpatterns = [
    path("", home.home, name="home"),
    path("leaderboard/", RedirectView.as_view(pattern_name="home"), name="boards"),
    path("leaderboard/", include(boards)),
    path("entries/<int:pk>/", entry.entry, name="entry"),
    path("teams/<int:pk>/", teams.team, name="team"),
]
