"""Uploads as the API shows them."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from portal.uploads.models import Upload
from portal.uploads.running_digests import DIGEST_BYTES, PIECE_BYTES


class UploadSerializer(serializers.ModelSerializer[Upload]):
    url = serializers.SerializerMethodField(help_text="Its address, for HEAD, PATCH and DELETE")
    complete = serializers.BooleanField(source="is_complete")
    sha256 = serializers.CharField(help_text="Of the whole file, empty until it is complete")

    class Meta:
        model = Upload
        fields = ["id", "url", "name", "length", "offset", "complete", "sha256", "created_at", "expires_at"]

    def get_url(self, upload: Upload) -> str:
        return str(self.context["request"].build_absolute_uri(reverse("api-upload", args=[upload.pk])))


class UploadDetailSerializer(UploadSerializer):
    """With what proves which bytes have arrived."""

    piece_bytes = serializers.SerializerMethodField(
        help_text="Bytes of a piece; one that ends at the offset may have fewer"
    )
    pieces = serializers.SerializerMethodField(
        help_text="SHA-256 of each piece that has arrived, from the first on, as far as they are known"
    )

    class Meta(UploadSerializer.Meta):
        fields = [*UploadSerializer.Meta.fields, "piece_bytes", "pieces"]

    def get_piece_bytes(self, upload: Upload) -> int:
        return PIECE_BYTES

    def get_pieces(self, upload: Upload) -> list[str]:
        digests = bytes(upload.pieces)
        starts = range(0, len(digests), DIGEST_BYTES)
        return [digests[start : start + DIGEST_BYTES].hex() for start in starts]


class UploadListSerializer(serializers.Serializer[Any]):
    """Your uploads that are unfinished or in no submission yet; their number is limited."""

    results = UploadSerializer(many=True)
