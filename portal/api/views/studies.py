"""Studies: read by everybody."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts.access import sees_all
from portal.api.conditional import ConditionalMixin
from portal.api.pagination import ByKey
from portal.api.permissions import HasScope
from portal.api.serializers.studies import StudySerializer, StudySummarySerializer
from portal.baselines.studies.table import table_of
from portal.runs.models import Study


@extend_schema(tags=["studies"])
class StudyList(ConditionalMixin, generics.ListAPIView[Study]):
    """Studies, newest first: many baseline runs by one plan."""

    permission_classes = [HasScope, IsAuthenticatedOrReadOnly]
    serializer_class = StudySummarySerializer
    pagination_class = ByKey
    queryset = Study.objects.all()


@extend_schema(tags=["studies"])
class StudyDetail(ConditionalMixin, generics.GenericAPIView[Study]):
    """A study with its plan and its table."""

    permission_classes = [HasScope, IsAuthenticatedOrReadOnly]
    serializer_class = StudySerializer
    queryset = Study.objects.all()

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The study as it stands. Scores that are not published yet are shown to reviewers and operators."""
        study = get_object_or_404(Study, pk=kwargs["pk"])
        table = table_of(study, sees_all=sees_all(request.user))
        return Response(self.get_serializer(table).data)
