"""Addresses of the REST API."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from portal.api import views

v1: list[URLPattern | URLResolver] = [
    path("challenges/", views.ChallengeList.as_view(), name="api-challenges"),
    path("base-models/", views.BaseModelList.as_view(), name="api-base-models"),
    path("submissions/", views.SubmissionList.as_view(), name="api-submissions"),
    path("submissions/<int:pk>/", views.SubmissionDetail.as_view(), name="api-submission"),
    path("", include("leaderboard.api_urls")),
]
urlpatterns = [
    path("v1/", include(v1)),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
]
