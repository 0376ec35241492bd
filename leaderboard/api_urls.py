"""Addresses of the leaderboards, and of results in other formats, in the REST API."""

from django.urls import path

from leaderboard.api import Leaderboard
from leaderboard.leakage_api import Leakage
from leaderboard.results_api import BoardDescription, Export, Exports, InspectLog
from leaderboard.transfer_api import Transfer

urlpatterns = [
    path("leaderboards/<slug:challenge>/", Leaderboard.as_view(), name="api-leaderboard"),
    path("leaderboards/<slug:challenge>/croissant/", BoardDescription.as_view(), name="api-croissant"),
    path("entries/<int:pk>/leakage/", Leakage.as_view(), name="api-leakage"),
    path("entries/<int:pk>/transfer/", Transfer.as_view(), name="api-transfer"),
    path("entries/<int:pk>/exports/", Exports.as_view(), name="api-exports"),
    path("entries/<int:pk>/exports/inspect/<slug:benchmark>/", InspectLog.as_view(), name="api-inspect-log"),
    path("entries/<int:pk>/exports/<slug:form>/", Export.as_view(), name="api-export"),
]
