"""Submissions: made, listed, read, changed while they are drafts, sent and withdrawn."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import QueryDict
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import IsAuthenticated, IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts.models import User
from portal.api import examples
from portal.api.conditional import ConditionalMixin
from portal.api.errors import UploadTooLarge
from portal.api.idempotency import idempotent
from portal.api.pagination import ByKey
from portal.api.parsers import StrictJSONParser
from portal.api.permissions import HasScope
from portal.api.schema import ETAG, IDEMPOTENCY_KEY, IF_MATCH, LOCATION, REPLAYED, problem
from portal.api.serializers.drafts import (
    DraftChangesSerializer,
    DraftSerializer,
    PartChangesSerializer,
    PartsSerializer,
    Sent,
    read,
)
from portal.api.serializers.submissions import SubmissionFilter, SubmissionSerializer, SummarySerializer
from portal.intake import services, smoke_runs
from portal.runs import leakage, transfer
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission, SubmissionQuerySet
from portal.uploads import file_too_large

INVALID = problem("The submission has problems, all of which the findings name; nothing was changed")
NOT_POSSIBLE = problem("Its status does not allow this, or the Idempotency-Key is taken or in use")
CHANGED = problem("`If-Match` names another state than the newest")
# drf-spectacular reads these from the view's method.
_WRITES = [IDEMPOTENCY_KEY, REPLAYED]


class SubmissionView(ConditionalMixin, generics.GenericAPIView[Submission]):
    """What the views of one submission or many have in common."""

    permission_classes = [HasScope, IsAuthenticatedOrReadOnly]
    parser_classes = [StrictJSONParser, MultiPartParser]
    serializer_class: type[SummarySerializer] = SubmissionSerializer

    def get_queryset(self) -> QuerySet[Submission]:
        return with_details(Submission.objects.visible_to(self.request.user))

    def answer(self, submission: Submission, status_code: int = status.HTTP_200_OK) -> Response:
        """The answer to a change: the submission as it stands now, with its ETag."""
        data = self.representation(submission)
        response = Response(data, status=status_code)
        response["ETag"] = self.etag_of(self.request, data)
        return response

    def representation(self, submission: Submission) -> Any:
        current = with_details(Submission.objects.all()).get(pk=submission.pk)
        return SubmissionSerializer(current, context=self.get_serializer_context()).data

    def sent(self, submission: Submission | None = None) -> Sent:
        """What the body says. Raises UploadTooLarge, or ValidationError with everything that is wrong."""
        data = self.request.data
        if field := getattr(self.request._request, "upload_too_large", None):
            raise UploadTooLarge(file_too_large(field).message)
        context = dict(self.get_serializer_context())
        if submission:
            context["submission"] = submission
        return read(data, context, is_multipart=isinstance(data, QueryDict))

    def own(self) -> Submission:
        """The submission, for a member of its team. Raises PermissionDenied, and Http404 for strangers."""
        submission = self.get_object()
        if not submission.team.memberships.filter(user=self.user).exists():
            raise PermissionDenied("Only members of its team may change a submission.")
        return submission

    def own_in_the_named_state(self) -> Submission:
        """The member's submission, held until the transaction ends. Raises PreconditionFailed also."""
        submission = self.own()
        if "If-Match" in self.request.headers:
            Submission.objects.select_for_update().filter(pk=submission.pk).first()
            self.require_match(self.request, self.representation(submission))
        return submission

    @property
    def user(self) -> User:
        assert isinstance(self.request.user, User)
        return self.request.user


@extend_schema(tags=["submissions"])
class SubmissionList(SubmissionView, generics.ListAPIView[Submission]):
    """Submissions, newest first; and the place to make one."""

    serializer_class = SummarySerializer
    pagination_class = ByKey

    def get_queryset(self) -> QuerySet[Submission]:
        given = self.request.query_params.copy()
        for name in ("cursor", "page_size"):  # the paginator's
            given.pop(name, None)
        serializer = SubmissionFilter(data=given)
        serializer.is_valid(raise_exception=True)
        shown = Submission.objects.visible_to(self.request.user)
        return (
            _filtered(shown, serializer.validated_data, self.request.user)
            .select_related(*_BESIDE)
            .defer(*_HEAVY)
        )

    @extend_schema(parameters=[SubmissionFilter], examples=examples.LIST)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List what you may see: published ones, and with a token or session those of your teams."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        parameters=[*_WRITES, LOCATION, ETAG],
        request={"application/json": DraftSerializer, "multipart/form-data": PartsSerializer},
        responses={201: SubmissionSerializer, 409: NOT_POSSIBLE, 422: INVALID},
        examples=examples.NEW,
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Make a submission and send it, or with `"draft": true` only store it with its findings.

        One whose files come from the hub is sent as soon as they are there and nothing stands against it.
        """
        sent = self.sent()
        draft = sent.new(self.user)
        make = services.create if sent.is_draft or draft.hub else services.submit
        submission = make(draft)
        response = self.answer(submission, status.HTTP_201_CREATED)
        path = reverse("api-submission", args=[submission.pk])
        response["Location"] = request.build_absolute_uri(path)
        return response

    def get_permissions(self) -> Any:
        if self.request.method == "POST":
            return [HasScope(), IsAuthenticated()]
        return super().get_permissions()


@extend_schema(tags=["submissions"])
class SubmissionDetail(SubmissionView, generics.RetrieveAPIView[Submission]):
    """A submission with findings, resources and evaluations; a stranger's is there only once published."""

    @extend_schema(
        parameters=[IF_MATCH, ETAG],
        request={"application/json": DraftChangesSerializer, "multipart/form-data": PartChangesSerializer},
        responses={200: SubmissionSerializer, 409: NOT_POSSIBLE, 412: CHANGED, 422: INVALID},
        examples=examples.CHANGES,
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change a draft; what is not named stays. Everything is checked again, and the findings renewed."""
        with transaction.atomic():
            sent = self.sent(self.own())
            submission = self.own_in_the_named_state()
            return self.answer(services.amend(submission, sent.amended(submission, self.user)))

    @extend_schema(parameters=[IF_MATCH], responses={204: None, 409: NOT_POSSIBLE, 412: CHANGED})
    def delete(self, request: Request, pk: int) -> Response:
        """Delete a draft with its files. What was sent is withdrawn instead."""
        with transaction.atomic():
            services.delete(self.own_in_the_named_state())
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(tags=["submissions"])
class SubmissionSend(SubmissionView):
    """Sends a draft."""

    @extend_schema(
        parameters=[*_WRITES, IF_MATCH, ETAG],
        request=None,
        responses={200: SubmissionSerializer, 409: NOT_POSSIBLE, 412: CHANGED, 422: INVALID},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Queue a draft for evaluation. From now on it stays as it is, and counts against the quota."""
        return self.answer(services.send(self.own_in_the_named_state()))


@extend_schema(tags=["submissions"])
class SubmissionEvaluate(SubmissionView):
    """Goes on after a smoke run."""

    @extend_schema(
        parameters=[*_WRITES, ETAG], request=None, responses={200: SubmissionSerializer, 409: NOT_POSSIBLE}
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Queue a submission whose smoke run is done (`tried`) for its evaluation in full."""
        submission = self.own()
        smoke_runs.evaluate_in_full(submission)
        return self.answer(submission)


@extend_schema(tags=["submissions"])
class SubmissionTransfer(SubmissionView):
    """Measures an adapter on the other domains."""

    @extend_schema(
        parameters=[*_WRITES, ETAG], request=None, responses={200: SubmissionSerializer, 409: NOT_POSSIBLE}
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Queue what is missing of the adapter's results on every domain, and of its base model's."""
        submission = self.own()
        transfer.ask(submission)
        return self.answer(submission)


@extend_schema(tags=["submissions"])
class SubmissionLeakage(SubmissionView):
    """Measures what an adapter gives away of its training rows."""

    @extend_schema(
        parameters=[*_WRITES, ETAG], request=None, responses={200: SubmissionSerializer, 409: NOT_POSSIBLE}
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Queue the tests of membership, where rows of the same source are known that it did not train on."""
        submission = self.own()
        leakage.ask(submission)
        return self.answer(submission)


@extend_schema(tags=["submissions"])
class SubmissionWithdraw(SubmissionView):
    """Takes a submission back."""

    @extend_schema(
        parameters=[*_WRITES, ETAG], request=None, responses={200: SubmissionSerializer, 409: NOT_POSSIBLE}
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Take a submission back for good; a running evaluation is cancelled."""
        submission = self.own()
        services.withdraw(submission)
        return self.answer(submission)


_TEXTS = ("config_text", "adapter_config_text", "flower_run_text")
_BESIDE = ("team", "base_model", "checkpoint", "repeats")
_OF_FIRST_RUN = tuple(f"repeats__{text}" for text in (*_TEXTS, "description", "method_card", "overlap"))
_HEAVY = (*_TEXTS, "base_model__tensors", "checkpoint__summary", *_OF_FIRST_RUN)


def with_details(submissions: QuerySet[Submission]) -> QuerySet[Submission]:
    """With everything that a representation needs, and without the columns that none has.

    Audits and what is measured beside the board are no evaluations of a submission that count: whoever takes
    the newest must not find one.
    """
    scores = Score.objects.defer("correct_bits", "scored_bits")
    counting = Evaluation.objects.filter(for_audit=False, purpose=Evaluation.Purpose.BOARD)
    evaluations = counting.select_related("submission").defer(*(f"submission__{text}" for text in _TEXTS))
    return (
        submissions.select_related(*_BESIDE)
        .defer(*_HEAVY)
        .prefetch_related(
            "findings",
            "resources",
            "declared_scores",
            Prefetch("evaluations", evaluations.prefetch_related(Prefetch("scores", scores))),
        )
    )


def _filtered(submissions: SubmissionQuerySet, wanted: dict[str, Any], user: Any) -> SubmissionQuerySet:
    lookups = {
        "challenge": "challenge",
        "status": "status__in",
        "team": "team__name__iexact",
        "base_model": "base_model__hub_id__iexact",
        "created_after": "created_at__gt",
        "created_before": "created_at__lt",
    }
    conditions = {lookups[name]: value for name, value in wanted.items() if name in lookups and value}
    if wanted.get("mine"):
        submissions = submissions.of_member(user) if user.is_authenticated else submissions.none()
    return submissions.filter(**conditions)
