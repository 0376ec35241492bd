"""The leaderboards in the REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import entry_page
from leaderboard.board.column import ApiField, Column, Facet, Group
from leaderboard.board.columns import by_key, facets_by_name, limited
from leaderboard.board.filters import SECTIONS, Filters, apply, refusals
from leaderboard.reading import snapshots
from leaderboard.standing.entries import BenchmarkScore, Cost, Flag, Standing, Track, Trust
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


class _OfColumn(serializers.Field[Any, Any, Any, Any]):
    """What `read` gives of a standing."""

    read: Callable[[Standing], Any]

    def get_attribute(self, instance: Standing) -> Any:
        return self.read(instance)


class _Number(_OfColumn, serializers.FloatField):
    """Of any column that holds numbers."""


class _Count(_OfColumn, serializers.IntegerField):
    """Of one that holds whole numbers."""


class _Text(_OfColumn, serializers.CharField):
    """Of one that holds words; empty where nothing is known."""


class _Moment(_OfColumn, serializers.DateTimeField):
    """Of one that holds moments."""


class _Interval(_OfColumn, IntervalField):
    """The 95% interval of a column."""


class CostSerializer(_OfColumn, serializers.Serializer[Cost]):
    """What something cost, and how that is known."""

    value = serializers.FloatField()
    basis = serializers.CharField(help_text="declared, derived or measured")


def _fields_of(columns: Iterable[Column]) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    """The fields of those of the columns that the API has."""
    fields: dict[str, serializers.Field[Any, Any, Any, Any]] = {}
    for column in columns:
        if column.api:
            fields[column.api.name] = _field(column, column.api)
            if column.api.interval:
                fields[column.api.interval] = interval = _Interval(allow_null=True)
                interval.read = column.interval_of
    return fields


def _field(column: Column, api: ApiField) -> _OfColumn:
    options: dict[str, Any] = {"help_text": api.meaning or None}
    field: _OfColumn
    if column.group is Group.COST:
        field = CostSerializer(allow_null=True, **options)
        field.read = lambda standing: _cost_of(column, standing)
    elif column.holds == "text":
        field = _Text(**options)
        field.read = lambda standing: column.value(standing) or ""
    else:
        field = {"number": _Number, "count": _Count, "moment": _Moment}[column.holds](
            allow_null=True, **options
        )
        field.read = column.value
    return field


def _cost_of(column: Column, standing: Standing) -> Cost | None:
    value = column.value(standing)
    return Cost(value, column.basis_of(standing)) if isinstance(value, int | float) else None


class BoardResourcesSerializer(serializers.Serializer[Standing]):
    """Missing kinds are null; communication is both directions together."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return _fields_of(column for column in by_key().values() if column.group is Group.COST)


class FlagSerializer(serializers.Serializer[Flag]):
    benchmark = serializers.CharField()
    message = serializers.CharField()


class StandingSerializer(serializers.Serializer[Standing]):
    """An entry with its place. The columns give the fields that the board shows, too."""

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
    precision = serializers.CharField(source="entry.precision")
    scores = BoardScoreSerializer(many=True, source="entry.scores")
    flags = FlagSerializer(many=True, source="entry.flags")
    resources = BoardResourcesSerializer(source="*")
    published_at = serializers.DateTimeField(source="entry.published_at", help_text="On this site")
    source_date = serializers.DateField(
        source="entry.source_date",
        allow_null=True,
        help_text="Of a declared entry, where its source gives one",
    )
    left = serializers.CharField(
        source="entry.left", help_text="Of a past board: withdrawn or disqualified since, else empty"
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        columns = (column for column in by_key().values() if column.group is not Group.COST)
        return {**_fields_of(columns), **super().get_fields()}

    def get_entry(self, standing: Standing) -> int:
        return standing.entry.id

    def get_url(self, standing: Standing) -> str | None:
        if not standing.entry.has_page:
            return None
        address = entry_page(standing.entry.id, standing.entry.protocol)
        return str(self.context["request"].build_absolute_uri(address))

    def get_rank_range(self, standing: Standing) -> list[int] | None:
        found = standing.rank_range
        return [found.best, found.worst] if found else None


def _choices(facet: Facet) -> serializers.ListField:
    child = serializers.ChoiceField(facet.values) if facet.values else serializers.CharField(max_length=100)
    return serializers.ListField(child=child, required=False)


def _number() -> serializers.FloatField:
    return serializers.FloatField(required=False, min_value=0, max_value=1e12)


class PageSerializer(QuerySerializer):
    """The query parameters: without them the whole board is one page. Those of the board's page narrow and
    sort as there; one that may be repeated lets any of its values pass."""

    q = serializers.CharField(required=False, max_length=100, help_text="Words in the names")
    team = serializers.ListField(child=serializers.IntegerField(min_value=1), required=False)
    min_size = _number()
    max_size = _number()
    since = serializers.DateField(required=False)
    until = serializers.DateField(required=False)
    show = serializers.ChoiceField(SECTIONS, required=False)
    protocol = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text="The board under that protocol, by default under the site's own",
    )
    as_of = serializers.DateField(required=False, help_text="The board at the end of that day (UTC)")

    page_size = serializers.IntegerField(required=False, min_value=1, max_value=200)
    cursor = serializers.IntegerField(
        required=False, help_text="The entry before the page; part of the address in `next`"
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        sort = serializers.ChoiceField(
            [way + key for key in by_key() for way in ("", "-")],
            required=False,
            help_text="A column; with a minus from the highest",
        )
        facets = {name: _choices(facet) for name, facet in facets_by_name().items()}
        limits = {f"max_{column.key}": _number() for column in limited()}
        return {**super().get_fields(), **facets, **limits, "sort": sort}


class LeaderboardSerializer(serializers.Serializer[Any]):
    challenge = serializers.CharField()
    protocol = serializers.IntegerField(help_text="The board's: entries of others are not on it")
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
        if refused := refusals(request.query_params):
            raise serializers.ValidationError(refused)
        filters = Filters.of(request.query_params)
        snapshot = snapshots.as_of(challenge, filters.moment, filters.protocol)
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
