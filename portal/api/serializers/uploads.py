"""Uploads as the API shows them."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from portal.uploads.models import Upload


class UploadSerializer(serializers.ModelSerializer[Upload]):
    url = serializers.SerializerMethodField(help_text="Its address, for HEAD, PATCH and DELETE")
    complete = serializers.BooleanField(source="is_complete")
    sha256 = serializers.CharField(help_text="Of the whole file, empty until it is complete")

    class Meta:
        model = Upload
        fields = ["id", "url", "name", "length", "offset", "complete", "sha256", "created_at", "expires_at"]

    def get_url(self, upload: Upload) -> str:
        return str(self.context["request"].build_absolute_uri(reverse("api-upload", args=[upload.pk])))


class UploadListSerializer(serializers.Serializer[Any]):
    """Your uploads that are unfinished or in no submission yet; their number is limited."""

    results = UploadSerializer(many=True)
