"""One's teams and tokens. Both are made and changed on the account pages."""

from __future__ import annotations

from django.db.models import Prefetch, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts.access import sees_all
from portal.accounts.models import ApiToken, Membership, Team, User, personal_team
from portal.api.conditional import ConditionalMixin
from portal.api.pagination import ByKey, ByKeyUpwards
from portal.api.permissions import HasScope
from portal.api.schema import problem
from portal.api.serializers.accounts import TeamSerializer, TokenSerializer
from portal.submissions.models import Submission

_MEMBERS = Prefetch("memberships", Membership.objects.select_related("user").order_by("pk"))


@extend_schema(tags=["teams"])
class TeamList(ConditionalMixin, generics.ListAPIView[Team]):
    """Your teams, with your role and what is left of the day's submissions."""

    serializer_class = TeamSerializer
    permission_classes = [HasScope, IsAuthenticated]
    pagination_class = ByKeyUpwards

    def get_queryset(self) -> QuerySet[Team]:
        assert isinstance(self.request.user, User)
        personal_team(self.request.user)
        return Team.objects.filter(memberships__user=self.request.user).prefetch_related(_MEMBERS)


@extend_schema(tags=["teams"])
class TeamDetail(ConditionalMixin, generics.RetrieveAPIView[Team]):
    """A team of yours, or one that published something; members and quota are for its members and staff."""

    serializer_class = TeamSerializer
    permission_classes = [HasScope, IsAuthenticatedOrReadOnly]

    def get_queryset(self) -> QuerySet[Team]:
        teams, user = Team.objects.prefetch_related(_MEMBERS), self.request.user
        shown = Q(submissions__status__in=Submission.PUBLIC)
        if isinstance(user, User):
            if sees_all(user):
                return teams
            shown |= Q(memberships__user=user)
        return teams.filter(shown).distinct()


@extend_schema(tags=["tokens"])
class TokenList(ConditionalMixin, generics.ListAPIView[ApiToken]):
    """Your tokens without their secrets. Make and revoke them on the account page."""

    serializer_class = TokenSerializer
    permission_classes = [HasScope, IsAuthenticated]
    pagination_class = ByKey

    def get_queryset(self) -> QuerySet[ApiToken]:
        assert isinstance(self.request.user, User)
        return ApiToken.objects.filter(user=self.request.user).select_related("user")


@extend_schema(tags=["tokens"])
class CurrentToken(ConditionalMixin):
    """The token that the request carries, whatever its scopes."""

    permission_classes = [HasScope, IsAuthenticated]
    required_scope = ""

    @extend_schema(
        operation_id="tokens_current",
        responses={200: TokenSerializer, 404: problem("The request came with a session, not with a token")},
    )
    def get(self, request: Request) -> Response:
        """Tell whose token this is, what it may do and when it expires."""
        if not isinstance(request.auth, ApiToken):
            raise NotFound("This request carries no token.")
        return Response(TokenSerializer(request.auth, context={"request": request}).data)
