"""The log of statements and public acts: its head, its leaves, proofs, and the statement of an entry."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from evaluation.statements.fields import encoded
from portal.api.conditional import ConditionalMixin
from portal.api.schema import problem
from portal.api.serializers.common import QuerySerializer
from portal.api.serializers.log import (
    BundleSerializer,
    ConsistencyQuery,
    ConsistencySerializer,
    HeadSerializer,
    InclusionQuery,
    InclusionSerializer,
    LeavesQuery,
    LeavesSerializer,
    StatementQuery,
)
from portal.submissions.models import Submission
from portal.transparency import reading
from portal.transparency.models import Head

_EMPTY = "The log is empty: nothing was published yet."


def _asked(serializer: type[QuerySerializer], request: Request) -> Any:
    query = serializer(data=request.query_params)
    query.is_valid(raise_exception=True)
    return query.validated_data


def _head() -> Head:
    head = reading.current_head()
    if head is None:
        raise NotFound(_EMPTY)
    return head


@extend_schema(tags=["log"])
class LogHead(ConditionalMixin):
    """The newest signed head of the log."""

    @extend_schema(responses={200: HeadSerializer, 404: problem(_EMPTY)}, operation_id="log_head")
    def get(self, request: Request) -> Response:
        return Response(HeadSerializer(_head(), context={"request": request}).data)


@extend_schema(tags=["log"])
class LogEntries(ConditionalMixin):
    """The leaves of the log in their order: every statement and public act since it began."""

    @extend_schema(parameters=[LeavesQuery], responses=LeavesSerializer, operation_id="log_entries")
    def get(self, request: Request) -> Response:
        asked = _asked(LeavesQuery, request)
        head = reading.current_head()
        found = reading.leaves(asked["start"], asked["limit"])
        return Response(LeavesSerializer({"size": head.size if head else 0, "results": found}).data)


@extend_schema(tags=["log"])
class LogInclusion(ConditionalMixin):
    """The proof (RFC 6962) that a leaf is in the tree of a size."""

    @extend_schema(
        parameters=[InclusionQuery],
        responses={200: InclusionSerializer, 404: problem("There is no such leaf")},
        operation_id="log_inclusion",
    )
    def get(self, request: Request) -> Response:
        asked = _asked(InclusionQuery, request)
        try:
            size, proof = reading.inclusion(asked["leaf"], asked.get("size"))
        except reading.NotInLogError as error:
            raise NotFound(str(error)) from error
        return Response({"leaf": asked["leaf"], "size": size, "hashes": [encoded(one) for one in proof]})


@extend_schema(tags=["log"])
class LogConsistency(ConditionalMixin):
    """The proof (RFC 6962) that the log of one size is the beginning of the log of another."""

    @extend_schema(
        parameters=[ConsistencyQuery],
        responses={200: ConsistencySerializer, 404: problem("The log never had such a size")},
        operation_id="log_consistency",
    )
    def get(self, request: Request) -> Response:
        asked = _asked(ConsistencyQuery, request)
        try:
            size, proof = reading.consistency(asked["from"], asked.get("to"))
        except reading.NotInLogError as error:
            raise NotFound(str(error)) from error
        return Response({"from": asked["from"], "to": size, "hashes": [encoded(one) for one in proof]})


@extend_schema(tags=["log"])
class EntryStatement(ConditionalMixin):
    """The signed statement of a public entry's result, with its place in the log, the head and the keys."""

    @extend_schema(
        parameters=[StatementQuery],
        responses={200: BundleSerializer, 404: problem("Nothing is stated of it, or not yet")},
        operation_id="entry_statement",
    )
    def get(self, request: Request, pk: int) -> Response:
        asked = _asked(StatementQuery, request)
        if not Submission.objects.filter(pk=pk, status__in=Submission.PUBLIC).exists():
            raise NotFound(f"There is no public entry {pk}.")
        leaf = reading.statement_leaf(pk, asked.get("protocol"))
        if leaf is None:
            raise NotFound(
                "Nothing is stated of this entry. Of one whose scores were only declared nothing ever is; "
                "of one that was just published, within a minute."
            )
        try:
            response = Response(reading.bundle_of(leaf, asked.get("since")))
        except reading.NotInLogError as error:
            raise NotFound(str(error)) from error
        response["Content-Disposition"] = f'inline; filename="entry-{pk}-statement.json"'
        return response
