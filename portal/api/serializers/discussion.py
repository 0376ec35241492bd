"""The talk about a submission and what reviewers decided on it, as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers

from portal.api.serializers.common import StrictSerializer
from portal.discussion.models import Message
from portal.review.models import Decision


class MessageSerializer(serializers.ModelSerializer[Message]):
    author = serializers.CharField(source="author.username", help_text="A user's name")

    class Meta:
        model = Message
        fields = ["id", "author", "from_reviewer", "is_note", "text", "created_at"]
        extra_kwargs = {
            "from_reviewer": {"help_text": "Written for the site, not for the team"},
            "is_note": {"help_text": "Among reviewers; a team is shown none"},
        }


class NewMessageSerializer(StrictSerializer):
    text = serializers.CharField(max_length=Message.LONGEST)
    is_note = serializers.BooleanField(
        default=False, help_text="Among reviewers who are not of the team; mailed to none of the team"
    )


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    action = serializers.ChoiceField(Decision.Action.choices)
    took_effect_at = serializers.DateTimeField(
        allow_null=True, help_text="Null of what waits for a second reviewer, or was declined or taken back"
    )
    undone = serializers.SerializerMethodField(help_text="Whether it was taken back")
    due_at = serializers.SerializerMethodField(help_text="By when changes are asked for, else null")
    reviewer = serializers.SerializerMethodField(help_text="Who took it, told to reviewers alone; else null")

    class Meta:
        model = Decision
        fields = ["id", "action", "reason", "created_at", "took_effect_at", "undone", "due_at", "reviewer"]

    def get_undone(self, decision: Decision) -> bool:
        return hasattr(decision, "undone_by")

    def get_due_at(self, decision: Decision) -> datetime | None:
        asked: Any = getattr(decision, "change_request", None)
        return asked.due_at if asked else None

    def get_reviewer(self, decision: Decision) -> str | None:
        return decision.reviewer.username if self.context["names_reviewers"] else None
