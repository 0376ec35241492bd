"""The forms of people who ask something of the reviewers, and of those who answer."""

from __future__ import annotations

from django import forms

from portal.accounts.models import Team, User
from portal.review.models import EntryRequest


class RequestForm(forms.Form):
    """What is asked about an entry; a claim names the team that it is for."""

    team = forms.ModelChoiceField(
        Team.objects.none(), label="Your team", help_text="The team that the entry belongs to."
    )
    reason = forms.CharField(
        max_length=EntryRequest.LONGEST, widget=forms.Textarea(attrs={"rows": 5}), label="Reason"
    )
    link = forms.URLField(
        label="Link",
        required=False,
        assume_scheme="https",
        help_text="Where others can see that it is so: a repository, a pull request, a page.",
    )

    def __init__(
        self, *args: object, user: User, kind: EntryRequest.Kind, reason: str, help: str, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["reason"].label, self.fields["reason"].help_text = reason, help
        if kind != EntryRequest.Kind.CLAIM:
            del self.fields["team"]
            return
        choice = self.fields["team"]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset = Team.objects.filter(memberships__user=user).order_by("name")
        if choice.queryset.count() == 1:
            choice.initial = choice.queryset.get()


class ReplyForm(forms.Form):
    """What an entry's team says to an objection."""

    text = forms.CharField(
        label="Your team's answer",
        max_length=EntryRequest.LONGEST,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="It stands beside the objection, in public. It is given once and cannot be changed.",
    )


class AnswerForm(forms.Form):
    """What a reviewer answers to a request."""

    text = forms.CharField(
        label="Your answer",
        max_length=EntryRequest.LONGEST,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Who asked gets it by e-mail. On an objection it is public.",
    )
    hide = forms.BooleanField(
        label="Take the objection off the public page",
        required=False,
        help_text="For insults and advertising. It stays on record.",
    )

    def __init__(self, *args: object, kind: str, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        if kind != EntryRequest.Kind.OBJECTION:
            del self.fields["hide"]
