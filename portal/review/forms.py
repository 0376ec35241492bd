"""The forms of people who ask something of the reviewers."""

from __future__ import annotations

from django import forms

from portal.accounts.models import Team, User


class ClaimForm(forms.Form):
    """That an entry taken over from another board is one's own."""

    team = forms.ModelChoiceField(
        Team.objects.none(), label="Your team", help_text="The team that the entry belongs to."
    )
    reason = forms.CharField(
        label="Why it is yours",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="For example who of you sent it to the public board, and when.",
    )
    link = forms.URLField(
        label="Link",
        required=False,
        assume_scheme="https",
        help_text="Where it can be seen: your repository, the pull request, your team's page.",
    )

    def __init__(self, *args: object, user: User, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choice = self.fields["team"]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset = Team.objects.filter(memberships__user=user).order_by("name")
        if choice.queryset.count() == 1:
            choice.initial = choice.queryset.get()
