"""All addresses of the site."""

from django.contrib import admin
from django.urls import include, path

from portal import views

urlpatterns = [
    path("", include("leaderboard.urls")),
    path("", include("portal.intake.urls")),
    path("", include("portal.review.urls")),
    path("baselines/", include("portal.baselines.urls")),
    path("help/", include("portal.help.urls")),
    path("accounts/", include("portal.account_pages.urls")),
    path("accounts/", include("portal.notifications.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/", include("portal.api.urls")),
    path("admin/", admin.site.urls),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
]
handler400 = "portal.api.problems.bad_request"
handler500 = "portal.api.problems.server_error"
