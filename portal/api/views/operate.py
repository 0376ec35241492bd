"""Operating: the state of workers and queues, and orders to them. For operators alone."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts.models import ApiToken, User
from portal.api.conditional import ConditionalMixin
from portal.api.idempotency import idempotent
from portal.api.permissions import HasScope, OperatesHere
from portal.api.schema import IDEMPOTENCY_KEY, REPLAYED, problem
from portal.api.serializers.operate import (
    EvictionOrderSerializer,
    HoldOrderSerializer,
    MaintenanceOrderSerializer,
    OverviewSerializer,
    PriorityOrderSerializer,
    RequeueOrderSerializer,
)
from portal.control import orders
from portal.control.models import Act, Hold
from portal.control.orders import Operator
from portal.operate import evictions, work
from portal.operate.overview import overview
from portal.operate.work import Kind

_order = extend_schema(
    tags=["operate"],
    parameters=[IDEMPOTENCY_KEY, REPLAYED],
    responses={200: OverviewSerializer, 409: problem("The order makes no sense now, or lacks a reason")},
)


class OperatorsView(generics.GenericAPIView[Any]):
    """The answer to every order is the state that it leaves."""

    permission_classes = [HasScope, OperatesHere]
    required_scope = ApiToken.Scope.OPERATE
    serializer_class: Any = OverviewSerializer

    @property
    def operator(self) -> Operator:
        assert isinstance(self.request.user, User)
        return Operator(self.request.user, Act.Via.API)

    def ordered(self, request: Request) -> dict[str, Any]:
        """Raises ValidationError."""
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        data: dict[str, Any] = given.validated_data
        return data

    def state(self) -> Response:
        return Response(OverviewSerializer(overview()).data)


@extend_schema(tags=["operate"])
class OperateDetail(ConditionalMixin, OperatorsView):
    @extend_schema(operation_id="operate_state")
    def get(self, request: Request) -> Response:
        """Read the state of workers, queues, caches, storage, outages and releases, as an operator."""
        return self.state()


@_order
class OperateHold(OperatorsView):
    serializer_class = HoldOrderSerializer

    @extend_schema(operation_id="operate_hold")
    @idempotent
    def post(self, request: Request) -> Response:
        """Drain, pause or resume a worker, all workers of a machine, or a queue.

        Drained, what is in hand is finished; paused, it goes back to the queue. Nothing new is begun there.
        """
        given = self.ordered(request)
        kind, name, reason = Hold.Kind(given["kind"]), given["name"], given["reason"]
        if given["how"] == "resume":
            orders.resume(kind, name, reason=reason, by=self.operator)
        else:
            orders.hold(kind, name, how=Hold.How(given["how"]), reason=reason, by=self.operator)
        return self.state()


@_order
class OperateMaintenance(OperatorsView):
    serializer_class = MaintenanceOrderSerializer

    @extend_schema(operation_id="operate_maintenance")
    @idempotent
    def post(self, request: Request) -> Response:
        """Begin maintenance, in which what people send is kept and nothing is started, or end it."""
        given = self.ordered(request)
        if given["on"]:
            orders.begin_maintenance(reason=given["reason"], by=self.operator)
        else:
            orders.end_maintenance(reason=given["reason"], by=self.operator)
        return self.state()


@_order
class OperateRequeue(OperatorsView):
    serializer_class = RequeueOrderSerializer

    @extend_schema(operation_id="operate_requeue")
    @idempotent
    def post(self, request: Request) -> Response:
        """Put an evaluation or a baseline run back into the queue; of one that failed, queue another."""
        given = self.ordered(request)
        work.requeue(Kind(given["kind"]), given["number"], reason=given["reason"], by=self.operator)
        return self.state()


@_order
class OperatePriority(OperatorsView):
    serializer_class = PriorityOrderSerializer

    @extend_schema(operation_id="operate_priority")
    @idempotent
    def post(self, request: Request) -> Response:
        """Let queued work go first, the higher the priority the sooner; 0 is its usual place."""
        given = self.ordered(request)
        kind, reason = Kind(given["kind"]), given["reason"]
        work.prioritise(kind, given["number"], given["priority"], reason=reason, by=self.operator)
        return self.state()


@_order
class OperateEviction(OperatorsView):
    serializer_class = EvictionOrderSerializer

    @extend_schema(operation_id="operate_eviction")
    @idempotent
    def post(self, request: Request) -> Response:
        """Have a machine's worker remove a base model from the hub's cache, unless it is in use by then."""
        given = self.ordered(request)
        evictions.evict(given["machine"], given["model"], reason=given["reason"], by=self.operator)
        return self.state()
