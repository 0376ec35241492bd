"""The REST API's views, version 1: challenges, base models, submissions."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation.challenges import CHALLENGES
from portal.api.problems import UploadTooLarge
from portal.api.serializers import (
    BaseModelSerializer,
    ChallengeSerializer,
    NewSubmissionSerializer,
    ProblemSerializer,
    SubmissionSerializer,
)
from portal.submissions.models import BaseModel, Submission
from portal.submissions.services import submit
from portal.uploads import file_too_large


def problem(description: str) -> OpenApiResponse:
    return OpenApiResponse(ProblemSerializer, description=description)


class ByTime(CursorPagination):
    ordering = ("-created_at", "-pk")
    page_size = 50


class ChallengeList(APIView):
    """The challenges in board order."""

    @extend_schema(responses=ChallengeSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response(ChallengeSerializer(list(CHALLENGES.values()), many=True).data)


class BaseModelList(generics.ListAPIView[BaseModel]):
    """The base models that take new submissions."""

    serializer_class = BaseModelSerializer
    queryset = BaseModel.objects.filter(active=True)
    pagination_class = None


class SubmissionList(generics.ListAPIView[Submission]):
    """Your submissions, newest first; and the place to make one."""

    serializer_class = SubmissionSerializer
    permission_classes = [IsAuthenticated]
    parser_classes = [MultiPartParser]
    pagination_class = ByTime

    def get_queryset(self) -> QuerySet[Submission]:
        return _with_details(Submission.objects.of_member(self.request.user))

    @extend_schema(
        request={"multipart/form-data": NewSubmissionSerializer},
        responses={
            201: SubmissionSerializer,
            400: problem("A field is missing or wrong"),
            401: problem("No token, or a wrong or revoked one"),
            413: problem("A file is over the limit"),
            422: problem("The files have problems; nothing was stored"),
        },
    )
    def post(self, request: Request) -> Response:
        data: Any = request.data
        if field := getattr(request._request, "upload_too_large", None):
            raise UploadTooLarge(file_too_large(field).message)
        serializer = NewSubmissionSerializer(data=data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        submission = submit(serializer.draft())
        body = SubmissionSerializer(
            _with_details(Submission.objects.all()).get(pk=submission.pk), context={"request": request}
        ).data
        return Response(
            body, status=status.HTTP_201_CREATED, headers={"Location": _address(request, submission)}
        )


class SubmissionDetail(generics.RetrieveAPIView[Submission]):
    """A submission with findings, resources and evaluations; a stranger's is there only once published."""

    serializer_class = SubmissionSerializer

    def get_queryset(self) -> QuerySet[Submission]:
        return _with_details(Submission.objects.visible_to(self.request.user))


def _with_details(submissions: QuerySet[Submission]) -> QuerySet[Submission]:
    return submissions.select_related("team", "base_model", "checkpoint").prefetch_related(
        "findings", "resources", "evaluations__scores", "evaluations__submission"
    )


def _address(request: Request, submission: Submission) -> str:
    return str(request.build_absolute_uri(reverse("api-submission", args=[submission.pk])))
