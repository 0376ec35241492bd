"""Staff's view of users, teams and tokens."""

from allauth.account.adapter import get_adapter
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm
from django.db import models
from django.http import HttpRequest

from portal.accounts.models import ApiToken, Invitation, Membership, Team, User


class PasswordByStaffForm(AdminPasswordChangeForm):
    """Ends the account's tokens and sessions, as every new password does, and tells its user."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit)
        if commit:
            ApiToken.revoke_all_of(user)
            get_adapter().send_notification_mail("account/email/password_changed", user)
        return user


@admin.register(User)
class AccountAdmin(UserAdmin[User]):
    change_password_form = PasswordByStaffForm
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    fieldsets = (
        *(UserAdmin.fieldsets or ()),
        ("Profile", {"fields": ("full_name", "affiliation", "homepage", "shown_in_teams")}),
    )


class MembershipInline(admin.TabularInline[Membership, Team]):
    model = Membership
    autocomplete_fields = ["user"]
    extra = 0


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin[Team]):
    list_display = ["name", "created_at"]
    search_fields = ["name"]
    raw_id_fields = ["personal_of"]
    inlines = [MembershipInline]


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin[Invitation]):
    list_display = ["team", "invited_by", "role", "uses", "max_uses", "expires_at", "revoked_at"]
    list_select_related = ["team", "invited_by"]
    readonly_fields = ["team", "invited_by", "role", "uses", "max_uses", "expires_at", "revoked_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # an invitation's link can be shown only to who made it


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    list_display = ["user", "name", "scopes", "hint", "expires_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    readonly_fields = ["user", "hint", "created_at", "expires_at", "last_used_at", "revoked_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a token's secret can be shown only to its owner
