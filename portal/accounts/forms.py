"""Forms of the account pages."""

from django import forms


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=60,
        help_text="Where you will use it, like “training server” or “CI”.",
        label="Name of the new token",
    )
