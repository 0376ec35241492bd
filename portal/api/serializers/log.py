"""The log in the API: its head, leaves and proofs, and the bundle by which a statement is checked."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from evaluation.statements.fields import encoded, written
from portal.api.serializers.common import QuerySerializer
from portal.transparency import reading
from portal.transparency.models import Head, Leaf

_LARGEST = 2**31
MOST_LEAVES = 200


def _digest(help_text: str) -> serializers.CharField:
    return serializers.CharField(help_text=f"{help_text}: SHA-256 in base64")


class SignatureSerializer(serializers.Serializer[Any]):
    keyid = serializers.CharField(help_text="The key's id in /.well-known/flowertune-log.json")
    sig = serializers.CharField(help_text="Ed25519, in base64")


class EnvelopeSerializer(serializers.Serializer[Any]):
    """A signed envelope (DSSE)."""

    payload = serializers.CharField(help_text="In base64")
    payloadType = serializers.CharField()
    signatures = SignatureSerializer(many=True)


class HeadSerializer(serializers.Serializer[Head]):
    """The log's size and root, signed. Keep it: any later head must be consistent with it."""

    log = serializers.SerializerMethodField(help_text="The address of the site whose log it is")
    size = serializers.IntegerField(help_text="Leaves")
    root = serializers.SerializerMethodField(help_text="SHA-256 in base64")  # type: ignore[assignment] # a name
    time = serializers.SerializerMethodField(help_text="To the second, in UTC")
    envelope = EnvelopeSerializer(help_text="The same four, signed")
    keys = serializers.SerializerMethodField(help_text="Address of the public keys")

    def get_log(self, head: Head) -> str:
        return reading.read_head(head).log

    def get_root(self, head: Head) -> str:
        return encoded(bytes(head.root))

    @extend_schema_field({"type": "string", "format": "date-time"})
    def get_time(self, head: Head) -> str:
        return written(reading.read_head(head).time)

    @extend_schema_field({"type": "string", "format": "uri"})
    def get_keys(self, head: Head) -> str:
        return str(self.context["request"].build_absolute_uri(reverse("log-keys")))


class LeafSerializer(serializers.Serializer[Leaf]):
    index = serializers.IntegerField()
    entry = serializers.IntegerField(source="submission_id")
    leaf_hash = serializers.SerializerMethodField(help_text="SHA-256 in base64, of a zero byte and the body")
    body = serializers.SerializerMethodField(
        help_text="The envelope as canonical JSON, whose bytes are the leaf; null for the result of an entry "
        "that its team took back"
    )

    def get_leaf_hash(self, leaf: Leaf) -> str:
        return encoded(bytes(leaf.leaf_hash))

    def get_body(self, leaf: Leaf) -> str | None:
        return None if reading.is_withheld(leaf) else leaf.body


class LeavesSerializer(serializers.Serializer[Any]):
    size = serializers.IntegerField(help_text="Leaves of the whole log")
    results = LeafSerializer(many=True)


class InclusionSerializer(serializers.Serializer[Any]):
    leaf = serializers.IntegerField()
    size = serializers.IntegerField()
    hashes = serializers.ListField(child=_digest("From the leaf to the root"))


class ConsistencySerializer(serializers.Serializer[Any]):
    hashes = serializers.ListField(child=_digest("As RFC 6962, section 2.1.2"))

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        ends = {"from": serializers.IntegerField(), "to": serializers.IntegerField()}
        return {**ends, **super().get_fields()}


class PlaceSerializer(serializers.Serializer[Any]):
    leaf = serializers.IntegerField()
    hashes = serializers.ListField(child=_digest("From the leaf to the root"))


class SinceSerializer(serializers.Serializer[Any]):
    """The proof that the log goes on from an earlier size; there where `since` named one."""

    hashes = serializers.ListField(child=_digest("As RFC 6962 orders them"))

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": serializers.IntegerField(), **super().get_fields()}


class BundleSerializer(serializers.Serializer[Any]):
    """A statement with all that it is checked with: `flowertune verify FILE` reads this document."""

    mediaType = serializers.CharField()
    statement = EnvelopeSerializer(help_text="Holds an in-toto Statement v1")
    inclusion = PlaceSerializer()
    head = EnvelopeSerializer(help_text="Holds the log's size, root and time")
    keys = serializers.DictField(help_text="As in /.well-known/flowertune-log.json")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**super().get_fields(), "consistency": SinceSerializer(required=False)}


class LeavesQuery(QuerySerializer):
    start = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=_LARGEST, help_text="The first leaf"
    )
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=MOST_LEAVES)


class InclusionQuery(QuerySerializer):
    leaf = serializers.IntegerField(min_value=0, max_value=_LARGEST)
    size = serializers.IntegerField(
        required=False, min_value=1, max_value=_LARGEST, help_text="Of the tree; by default the newest"
    )


class ConsistencyQuery(QuerySerializer):
    to = serializers.IntegerField(
        required=False, min_value=1, max_value=_LARGEST, help_text="The later size; by default the newest"
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        first = serializers.IntegerField(min_value=1, max_value=_LARGEST, help_text="The earlier size")
        return {"from": first, **super().get_fields()}


class StatementQuery(QuerySerializer):
    protocol = serializers.IntegerField(
        required=False, min_value=1, max_value=1000, help_text="Of the evaluation; by default the site's own"
    )
    since = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=_LARGEST,
        help_text="A size that you know the log by: the proof that it goes on from there comes along",
    )
