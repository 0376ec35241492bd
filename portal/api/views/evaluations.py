"""Evaluations: their progress, their scores, and the single answers behind a score."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Prefetch, Q, QuerySet
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, OpenApiTypes, extend_schema
from rest_framework import generics
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts.access import sees_all
from portal.api.conditional import ConditionalMixin, not_modified
from portal.api.permissions import HasScope
from portal.api.serializers.evaluations import EvaluationSerializer, LogFilter, LogSerializer
from portal.runs.items import ItemsMissingError, open_items
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission


def evaluations_visible_to(user: Any) -> QuerySet[Evaluation]:
    """Those of the user's teams, for staff all, and for everybody the finished ones of what is public.

    Without audits, and without those of an adapter that was changed before the entry became public.
    """
    if sees_all(user):
        return Evaluation.objects.all()
    shown = Q(
        Q(checkpoint=None) | Q(checkpoint=F("submission__checkpoint")),
        status__in=[Evaluation.Status.SUCCEEDED, Evaluation.Status.MEASURED],
        submission__status__in=Submission.PUBLIC,
        for_audit=False,
    )
    if user.is_authenticated:
        shown |= Q(submission__team__memberships__user=user)
    return Evaluation.objects.filter(shown).distinct()


@extend_schema(tags=["evaluations"])
class EvaluationDetail(ConditionalMixin, generics.RetrieveAPIView[Evaluation]):
    """An evaluation with progress and scores; to others than the team only once it is published."""

    serializer_class = EvaluationSerializer

    def get_queryset(self) -> QuerySet[Evaluation]:
        scores = Score.objects.defer("correct_bits", "scored_bits")
        return (
            evaluations_visible_to(self.request.user)
            .select_related("submission")
            .prefetch_related(Prefetch("scores", scores))
        )


@extend_schema(tags=["evaluations"])
class EvaluationLog(generics.GenericAPIView[Evaluation]):
    """What the workers noted on an evaluation."""

    permission_classes = [HasScope, IsAuthenticated]
    serializer_class = LogSerializer

    def get_queryset(self) -> QuerySet[Evaluation]:
        """Those of the user's teams, and for staff all: a log is never public."""
        user: Any = self.request.user
        if sees_all(user):
            return Evaluation.objects.all()
        return Evaluation.objects.filter(submission__team__memberships__user=user).distinct()

    @extend_schema(operation_id="evaluation_log", parameters=[LogFilter])
    def get(self, request: Request, pk: int) -> Response:
        """Read the log, 500 lines at most, at first or behind the line `after`."""
        wanted = LogFilter(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        evaluation = self.get_object()
        lines = evaluation.log.filter(number__gt=wanted.validated_data.get("after", 0))
        return Response(LogSerializer({"status": evaluation.status, "lines": lines}).data)


class JsonLinesRenderer(JSONRenderer):
    """Lets clients ask for JSON lines; what it renders are the problems that come instead of them."""

    media_type = "application/x-ndjson"
    format = "json"  # as the other renderer, so that there is no `?format=` to choose


@extend_schema(tags=["evaluations"])
class Items(ConditionalMixin):
    """The single answers of a benchmark."""

    renderer_classes = [JsonLinesRenderer, JSONRenderer]

    @extend_schema(
        operation_id="evaluation_items",
        responses={
            (200, JsonLinesRenderer.media_type): OpenApiResponse(
                OpenApiTypes.STR,
                description="One JSON object a line: `id`, `prompt`, `completion`, `prediction`, `target`, "
                "`correct`",
            )
        },
    )
    def get(self, request: Request, pk: int, benchmark: str) -> HttpResponseBase:
        """Download prompt, completion and target of every item. For those who may see the evaluation."""
        score = get_object_or_404(
            Score.objects.filter(evaluation__in=evaluations_visible_to(request.user)).only("items"),
            evaluation_id=pk,
            benchmark=benchmark,
        )
        etag = f'"items-{score.pk}"'  # a score and its items never change
        if unchanged := not_modified(request, etag):
            return unchanged
        try:
            items = open_items(score)
        except ItemsMissingError as error:
            raise NotFound(str(error)) from error
        response = FileResponse(
            items,
            as_attachment=True,
            filename=f"evaluation-{pk}-{benchmark}.jsonl",
            content_type=JsonLinesRenderer.media_type,
        )
        response["ETag"] = etag
        return response
