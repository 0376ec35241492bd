"""The contact form."""

from __future__ import annotations

from django import forms


class ContactForm(forms.Form):
    """A message to the operators; the field that people don't see catches programs."""

    name = forms.CharField(label="Your name", max_length=100, required=False)
    address = forms.EmailField(label="Your e-mail address", help_text="The answer goes there.")
    subject = forms.CharField(label="Subject", max_length=120)
    text = forms.CharField(label="Message", max_length=5000, widget=forms.Textarea(attrs={"rows": 8}))
    website = forms.CharField(
        label="Leave this empty",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "tabindex": "-1"}),
    )

    @property
    def is_from_a_program(self) -> bool:
        return bool(self.cleaned_data["website"])
