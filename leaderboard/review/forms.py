"""The forms by which reviewers decide, and answer what another proposed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from portal.review.acts import DEADLINE, LONGEST_DEADLINE, Act

LONGEST_REASON = 4000


class ActForm(forms.Form):
    """The reason of an act, and the deadline where it sets one."""

    reason = forms.CharField(
        max_length=LONGEST_REASON, required=False, strip=True, widget=forms.Textarea(attrs={"rows": 6})
    )
    due = forms.DateField(
        label="Deadline",
        help_text="Until the end of this day, in UTC.",
        widget=forms.DateInput({"type": "date"}),
    )

    def __init__(self, *args: Any, act: Act, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.act = act
        reason = self.fields["reason"]
        reason.required = act.needs_reason
        reason.help_text = (
            "Its team and every reader of the entry's page read it."
            if act.is_public and act.needs_reason
            else "Its team reads it."
        )
        reason.error_messages["required"] = "Give a reason: its team reads it."
        if act.asks_deadline:
            today = timezone.now().date()
            due = self.fields["due"]
            due.initial = today + DEADLINE
            due.widget.attrs |= {
                "min": str(today + timedelta(days=1)),
                "max": str(today + LONGEST_DEADLINE - timedelta(days=1)),
            }
        else:
            del self.fields["due"]

    def decided(self) -> dict[str, Any]:
        """What `portal.review.services.decide` takes."""
        due = self.cleaned_data.get("due")
        end = datetime.combine(due, time(23, 59), tzinfo=UTC) if due else None
        return {"reason": self.cleaned_data["reason"], "due_at": end}


class SecondForm(forms.Form):
    """What a second reviewer says to a proposed decision."""

    agreed = forms.TypedChoiceField(
        label="Your answer",
        choices=[("yes", "I agree: carry it out"), ("no", "I decline")],
        coerce=lambda answer: answer == "yes",
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Needed to decline: the first reviewer reads it.",
    )
