"""Forms of what one is told, and how."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from portal.accounts.models import Membership, Team, User
from portal.notifications.addresses import LONGEST_URL, UnfitUrlError, check_url
from portal.notifications.models import E_MAIL_EVENTS, SUBMISSION_EVENTS, EmailPreferences, Event, Webhook


class EmailForm(forms.Form):
    """What to get e-mails about; the preferences keep the contrary, so that new kinds begin as wanted."""

    events = forms.MultipleChoiceField(
        choices=[(event.value, event.label) for event in E_MAIL_EVENTS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="E-mails about my submissions",
    )
    whole_team = forms.BooleanField(required=False, label="Also about what others in my teams submitted")
    digest = forms.BooleanField(required=False, label="As a reviewer: once a day what waits for review")

    def __init__(self, *args: Any, is_reviewer: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not is_reviewer:
            del self.fields["digest"]

    @staticmethod
    def initial_of(preferences: EmailPreferences) -> dict[str, object]:
        return {
            "events": [event.value for event in E_MAIL_EVENTS if event.value not in preferences.muted],
            "whole_team": preferences.whole_team,
            "digest": Event.REVIEW_WAITING.value not in preferences.muted,
        }

    def muted(self) -> list[str]:
        unwanted = [event.value for event in E_MAIL_EVENTS if event.value not in self.cleaned_data["events"]]
        wants_digest = self.cleaned_data.get("digest", True)  # not asked of who is no reviewer
        return unwanted if wants_digest else [*unwanted, Event.REVIEW_WAITING.value]


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
