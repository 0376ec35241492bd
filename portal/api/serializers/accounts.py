"""Teams and tokens as the API shows them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from portal.accounts.access import sees_all
from portal.accounts.models import ApiToken, Membership, Team
from portal.intake.quotas import quota_of


class QuotaSerializer(serializers.Serializer[Any]):
    """Submissions of the last 24 hours that count."""

    used = serializers.IntegerField()
    limit = serializers.IntegerField()


class MemberSerializer(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username")

    class Meta:
        model = Membership
        fields = ["username", "role"]


class TeamSerializer(serializers.ModelSerializer[Team]):
    """A team; what only its members and staff may see is null to others."""

    role = serializers.SerializerMethodField(help_text="Yours in it")
    is_personal = serializers.SerializerMethodField(help_text="Whether it is your own from the start")
    quota = serializers.SerializerMethodField()
    members = serializers.SerializerMethodField()

    class Meta:
        model = Team
        fields = ["id", "name", "role", "is_personal", "quota", "members"]

    @extend_schema_field(serializers.ChoiceField(Membership.Role.choices, allow_null=True))
    def get_role(self, team: Team) -> str | None:
        own = [m for m in team.memberships.all() if m.user_id == self._user.pk]
        return own[0].role if own else None

    def get_is_personal(self, team: Team) -> bool:
        return team.personal_of_id is not None and team.personal_of_id == self._user.pk

    @extend_schema_field(QuotaSerializer(allow_null=True))
    def get_quota(self, team: Team) -> dict[str, Any] | None:
        return dict(QuotaSerializer(quota_of(team)).data) if self._sees_inside(team) else None

    @extend_schema_field(MemberSerializer(many=True, allow_null=True))
    def get_members(self, team: Team) -> list[Any] | None:
        if not self._sees_inside(team):
            return None
        return list(MemberSerializer(team.memberships.all(), many=True).data)

    def _sees_inside(self, team: Team) -> bool:
        return sees_all(self._user) or self.get_role(team) is not None

    @property
    def _user(self) -> Any:
        return self.context["request"].user


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token without its secret, which was shown once."""

    scopes = serializers.ListField(child=serializers.ChoiceField(ApiToken.Scope.choices))
    user = serializers.CharField(source="user.username")

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "hint",
            "user",
            "scopes",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        ]
