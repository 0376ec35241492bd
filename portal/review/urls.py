"""Addresses of what people ask of the reviewers, and of where it is answered."""

from django.urls import path

from portal.review import request_views as views
from portal.review.models import EntryRequest

Kind = EntryRequest.Kind

app_name = "review"
urlpatterns = [
    path("entries/<int:pk>/claim/", views.ask, {"kind": Kind.CLAIM}, name="claim"),
    path("entries/<int:pk>/report/", views.ask, {"kind": Kind.REPORT}, name="report"),
    path("entries/<int:pk>/object/", views.ask, {"kind": Kind.OBJECTION}, name="objection"),
    path("submissions/<int:pk>/appeal/", views.ask, {"kind": Kind.APPEAL}, name="appeal"),
    path("objections/<int:pk>/reply/", views.reply, name="reply"),
    path("review/requests/", views.requests, name="requests"),
    path("review/requests/<int:pk>/", views.request_page, name="request"),
]
