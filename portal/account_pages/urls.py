"""Addresses of the account pages that allauth does not bring."""

from django.urls import path

from portal.account_pages import device_views, team_views, views

app_name = "accounts"
urlpatterns = [
    path("profile/", views.profile, name="profile"),
    path("data/", views.data, name="data"),
    path("data/download/", views.download, name="download-data"),
    path("delete/", views.delete, name="delete"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", views.revoke, name="revoke-token"),
    path("device/", device_views.device, name="device"),
    path("teams/", team_views.teams, name="teams"),
    path("teams/join/<str:secret>/", team_views.join, name="join"),
    path("teams/<int:pk>/", team_views.team, name="team"),
    path("teams/<int:pk>/rename/", team_views.rename, name="rename-team"),
    path("teams/<int:pk>/invite/", team_views.invite, name="invite"),
    path("teams/<int:pk>/leave/", team_views.leave, name="leave-team"),
    path("teams/<int:pk>/delete/", team_views.disband, name="delete-team"),
    path("invitations/<int:pk>/answer/", team_views.answer, name="answer-invitation"),
    path("invitations/<int:pk>/revoke/", team_views.revoke, name="revoke-invitation"),
    path("memberships/<int:pk>/role/", team_views.change_role, name="change-role"),
    path("memberships/<int:pk>/remove/", team_views.remove, name="remove-member"),
]
