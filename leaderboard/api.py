"""The leaderboards in the REST API."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from evaluation.challenges import CHALLENGES
from leaderboard import snapshots
from leaderboard.entries import BenchmarkScore, Cost, Entry, Standing, Track
from portal.api.conditional import ConditionalMixin
from portal.api.schema import problem
from portal.api.serializers import QuerySerializer


class IntervalField(serializers.ListField):
    child = serializers.FloatField()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=2, max_length=2, **kwargs)


class BoardScoreSerializer(serializers.Serializer[BenchmarkScore]):
    benchmark = serializers.CharField()
    value = serializers.FloatField(allow_null=True, help_text="Fraction of the scored items that are right")
    interval = IntervalField(allow_null=True, help_text="95% Wilson interval")
    n = serializers.IntegerField()
    unscored = serializers.IntegerField()
    data = serializers.CharField()  # type: ignore[assignment] # the field is named as the model's is
    official = serializers.BooleanField()


class CostSerializer(serializers.Serializer[Cost]):
    value = serializers.FloatField()
    basis = serializers.CharField(help_text="declared, derived or measured")


class BoardResourcesSerializer(serializers.Serializer[Entry]):
    """Missing kinds are null; communication is both directions together."""

    communication_bytes = CostSerializer(allow_null=True, source="communication", help_text="Both directions")
    client_memory_bytes = CostSerializer(allow_null=True, source="resources.client_vram", default=None)
    time_seconds = CostSerializer(allow_null=True, source="resources.wall_time", default=None)


class StandingSerializer(serializers.Serializer[Standing]):
    rank = serializers.IntegerField(allow_null=True)
    track = serializers.ChoiceField([track.value for track in Track])
    unranked_because = serializers.CharField()
    entry = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()
    method = serializers.CharField(source="entry.method")
    team = serializers.CharField(source="entry.team")
    base_model = serializers.CharField(source="entry.base_model")
    trust = serializers.CharField(source="entry.trust")
    precision = serializers.CharField(source="entry.precision")
    scores = BoardScoreSerializer(many=True, source="entry.scores")
    average = serializers.SerializerMethodField()
    average_interval = serializers.SerializerMethodField()
    resources = BoardResourcesSerializer(source="entry")
    published_at = serializers.DateTimeField(source="entry.published_at")

    def get_entry(self, standing: Standing) -> int:
        return standing.entry.id

    def get_url(self, standing: Standing) -> str:
        return str(self.context["request"].build_absolute_uri(reverse("entry", args=[standing.entry.id])))

    def get_average(self, standing: Standing) -> float | None:
        return standing.entry.average

    def get_average_interval(self, standing: Standing) -> list[float] | None:
        return list(standing.entry.interval) if standing.entry.interval else None


class PageSerializer(QuerySerializer):
    """The query parameters: without them the whole board is one page."""

    page_size = serializers.IntegerField(required=False, min_value=1, max_value=200)
    cursor = serializers.IntegerField(
        required=False, help_text="The entry before the page; part of the address in `next`"
    )


class LeaderboardSerializer(serializers.Serializer[Any]):
    challenge = serializers.CharField()
    protocol = serializers.IntegerField(allow_null=True)
    results = StandingSerializer(many=True)
    next = serializers.CharField(allow_null=True)


@extend_schema(tags=["leaderboards"])
class Leaderboard(ConditionalMixin):
    """Published entries of a challenge: official ones, then demonstration ones, then the unranked."""

    @extend_schema(
        parameters=[PageSerializer],
        responses={200: LeaderboardSerializer, 404: problem("There is no such challenge")},
        operation_id="leaderboard",
    )
    def get(self, request: Request, challenge: str) -> Response:
        found = CHALLENGES.get(challenge)
        if found is None:
            raise NotFound(f"There is no challenge “{challenge}”. There are: {', '.join(CHALLENGES)}.")
        page = PageSerializer(data=request.query_params)
        page.is_valid(raise_exception=True)
        snapshot = snapshots.current(found.slug)
        standings = [s for s in snapshot.standings if s.track is not Track.DECLARED]
        rest = _after(standings, page.validated_data.get("cursor"))
        size = page.validated_data.get("page_size") or len(rest)
        body = {
            "challenge": challenge,
            "protocol": snapshot.protocol,
            "results": rest[:size],
            "next": _next(request, rest[size - 1].entry.id) if len(rest) > size else None,
        }
        return Response(LeaderboardSerializer(body, context={"request": request}).data)


def _after(standings: list[Standing], entry: int | None) -> list[Standing]:
    """The standings behind an entry's, in board order. Raises ValidationError where it is gone."""
    if entry is None:
        return standings
    for place, standing in enumerate(standings):
        if standing.entry.id == entry:
            return standings[place + 1 :]
    raise serializers.ValidationError(
        {"cursor": "This entry is not on the board any more. Begin with the first page."}
    )


def _next(request: Request, entry: int) -> str:
    return replace_query_param(request.build_absolute_uri(), "cursor", entry)
