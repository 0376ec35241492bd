"""What operators read and order, as the API has it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from portal.api.serializers.common import StrictSerializer
from portal.control.models import Act, Hold, Queue
from portal.control.orders import LONGEST_NAME, LONGEST_REASON
from portal.operate.work import MOST_PRIORITY, Kind

_REASON: dict[str, Any] = {"max_length": LONGEST_REASON, "help_text": "Goes on record"}
_WHEN: dict[str, Any] = {"allow_null": True}


class HoldSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    how = serializers.ChoiceField(Hold.How.choices)
    reason = serializers.CharField()
    since = serializers.DateTimeField()


class DoingSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField([*Kind.choices, ("fetch", "fetch from the hub")])
    number = serializers.IntegerField(source="pk")
    title = serializers.CharField()
    since = serializers.DateTimeField(**_WHEN)
    submission = serializers.IntegerField(allow_null=True, help_text="Null of a baseline run")


class WorkerSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    machine = serializers.CharField()
    state = serializers.CharField(help_text="gone, draining, drained, pausing, paused, works, waits or idle")
    seen_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField()
    release = serializers.CharField()
    hardware = serializers.CharField()
    queues = serializers.ListField(child=serializers.CharField(), help_text="Of the broker")
    waits = serializers.CharField(help_text="Why it begins nothing, by its own account")
    hold = HoldSerializer(allow_null=True)
    doing = DoingSerializer(many=True)


class QueueStateSerializer(serializers.Serializer[Any]):
    queue = serializers.ChoiceField(Queue.choices)
    waiting = serializers.IntegerField()
    running = serializers.IntegerField()
    oldest = serializers.DateTimeField(**_WHEN)
    hold = HoldSerializer(allow_null=True)


class CachedModelSerializer(serializers.Serializer[Any]):
    repo = serializers.CharField()
    bytes = serializers.IntegerField()
    used_at = serializers.DateTimeField()


class CacheSerializer(serializers.Serializer[Any]):
    machine = serializers.CharField()
    bytes = serializers.IntegerField()
    models = CachedModelSerializer(many=True)
    asked = serializers.ListField(
        child=serializers.CharField(), help_text="Models that were asked to be removed"
    )


class StorageSerializer(serializers.Serializer[Any]):
    adapters = serializers.IntegerField()
    adapter_bytes = serializers.IntegerField()
    uploads = serializers.IntegerField(help_text="In no submission yet")
    upload_bytes = serializers.IntegerField()
    answer_files = serializers.IntegerField(help_text="Single answers, a file for each score")
    answer_bytes = serializers.IntegerField()
    answer_files_of_unknown_size = serializers.IntegerField(help_text="Early ones, not in answer_bytes")
    free_bytes = serializers.IntegerField(allow_null=True, help_text="Null where a bucket holds the files")
    disk_bytes = serializers.IntegerField(allow_null=True)


class OutageSerializer(serializers.Serializer[Any]):
    words = serializers.CharField(help_text="As in “waiting for …”")
    place = serializers.CharField()
    detail = serializers.CharField()
    count = serializers.IntegerField()
    began_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()


class MaintenanceSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField()
    since = serializers.DateTimeField()


class ActSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    by = serializers.CharField(source="by.username", default=None, allow_null=True)
    via = serializers.ChoiceField(Act.Via.choices)
    what = serializers.ChoiceField(Act.What.choices)
    target = serializers.CharField()
    reason = serializers.CharField()


class OverviewSerializer(serializers.Serializer[Any]):
    maintenance = MaintenanceSerializer(allow_null=True)
    workers = WorkerSerializer(many=True)
    standing = HoldSerializer(many=True, help_text="Of workers and machines of which none is there")
    queues = QueueStateSerializer(many=True)
    caches = CacheSerializer(many=True)
    storage = StorageSerializer()
    outages = OutageSerializer(many=True)
    release = serializers.CharField()
    migrated_by = serializers.CharField()
    scheduler_seen_at = serializers.DateTimeField(**_WHEN)
    last_backup = serializers.DateTimeField(**_WHEN)
    acts = ActSerializer(many=True, help_text="The latest first")


class HoldOrderSerializer(StrictSerializer):
    kind = serializers.ChoiceField(Hold.Kind.choices)
    name = serializers.CharField(max_length=LONGEST_NAME)
    how = serializers.ChoiceField([*Hold.How.choices, ("resume", "resumed")])
    reason = serializers.CharField(allow_blank=True, default="", **_REASON)


class MaintenanceOrderSerializer(StrictSerializer):
    on = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True, default="", **_REASON)


class RequeueOrderSerializer(StrictSerializer):
    kind = serializers.ChoiceField(Kind.choices)
    number = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    reason = serializers.CharField(**_REASON)


class PriorityOrderSerializer(RequeueOrderSerializer):
    priority = serializers.IntegerField(min_value=0, max_value=MOST_PRIORITY)


class EvictionOrderSerializer(StrictSerializer):
    machine = serializers.CharField(max_length=120)
    model = serializers.CharField(max_length=200)
    reason = serializers.CharField(**_REASON)
