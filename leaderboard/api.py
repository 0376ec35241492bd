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

from evaluation.rules.challenges import CHALLENGES
from leaderboard.board.columns import COLUMNS
from leaderboard.board.filters import SECTIONS, Filters, apply, refused_day
from leaderboard.reading import snapshots
from leaderboard.standing.entries import BenchmarkScore, Cost, Entry, Flag, Standing, Track, Trust
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


class FlagSerializer(serializers.Serializer[Flag]):
    benchmark = serializers.CharField()
    message = serializers.CharField()


class StandingSerializer(serializers.Serializer[Standing]):
    rank = serializers.IntegerField(allow_null=True, help_text="By the average; equal ones share it")
    rank_range = serializers.SerializerMethodField(
        help_text="The best and the worst rank that the entry may have; null where no test was possible"
    )
    tie_group = serializers.IntegerField(
        allow_null=True, help_text="Entries with as many significantly better ones share it"
    )
    track = serializers.ChoiceField([track.value for track in Track])
    unranked_because = serializers.CharField()
    entry = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()
    method = serializers.CharField(source="entry.method")
    team = serializers.CharField(source="entry.team", help_text="Empty where the entry was withdrawn since")
    base_model = serializers.CharField(source="entry.base_model")
    trust = serializers.CharField(source="entry.trust")
    precision = serializers.CharField(source="entry.precision")
    scores = BoardScoreSerializer(many=True, source="entry.scores")
    average = serializers.SerializerMethodField()
    average_interval = serializers.SerializerMethodField()
    gain = serializers.FloatField(
        source="entry.gain", allow_null=True, help_text="Average less that of the untuned base model"
    )
    strategy = serializers.CharField(source="entry.strategy", allow_blank=True)
    peft = serializers.CharField(source="entry.peft", allow_blank=True)
    flags = FlagSerializer(many=True, source="entry.flags")
    resources = BoardResourcesSerializer(source="entry")
    published_at = serializers.DateTimeField(source="entry.published_at", help_text="On this site")
    source_date = serializers.DateField(
        source="entry.source_date",
        allow_null=True,
        help_text="Of a declared entry, where its source gives one",
    )
    left = serializers.CharField(
        source="entry.left", help_text="Of a past board: withdrawn or disqualified since, else empty"
    )

    def get_entry(self, standing: Standing) -> int:
        return standing.entry.id

    def get_url(self, standing: Standing) -> str | None:
        if not standing.entry.has_page:
            return None
        return str(self.context["request"].build_absolute_uri(reverse("entry", args=[standing.entry.id])))

    def get_rank_range(self, standing: Standing) -> list[int] | None:
        found = standing.rank_range
        return [found.best, found.worst] if found else None

    def get_average(self, standing: Standing) -> float | None:
        return standing.entry.average

    def get_average_interval(self, standing: Standing) -> list[float] | None:
        return list(standing.entry.interval) if standing.entry.interval else None


def _names() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(max_length=100), required=False)


def _number() -> serializers.FloatField:
    return serializers.FloatField(required=False, min_value=0, max_value=1e12)


class PageSerializer(QuerySerializer):
    """The query parameters: without them the whole board is one page. Those of the board's page narrow and
    sort as there; one that may be repeated lets any of its values pass."""

    q = serializers.CharField(required=False, max_length=100, help_text="Words in the names")
    family = _names()
    strategy = _names()
    peft = _names()
    trust = serializers.ListField(
        child=serializers.ChoiceField([trust.value for trust in Trust]), required=False
    )
    team = serializers.ListField(child=serializers.IntegerField(min_value=1), required=False)
    min_size = _number()
    max_size = _number()
    max_communication = _number()
    max_client_vram = _number()
    max_server_vram = _number()
    max_gpu_time = _number()
    since = serializers.DateField(required=False)
    until = serializers.DateField(required=False)
    show = serializers.ChoiceField(SECTIONS, required=False)
    sort = serializers.ChoiceField(
        [way + key for key in COLUMNS for way in ("", "-")],
        required=False,
        help_text="A column; with a minus from the highest",
    )
    as_of = serializers.DateField(required=False, help_text="The board at the end of that day (UTC)")

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
    """Published entries of a challenge: official ones, then demonstration ones, then the unranked.

    Declared entries are there with `show=declared` or `trust=declared`. Sizes are in billions of parameters,
    limits in GB = 1024³ bytes and hours.
    """

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
        if refused := refused_day(request.query_params):
            raise serializers.ValidationError({"as_of": refused})
        filters = Filters.of(request.query_params)
        snapshot = (
            snapshots.as_of(challenge, filters.moment) if filters.moment else snapshots.current(challenge)
        )
        standings = list(apply(snapshot, filters))
        if filters.show != "declared" and Trust.DECLARED not in filters.trust:
            standings = [s for s in standings if s.track is not Track.DECLARED]
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
