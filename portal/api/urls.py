"""Addresses of the REST API."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView

from portal.api.views import (
    accounts,
    baselines,
    catalogue,
    evaluations,
    log,
    queue,
    reference,
    studies,
    submissions,
)

v1: list[URLPattern | URLResolver] = [
    path("challenges/", catalogue.ChallengeList.as_view(), name="api-challenges"),
    path("challenges/<slug:slug>/", catalogue.ChallengeDetail.as_view(), name="api-challenge"),
    path("benchmarks/<slug:slug>/ngrams/", catalogue.BenchmarkNgrams.as_view(), name="api-ngrams"),
    path("data-register/", catalogue.DataRegister.as_view(), name="api-data-register"),
    path("base-models/", catalogue.BaseModelList.as_view(), name="api-base-models"),
    path("findings/", catalogue.FindingKindList.as_view(), name="api-findings"),
    path("findings/<str:code>/", catalogue.FindingKindDetail.as_view(), name="api-finding"),
    path("base-models/<path:hub_id>/", catalogue.BaseModelDetail.as_view(), name="api-base-model"),
    path("submissions/", submissions.SubmissionList.as_view(), name="api-submissions"),
    path("submissions/<int:pk>/", submissions.SubmissionDetail.as_view(), name="api-submission"),
    path("submissions/<int:pk>/send/", submissions.SubmissionSend.as_view(), name="api-send"),
    path("submissions/<int:pk>/withdraw/", submissions.SubmissionWithdraw.as_view(), name="api-withdraw"),
    path("submissions/<int:pk>/evaluate/", submissions.SubmissionEvaluate.as_view(), name="api-evaluate"),
    path("queue/", queue.QueueDetail.as_view(), name="api-queue"),
    path("evaluations/<int:pk>/", evaluations.EvaluationDetail.as_view(), name="api-evaluation"),
    path("evaluations/<int:pk>/log/", evaluations.EvaluationLog.as_view(), name="api-log"),
    path("evaluations/<int:pk>/items/<slug:benchmark>/", evaluations.Items.as_view(), name="api-items"),
    path("baseline-runs/", baselines.RunList.as_view(), name="api-baseline-runs"),
    path("baseline-runs/<int:pk>/", baselines.RunDetail.as_view(), name="api-baseline-run"),
    path("baseline-runs/<int:pk>/cancel/", baselines.RunCancel.as_view(), name="api-cancel-run"),
    path("studies/", studies.StudyList.as_view(), name="api-studies"),
    path("studies/<int:pk>/", studies.StudyDetail.as_view(), name="api-study"),
    path("log/", log.LogHead.as_view(), name="api-log"),
    path("log/entries/", log.LogEntries.as_view(), name="api-log-entries"),
    path("log/inclusion/", log.LogInclusion.as_view(), name="api-log-inclusion"),
    path("log/consistency/", log.LogConsistency.as_view(), name="api-log-consistency"),
    path("entries/<int:pk>/statement/", log.EntryStatement.as_view(), name="api-statement"),
    path("teams/", accounts.TeamList.as_view(), name="api-teams"),
    path("teams/<int:pk>/", accounts.TeamDetail.as_view(), name="api-team"),
    path("tokens/", accounts.TokenList.as_view(), name="api-tokens"),
    path("tokens/current/", accounts.CurrentToken.as_view(), name="api-current-token"),
    path("", include("portal.api.upload_urls")),
    path("", include("leaderboard.api_urls")),
]
urlpatterns = [
    path("v1/", include(v1)),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", reference.api_reference, name="api-docs"),
    # Also without the slash at the end, where Django would otherwise guess.
    re_path("^", catalogue.NothingHere.as_view(), name="api-nothing"),
]
