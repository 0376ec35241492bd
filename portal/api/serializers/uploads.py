"""Uploads as the API shows them."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from portal.uploads.models import Upload
from portal.uploads.running_digests import PIECE_BYTES


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

    piece_bytes = serializers.SerializerMethodField(help_text="Bytes of a piece; the last one may have fewer")
    pieces = serializers.SerializerMethodField(
        help_text="SHA-256 of each whole piece from the first on, as far as known; of all once it is complete"
    )

    class Meta(UploadSerializer.Meta):
        fields = [*UploadSerializer.Meta.fields, "piece_bytes", "pieces"]

    def get_piece_bytes(self, upload: Upload) -> int:
        return PIECE_BYTES

    def get_pieces(self, upload: Upload) -> list[str]:
        digests = bytes(upload.pieces).hex()
        return [digests[start : start + 64] for start in range(0, len(digests), 64)]


class UploadListSerializer(serializers.Serializer[Any]):
    """Your uploads that are unfinished or in no submission yet; their number is limited."""

    results = UploadSerializer(many=True)
