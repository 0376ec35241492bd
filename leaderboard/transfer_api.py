"""In the REST API: what a published adapter changes on each domain, against its base model."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from evaluation.errors import UnknownNameError
from leaderboard.api import IntervalField
from leaderboard.reading.queries import counting, entry_of
from leaderboard.reading.transfer import matrix_of
from leaderboard.results_api import ProtocolQuery
from portal.api.conditional import ConditionalMixin
from portal.api.schema import problem
from portal.submissions.models import Submission

_INTERVAL = "95% interval of the difference; null where no answer differs"


class BenchmarkChangeSerializer(serializers.Serializer[Any]):
    benchmark = serializers.CharField()
    base = serializers.FloatField(help_text="Fraction that the base model has right")
    adapter = serializers.FloatField(help_text="Fraction that the adapter has right")
    difference = serializers.FloatField()
    interval = IntervalField(allow_null=True, help_text=_INTERVAL)


class DomainChangeSerializer(serializers.Serializer[Any]):
    domain = serializers.CharField(source="change.domain")
    base = serializers.FloatField(source="change.base")
    adapter = serializers.FloatField(source="change.adapter")
    difference = serializers.FloatField(source="change.difference")
    interval = IntervalField(source="change.interval", allow_null=True, help_text=_INTERVAL)
    is_home = serializers.BooleanField(help_text="Whether it is the entry's own domain")
    benchmarks = BenchmarkChangeSerializer(many=True)


class WorstChangeSerializer(serializers.Serializer[Any]):
    domain = serializers.CharField()
    difference = serializers.FloatField()
    interval = IntervalField(allow_null=True, help_text="Corrected for looking at several domains")


class TransferSerializer(serializers.Serializer[Any]):
    entry = serializers.IntegerField()
    protocol = serializers.IntegerField()
    domains = DomainChangeSerializer(many=True, help_text="Empty where it was not measured")
    worst_elsewhere = WorstChangeSerializer(allow_null=True, help_text="Null unless measured on all")


@extend_schema(tags=["leaderboards"])
class Transfer(ConditionalMixin):
    """A published entry's changes on every domain that it was measured on."""

    @extend_schema(
        parameters=[ProtocolQuery],
        responses={200: TransferSerializer, 404: problem("There is no such published entry")},
        operation_id="entry_transfer",
    )
    def get(self, request: Request, pk: int) -> Response:
        asked = ProtocolQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        if not Submission.objects.filter(pk=pk, status__in=Submission.PUBLIC).exists():
            raise NotFound(f"There is no published entry {pk}.")
        try:
            entry = entry_of(pk, asked.validated_data.get("protocol"))
        except (LookupError, UnknownNameError) as error:
            raise NotFound(f"Entry {pk} has no result under that protocol.") from error
        rows = matrix_of(pk, counting([pk], protocol=entry.protocol)) if entry.protocol else []
        body = {
            "entry": pk,
            "protocol": entry.protocol,
            "domains": rows,
            "worst_elsewhere": entry.worst_elsewhere,
        }
        return Response(TransferSerializer(body).data)
