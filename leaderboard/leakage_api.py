"""In the REST API: what a published adapter was found to give away of its training rows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from leaderboard.api import IntervalField
from leaderboard.reading.leakage import Report, report_of
from portal.api.conditional import ConditionalMixin
from portal.api.schema import problem
from portal.submissions.models import Submission


class MembershipSerializer(serializers.Serializer[Any]):
    signal = serializers.CharField(help_text="loss_ratio, min_k, or base_alone, which knows of no training")
    auc = serializers.FloatField(help_text="Area under the curve; 0.5 tells nothing")
    interval = IntervalField(allow_null=True, help_text="95%; null where all scores are equal")
    true_positives = serializers.FloatField(help_text="Share of training rows at 1% false positives")
    true_positives_interval = IntervalField(allow_null=True)


class ClientMembershipSerializer(serializers.Serializer[Any]):
    client = serializers.IntegerField()
    rows = serializers.IntegerField()
    membership = MembershipSerializer()


class ExposureSerializer(serializers.Serializer[Any]):
    client = serializers.IntegerField()
    bits = serializers.FloatField()
    most = serializers.FloatField(help_text="Where it is likelier than every other")


class LeakageSerializer(serializers.Serializer[Any]):
    entry = serializers.IntegerField()
    basis = serializers.CharField(help_text="measured or declared: how training rows are known")
    epsilon = serializers.FloatField(allow_null=True, help_text="Of differential privacy, where it is known")
    members = serializers.IntegerField(help_text="Rows looked at that were trained on")
    others = serializers.IntegerField(help_text="Rows of the same source that were not")
    memberships = MembershipSerializer(many=True)
    clients = ClientMembershipSerializer(many=True)
    exposures = ExposureSerializer(many=True, help_text="Of canaries that clients held")


@extend_schema(tags=["leaderboards"])
class Leakage(ConditionalMixin):
    """The tests of membership of a published entry, and the exposure of canaries."""

    @extend_schema(
        responses={200: LeakageSerializer, 404: problem("There is no such entry, or it was not measured")},
        operation_id="entry_leakage",
    )
    def get(self, _request: Request, pk: int) -> Response:
        submission = Submission.objects.filter(pk=pk, status__in=Submission.PUBLIC).first()
        report = report_of(submission) if submission else None
        if report is None:
            raise NotFound(f"The leakage of entry {pk} was not measured, or there is no such entry.")
        return Response(LeakageSerializer(_body(pk, report)).data)


def _body(pk: int, report: Report) -> dict[str, Any]:
    return {
        "entry": pk,
        "basis": report.figure.basis,
        "epsilon": report.figure.epsilon,
        "members": report.members,
        "others": report.others,
        "memberships": report.tests,
        "clients": [{"client": c, "rows": rows, "membership": test} for c, rows, test in report.clients],
        "exposures": [{"client": c, "bits": bits, "most": most} for c, bits, most in report.exposures],
    }
