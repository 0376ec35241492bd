"""All addresses of the site."""

from django.contrib import admin
from django.urls import include, path

from portal import views
from portal.intake import views as intake
from portal.monitoring.views import metrics
from portal.transparency.views import log_keys

urlpatterns = [
    path("", include("leaderboard.urls")),
    path("", include("portal.intake.urls")),
    path("", include("portal.review.urls")),
    path("", include("portal.discussion.urls")),
    path("", include("portal.site_texts.urls")),
    path("baselines/", include("portal.baselines.urls")),
    path("studies/", include("portal.baselines.studies.urls")),
    path("operate/", include("portal.operate.urls")),
    path("docs/", include("portal.help.docs_urls")),
    path("help/", include("portal.help.urls")),
    path("accounts/", include("portal.account_pages.urls")),
    path("oauth/", include("portal.account_pages.oauth_urls")),
    path("data/", include("portal.dumps.urls")),
    path("client/", include("portal.client.urls")),
    path("accounts/", include("portal.notifications.urls")),
    path("accounts/", include("allauth.urls")),
    path("api/", include("portal.api.urls")),
    path("admin/", admin.site.urls),
    path("queue/", intake.queue, name="queue"),
    path("queue/live/", intake.queue_live, name="queue-live"),
    path(".well-known/flowertune-log.json", log_keys, name="log-keys"),
    path("metrics", metrics, name="metrics"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
]
handler400 = "portal.api.problems.bad_request"
handler500 = "portal.api.problems.server_error"
