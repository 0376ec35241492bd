"""Baseline runs: read by everybody, started and cancelled by staff."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts.models import User
from portal.api.conditional import ConditionalMixin
from portal.api.idempotency import idempotent
from portal.api.pagination import ByKey
from portal.api.permissions import HasScope, TrainsHere
from portal.api.schema import ETAG, IDEMPOTENCY_KEY, LOCATION, REPLAYED, problem
from portal.api.serializers.baselines import (
    NewRunSerializer,
    RunFilter,
    RunSerializer,
    RunSummarySerializer,
)
from portal.baselines import kept_rounds, services
from portal.baselines.grid import visible_runs
from portal.runs.models import BaselineRun

_WRITES = [IDEMPOTENCY_KEY, REPLAYED]
_IN_USE = problem("The Idempotency-Key is taken or in use, or the team of the references is not staff's own")


class RunView(ConditionalMixin, generics.GenericAPIView[BaselineRun]):
    """What the views of one run or many have in common."""

    permission_classes = [HasScope, IsAuthenticatedOrReadOnly]
    serializer_class: type[RunSummarySerializer] = RunSerializer

    def get_queryset(self) -> QuerySet[BaselineRun]:
        return visible_runs(self.request.user).prefetch_related("round_metrics")

    def get_permissions(self) -> Any:
        if self.request.method == "POST":
            return [HasScope(), TrainsHere()]
        return super().get_permissions()

    def answer(self, run: BaselineRun, status_code: int = status.HTTP_200_OK) -> Response:
        """The answer to a change: the run as it stands now, with its ETag."""
        current = self.get_queryset().get(pk=run.pk)
        data = RunSerializer(current, context=self.get_serializer_context()).data
        response = Response(data, status=status_code)
        response["ETag"] = self.etag_of(self.request, data)
        return response

    @property
    def user(self) -> User:
        assert isinstance(self.request.user, User)
        return self.request.user


@extend_schema(tags=["baseline runs"])
class RunList(RunView, generics.ListAPIView[BaselineRun]):
    """Baseline runs, newest first; and the place to start one."""

    serializer_class = RunSummarySerializer
    pagination_class = ByKey

    def get_queryset(self) -> QuerySet[BaselineRun]:
        if self.request.method == "POST":
            return super().get_queryset()
        given = self.request.query_params.copy()
        for name in ("cursor", "page_size"):  # the paginator's
            given.pop(name, None)
        chosen = RunFilter(data=given)
        chosen.is_valid(raise_exception=True)
        return visible_runs(self.request.user).filter(**chosen.validated_data)

    @extend_schema(parameters=[RunFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List the runs. Those that retrain what is not public are for staff."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        parameters=[*_WRITES, LOCATION, ETAG],
        request=NewRunSerializer,
        responses={
            201: RunSerializer,
            409: _IN_USE,
            422: problem("The run cannot work, for reasons that the findings name; nothing was started"),
        },
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Start a run, as staff. The next free worker trains it."""
        wanted = NewRunSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        run = services.start(wanted.request_of(self.user))
        response = self.answer(run, status.HTTP_201_CREATED)
        path = reverse("api-baseline-run", args=[run.pk])
        response["Location"] = request.build_absolute_uri(path)
        return response


@extend_schema(tags=["baseline runs"])
class RunDetail(RunView, generics.RetrieveAPIView[BaselineRun]):
    """A run with its settings and what each of its rounds was measured to take."""


@extend_schema(tags=["baseline runs"])
class RunCancel(RunView):
    """Ends a run."""

    @extend_schema(
        parameters=[*_WRITES, ETAG],
        request=None,
        responses={200: RunSerializer, 409: problem("The run is over, or the Idempotency-Key is in use")},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Cancel a queued or running run for good, as staff. Its rounds stay."""
        run = self.get_object()
        services.cancel(run, by=self.user)
        return self.answer(run)


@extend_schema(tags=["baseline runs"])
class RunKeptRounds(RunView):
    """Evaluates the adapters that a run kept on its way."""

    @extend_schema(
        parameters=[*_WRITES, ETAG],
        request=None,
        responses={200: RunSerializer, 409: problem("Nothing is lacking, or the Idempotency-Key is in use")},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Queue again, as staff, what failed, was cancelled, or was evaluated under an earlier protocol."""
        run = self.get_object()
        kept_rounds.ask(run)
        return self.answer(run)


@extend_schema(tags=["baseline runs"])
class RunKeptRoundsCancel(RunView):
    """Ends the evaluations of kept adapters."""

    @extend_schema(
        parameters=[*_WRITES, ETAG],
        request=None,
        responses={200: RunSerializer, 409: problem("None waits or runs, or the Idempotency-Key is in use")},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Cancel, as staff, the evaluations of kept adapters that wait or run. The result's own goes on."""
        run = self.get_object()
        kept_rounds.cancel(run, by=self.user.get_username())
        return self.answer(run)
