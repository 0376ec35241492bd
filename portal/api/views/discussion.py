"""The talk about a submission, and the decisions on it: for its team and for reviewers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import Throttled
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts.access import sees_all
from portal.api.conditional import ConditionalMixin
from portal.api.errors import NotPossibleNow
from portal.api.idempotency import idempotent
from portal.api.pagination import ByKeyUpwards
from portal.api.permissions import HasScope
from portal.api.schema import IDEMPOTENCY_KEY, REPLAYED, problem
from portal.api.serializers.discussion import DecisionSerializer, MessageSerializer, NewMessageSerializer
from portal.discussion import services
from portal.discussion.models import Message
from portal.review.cases import is_conflicted
from portal.review.models import Decision
from portal.submissions.models import Submission

_CLOSED = problem("There is nothing to talk about yet, or the message is not for you to write")


class _OfSubmission(ConditionalMixin, generics.GenericAPIView[Any]):
    """What is between a submission's team and the reviewers: for both, 404 for everybody else."""

    permission_classes = [HasScope, IsAuthenticated]
    pagination_class = ByKeyUpwards
    queryset = Message.objects.none()  # for the schema, which has no submission

    def submission(self) -> Submission:
        user: Any = self.request.user
        allowed = Submission.objects.all() if sees_all(user) else Submission.objects.of_member(user)
        return get_object_or_404(allowed.select_related("team"), pk=self.kwargs["pk"])


@extend_schema(tags=["submissions"])
class Messages(_OfSubmission, generics.ListAPIView[Message]):
    """A submission's thread."""

    serializer_class = MessageSerializer

    def get_queryset(self) -> QuerySet[Message]:
        return services.readable_messages(self.submission(), self.request.user)  # type: ignore[arg-type]

    @extend_schema(operation_id="submission_messages")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Read what its team and the reviewers wrote, the oldest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="submission_message_post",
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        request=NewMessageSerializer,
        responses={201: MessageSerializer, 409: _CLOSED},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Write to the other side, which is mailed it. What was said stays."""
        submission = self.submission()
        given = NewMessageSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        author: Any = request.user
        try:
            message = services.post(submission=submission, author=author, **given.validated_data)
        except services.TooManyMessages as refusal:
            raise Throttled(wait=refusal.wait, detail=str(refusal)) from refusal
        except services.MessageRefused as refusal:
            raise NotPossibleNow(str(refusal)) from refusal
        return Response(self.get_serializer(message).data, status=status.HTTP_201_CREATED)


@extend_schema(tags=["submissions"])
class Decisions(_OfSubmission, generics.ListAPIView[Decision]):
    """What reviewers decided on a submission."""

    serializer_class = DecisionSerializer

    @extend_schema(operation_id="submission_decisions")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Read the decisions with their reasons, the oldest first.

        A team reads those in effect; reviewers who are not of the team also what was only proposed,
        declined or taken back, and by whom.
        """
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Decision]:
        found = Decision.objects.filter(submission=self.submission())
        found = found.select_related("reviewer", "confirmation", "change_request", "undone_by")
        return found if self._judges() else found.in_effect().filter(undone_by=None)

    def get_serializer_context(self) -> dict[str, Any]:
        is_described = getattr(self, "swagger_fake_view", False)
        return {**super().get_serializer_context(), "names_reviewers": not is_described and self._judges()}

    def _judges(self) -> bool:
        user: Any = self.request.user
        return sees_all(user) and not is_conflicted(user, self.submission())
