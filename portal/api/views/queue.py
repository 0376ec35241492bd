"""The queue: what runs, waits and came out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics

from portal.api.conditional import ConditionalMixin
from portal.api.serializers.queue import QueueSerializer
from portal.intake import queue_page


@extend_schema(tags=["evaluations"])
class QueueDetail(ConditionalMixin, generics.RetrieveAPIView[Any]):
    """What runs, what waits with its expected start, and what came out lately, for everybody."""

    serializer_class = QueueSerializer

    def get_object(self) -> queue_page.Queue:
        return queue_page.shown_to(self.request.user)
