"""Forms of what one is told, and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings

from portal.accounts.models import Membership, Team, User
from portal.notifications.addresses import LONGEST_URL, UnfitUrlError, check_url
from portal.notifications.models import (
    DESK_EVENTS,
    E_MAIL_EVENTS,
    REQUEST_EVENTS,
    SUBMISSION_EVENTS,
    EmailPreferences,
    Event,
    Webhook,
)


def _events(events: Iterable[Event], label: str) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=[(event.value, event.label) for event in events],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=label,
    )


class EmailForm(forms.Form):
    """What to get e-mails about; the preferences keep the contrary, so that new kinds begin as wanted."""

    _KINDS = {"events": E_MAIL_EVENTS, "requests": REQUEST_EVENTS, "desk": DESK_EVENTS}

    events = _events(E_MAIL_EVENTS, "E-mails about my submissions")
    whole_team = forms.BooleanField(required=False, label="Also about what others in my teams submitted")
    requests = _events(
        REQUEST_EVENTS, "E-mails about what I asked, and what others object to my teams' entries"
    )
    desk = _events(DESK_EVENTS, "As a reviewer (cases that wait come once a day)")

    def __init__(self, *args: Any, is_reviewer: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not is_reviewer:
            del self.fields["desk"]

    @classmethod
    def initial_of(cls, preferences: EmailPreferences) -> dict[str, object]:
        wanted = {
            name: [event.value for event in events if event.value not in preferences.muted]
            for name, events in cls._KINDS.items()
        }
        return {**wanted, "whole_team": preferences.whole_team}

    def muted(self) -> list[str]:
        """Nothing of what was not asked."""
        asked = {name: events for name, events in self._KINDS.items() if name in self.fields}
        return [
            event.value
            for name, events in asked.items()
            for event in events
            if event.value not in self.cleaned_data[name]
        ]


class WebhookForm(forms.Form):
    url = forms.CharField(
        max_length=LONGEST_URL,
        label="URL",
        help_text="An https address on the public net that takes POST requests.",
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
    )
    events = forms.MultipleChoiceField(
        choices=[(event.value, event.label) for event in SUBMISSION_EVENTS],
        widget=forms.CheckboxSelectMultiple,
        label="Events that it is called for",
    )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            check_url(url, to_loopback=settings.WEBHOOKS_TO_LOOPBACK)
        except UnfitUrlError as error:
            raise forms.ValidationError(str(error)) from error
        return url


class NewWebhookForm(WebhookForm):
    team = forms.ModelChoiceField(queryset=Team.objects.none(), empty_label=None)
    field_order = ["team", "url", "events"]

    def __init__(self, *args: object, user: User, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        field = self.fields["team"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Team.objects.filter(memberships__user=user, memberships__role=Membership.Role.OWNER)


class ChangedWebhookForm(WebhookForm):
    active = forms.BooleanField(required=False, label="Turned on")

    @staticmethod
    def initial_of(webhook: Webhook) -> dict[str, object]:
        return {"url": webhook.url, "events": webhook.events, "active": webhook.active}
