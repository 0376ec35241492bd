"""What is the same for all: challenges, base models, data, the codes of findings. And what there is not."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from evaluation.benchmarks import BENCHMARKS
from evaluation.findings import excerpt
from evaluation.findings.catalogue import CATALOGUE
from evaluation.names import near
from evaluation.rules.challenges import CHALLENGES
from portal.api.conditional import ConditionalMixin
from portal.api.pagination import ByKeyUpwards, WholeList
from portal.api.serializers.catalogue import (
    BaseModelDetailSerializer,
    BaseModelSerializer,
    ChallengeDetailSerializer,
    ChallengeSerializer,
    DataLineSerializer,
    FindingKindSerializer,
)
from portal.runs import data_register, ngrams
from portal.submissions.models import BaseModel
from portal.submissions.rules import all_site_rules, site_rules


class BinaryRenderer(JSONRenderer):
    """Lets clients ask for a file; what it renders are the problems that come instead of it."""

    media_type = "application/octet-stream"
    format = "json"  # as the other renderer, so that there is no `?format=` to choose


@extend_schema(tags=["challenges"])
class ChallengeList(ConditionalMixin, generics.ListAPIView[Any]):
    """The challenges in board order."""

    serializer_class = ChallengeSerializer
    pagination_class = WholeList
    filter_backends = []

    def get_queryset(self) -> Any:
        return all_site_rules()


@extend_schema(tags=["challenges"])
class ChallengeDetail(ConditionalMixin, generics.RetrieveAPIView[Any]):
    """A challenge with its rules and benchmarks."""

    serializer_class = ChallengeDetailSerializer

    def get_object(self) -> Any:
        slug = self.kwargs["slug"]
        if slug not in CHALLENGES:
            raise NotFound(f"There is no challenge “{slug}”. There are: {', '.join(CHALLENGES)}.")
        return site_rules(slug)


@extend_schema(tags=["base models"])
class BaseModelList(ConditionalMixin, generics.ListAPIView[BaseModel]):
    """The base models that take new submissions."""

    serializer_class = BaseModelSerializer
    queryset = BaseModel.objects.filter(active=True).defer("tensors")
    pagination_class = ByKeyUpwards


@extend_schema(tags=["challenges"])
class DataRegister(ConditionalMixin, generics.ListAPIView[Any]):
    """Which rows are official: every benchmark's and every training set's, by commit and digest.

    Two sites whose digests are equal evaluate on the same items.
    """

    serializer_class = DataLineSerializer
    pagination_class = WholeList
    filter_backends = []

    def get_queryset(self) -> Any:
        return data_register.lines()


@extend_schema(tags=["challenges"])
class BenchmarkNgrams(APIView):
    """The digests of the n-grams of a benchmark's items, to look for them in training data."""

    renderer_classes = [BinaryRenderer, JSONRenderer]

    @extend_schema(
        operation_id="benchmark_ngrams",
        responses={
            (200, BinaryRenderer.media_type): OpenApiResponse(
                OpenApiTypes.BINARY,
                description="A line of JSON, the sorted digests as little-endian unsigned 64-bit integers, "
                "the number of the item of each as 32-bit ones",
            )
        },
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        """Download them; `flowertune overlap` does, and compares on the spot."""
        file = ngrams.opened(slug) if slug in BENCHMARKS else None
        if file is None:
            raise NotFound(f"There are no n-grams of “{excerpt(slug)}” on this site.")
        return FileResponse(file, content_type=BinaryRenderer.media_type, filename=f"{slug}.ngrams")


@extend_schema(tags=["findings"])
class FindingKindList(ConditionalMixin, generics.ListAPIView[Any]):
    """Every code that a finding may have, with its title, what it means and how to mend it."""

    serializer_class = FindingKindSerializer
    pagination_class = WholeList
    filter_backends = []

    def get_queryset(self) -> Any:
        return CATALOGUE.values()


@extend_schema(tags=["findings"])
class FindingKindDetail(ConditionalMixin, generics.RetrieveAPIView[Any]):
    """What findings of one code mean, and how to fix them."""

    serializer_class = FindingKindSerializer

    def get_object(self) -> Any:
        code = self.kwargs["code"]
        if code not in CATALOGUE:
            alike = near(code, CATALOGUE)
            hint = f" Did you mean {' or '.join(alike)}?" if alike else ""
            raise NotFound(f"There is no finding code “{excerpt(code)}”.{hint}")
        return CATALOGUE[code]


@extend_schema(tags=["base models"])
class BaseModelDetail(ConditionalMixin, generics.RetrieveAPIView[BaseModel]):
    """A base model that takes new submissions, with the shapes of its weights."""

    serializer_class = BaseModelDetailSerializer

    def get_object(self) -> BaseModel:
        hub_id = self.kwargs["hub_id"]
        model = BaseModel.objects.filter(hub_id__iexact=hub_id, active=True).first()
        if model is None:
            raise NotFound(f"“{hub_id}” is not on the list of base models; /api/v1/base-models/ shows it.")
        return model


@extend_schema(exclude=True)
class NothingHere(APIView):
    """Answers every address that is not the API's, whatever the method, in the API's way."""

    permission_classes = []

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        lacks_slash = not request.path.endswith("/") and _is_there(f"{request.path}/")
        if lacks_slash and request.method in ("GET", "HEAD"):
            return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
        self.detail = (
            f"Addresses end in a slash: {request.path}/"
            if lacks_slash
            else "There is nothing at this address. /api/docs/ lists what there is."
        )
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound(self.detail)


def _is_there(path: str) -> bool:
    try:
        return resolve(path).url_name != "api-nothing"
    except Resolver404:
        return False
