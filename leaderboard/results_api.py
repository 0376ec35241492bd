"""In the REST API: an entry's result in the formats of other places, and a board as a described data set."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from evaluation.errors import UnknownNameError
from evaluation.rules.challenges import CHALLENGES
from leaderboard.addresses import entry_page, under
from leaderboard.board.columns import columns_of
from leaderboard.board.exports import fields_of
from leaderboard.interchange import croissant, inspect_log
from leaderboard.interchange.croissant import BoardFile
from leaderboard.interchange.formats import FORMATS, JSON, YAML, ZIP, Offer, log_name, offers
from leaderboard.interchange.reading import published_result
from leaderboard.interchange.result import NotSayableError, Result
from leaderboard.reading import items, snapshots
from portal.api.conditional import ConditionalMixin
from portal.api.schema import problem
from portal.api.serializers import QuerySerializer
from portal.runs.items import ItemsMissingError
from portal.transparency.reading import current_head, head_in_words

_NOTHING = problem("There is no such published entry or format, or the format has no words for the result")


class ProtocolQuery(QuerySerializer):
    protocol = serializers.IntegerField(
        required=False, min_value=1, max_value=1000, help_text="Of the result; by default the site's own"
    )


class OfferSerializer(serializers.Serializer[Offer]):
    format = serializers.CharField(source="slug")
    title = serializers.CharField()
    benchmark = serializers.CharField(help_text="Of a format with a file for each benchmark, else empty")
    file_name = serializers.CharField()
    refused = serializers.CharField(help_text="Why the format has no words for this result, else empty")
    url = serializers.SerializerMethodField()

    def get_url(self, offer: Offer) -> str | None:
        if offer.refused:
            return None
        address = offer_address(self.context["entry"], offer, self.context["protocol"])
        return str(self.context["request"].build_absolute_uri(address))


class OffersSerializer(serializers.Serializer[Any]):
    entry = serializers.IntegerField()
    protocol = serializers.IntegerField(help_text="0 where the scores were only declared")
    page = serializers.CharField(help_text="Of the entry, which files name as their source")
    results = OfferSerializer(many=True)


class YamlRenderer(JSONRenderer):
    """Lets clients ask for YAML; what it renders are the problems that come instead of it."""

    media_type = YAML
    format = "json"


class ZipRenderer(JSONRenderer):
    """The same of an archive."""

    media_type = ZIP
    format = "json"


def offer_address(entry: int, offer: Offer, protocol: int) -> str:
    """Where the file of an offer is."""
    if offer.benchmark:
        path = reverse("api-inspect-log", args=[entry, offer.benchmark])
    else:
        path = reverse("api-export", args=[entry, offer.slug])
    return under(path, protocol)


@extend_schema(tags=["leaderboards"])
class Exports(ConditionalMixin):
    """The formats that a published entry's result can be had in."""

    @extend_schema(
        parameters=[ProtocolQuery],
        responses={200: OffersSerializer, 404: _NOTHING},
        operation_id="entry_exports",
    )
    def get(self, request: Request, pk: int) -> Response:
        result = _result(request, pk)
        protocol = result.conditions.protocol if result.conditions else 0
        context = {"request": request, "entry": pk, "protocol": protocol}
        body = {"entry": pk, "protocol": protocol, "page": result.url, "results": list(offers(result))}
        return Response(OffersSerializer(body, context=context).data)


@extend_schema(tags=["leaderboards"])
class Export(ConditionalMixin):
    """A published entry's result in one format, for places that collect results."""

    renderer_classes = [JSONRenderer, YamlRenderer]

    @extend_schema(
        parameters=[ProtocolQuery, OpenApiParameter("form", str, "path", enum=list(FORMATS))],
        responses={
            (200, JSON): OpenApiTypes.OBJECT,
            (200, YAML): OpenApiTypes.STR,
            404: _NOTHING,
        },
        operation_id="entry_export",
    )
    def get(self, request: Request, pk: int, form: str) -> HttpResponseBase:
        found = FORMATS.get(form)
        if found is None:
            raise NotFound(f"There is no format “{form}”. There are: {', '.join(FORMATS)}.")
        result = _result(request, pk)
        try:
            content = found.text(result)
        except NotSayableError as error:
            raise NotFound(str(error)) from error
        return _file(HttpResponse(content, content_type=found.content_type), found.file_name(result))


@extend_schema(tags=["leaderboards"])
class InspectLog(ConditionalMixin):
    """A published entry's answers to one benchmark as a log of Inspect."""

    renderer_classes = [ZipRenderer, JSONRenderer]

    @extend_schema(
        parameters=[ProtocolQuery],
        responses={(200, ZIP): OpenApiTypes.BINARY, 404: _NOTHING},
        operation_id="entry_inspect_log",
    )
    def get(self, request: Request, pk: int, benchmark: str) -> HttpResponseBase:
        result = _result(request, pk)
        protocol = result.conditions.protocol if result.conditions else None
        score = items.public_scores([pk], protocol).filter(benchmark=benchmark).first()
        try:
            if score is not None:
                items.index_of(score)  # has read every line, so that nothing breaks in the middle of a file
            answers = items.every(score) if score is not None else iter(())
            content = inspect_log.pieces(result, benchmark, answers)
        except (NotSayableError, ItemsMissingError) as error:
            raise NotFound(str(error)) from error
        response = _file(StreamingHttpResponse(content, content_type=ZIP), log_name(result, benchmark))
        # What is trained on a benchmark's questions is no longer tested by them.
        response["X-Robots-Tag"] = "noindex, noarchive"
        return response


@extend_schema(tags=["leaderboards"])
class BoardDescription(ConditionalMixin):
    """A board as a data set: Croissant 1.0, JSON-LD that names the file and what each column means."""

    @extend_schema(
        parameters=[ProtocolQuery],
        responses={
            (200, "application/ld+json"): OpenApiTypes.OBJECT,
            404: problem("There is no such challenge or protocol"),
        },
        operation_id="leaderboard_croissant",
    )
    def get(self, request: Request, challenge: str) -> Response:
        known = CHALLENGES.get(challenge)
        if known is None:
            raise NotFound(f"There is no challenge “{challenge}”. There are: {', '.join(CHALLENGES)}.")
        try:
            snapshot = snapshots.current(challenge, _protocol(request))
        except UnknownNameError as error:
            raise NotFound(str(error)) from error
        head = current_head()
        query = f"?protocol={snapshot.protocol}"
        page = request.build_absolute_uri(reverse("leaderboard:board", args=[challenge]))
        file = request.build_absolute_uri(reverse("leaderboard:board-csv", args=[challenge]))
        board = BoardFile(
            challenge=challenge,
            title=known.title,
            summary=known.summary,
            protocol=snapshot.protocol,
            page=f"{page}{query}",
            address=f"{file}{query}",
            built_at=snapshot.built_at,
            log_head=head_in_words(head) if head else "",
            fields=fields_of(
                columns_of(challenge, snapshot.protocol), lambda entry: entry_page(entry, snapshot.protocol)
            ),
        )
        return Response(croissant.document(board), content_type="application/ld+json")


def _protocol(request: Request) -> int | None:
    query = ProtocolQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    asked: int | None = query.validated_data.get("protocol")
    return asked


def _result(request: Request, pk: int) -> Result:
    try:
        return published_result(pk, _protocol(request))
    except NotSayableError as error:
        raise NotFound(str(error)) from error


def _file(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Robots-Tag"] = "noindex"
    return response
