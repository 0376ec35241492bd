"""Forms of the account pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.validators import validate_email
from django.utils import timezone

from portal.accounts.access import operates_here
from portal.accounts.models import ApiToken, Membership, Team, User, all_scopes
from portal.accounts.teams import INVITATION_LIFETIME, MOST_USES

LIFETIMES = [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("none", "no end")]


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=60,
        help_text="Where you will use it, like “training server” or “CI”.",
        label="Name of the new token",
    )
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices,
        initial=all_scopes,
        widget=forms.CheckboxSelectMultiple,
        label="What it may do",
    )
    lifetime = forms.ChoiceField(
        choices=LIFETIMES, initial="90", label="Valid for", help_text="Shorter is safer."
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Operators alone can give a program the right to operate."""
        super().__init__(*args, **kwargs)
        if not operates_here(user):
            offered = [one for one in ApiToken.Scope.choices if one[0] != ApiToken.Scope.OPERATE]
            self.fields["scopes"].choices = offered  # type: ignore[attr-defined]

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return None if days == "none" else timezone.now() + timedelta(days=int(days))


class ProfileForm(forms.ModelForm[User]):
    homepage = forms.URLField(
        required=False,
        max_length=200,
        assume_scheme="https",
        label="Home page",
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
    )

    class Meta:
        model = User
        fields = ["full_name", "affiliation", "homepage", "shown_in_teams"]

    def clean_homepage(self) -> str:
        url: str = self.cleaned_data["homepage"]
        if url and not url.startswith(("https://", "http://")):
            raise forms.ValidationError("It must begin with https:// or http://.")
        return url


class ClosingForm(forms.Form):
    """For accounts without a password: what is deleted is named, so that no slip deletes it."""

    username = forms.CharField(
        label="Your username",
        help_text="To show that you mean this account.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def clean_username(self) -> str:
        if self.cleaned_data["username"] != self._user.username:
            raise forms.ValidationError("This is not the name of your account.")
        return self._user.username


class TeamForm(forms.ModelForm[Team]):
    class Meta:
        model = Team
        fields = ["name"]
        help_texts = {"name": "Public on everything that the team publishes."}

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["name"].widget.attrs["maxlength"] = 80

    def clean_name(self) -> str:
        """Names that look alike in a table are alike: inner spaces and invisible characters don't count."""
        name = " ".join(self.cleaned_data["name"].split())
        if len(name) > 80:
            raise forms.ValidationError("At most 80 characters.")
        if not name.isprintable():
            raise forms.ValidationError("It holds characters that can't be seen.")
        return name


class InvitationForm(forms.Form):
    whom = forms.CharField(
        required=False,
        max_length=254,
        strip=True,
        label="Username or email address",
        help_text="The link is mailed to them. Left empty you get one to send yourself.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    role = forms.ChoiceField(
        choices=[(Membership.Role.MEMBER.value, "member"), (Membership.Role.OWNER.value, "owner")],
        label="They become",
        help_text="Members submit and see everything of the team. Owners also decide who is in it.",
    )
    max_uses = forms.IntegerField(
        min_value=1,
        max_value=MOST_USES,
        initial=1,
        label="For how many people",
        help_text=f"The link works for {INVITATION_LIFETIME.days} days; for an owner, or by name, once.",
    )

    def clean_whom(self) -> str:
        whom = str(self.cleaned_data["whom"])
        if "@" in whom:
            validate_email(whom)
        return whom


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Membership.Role.choices)
