"""Form fields for what submitters choose and paste: files with a limit, amounts of data, addresses on the
hub.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.template.defaultfilters import filesizeformat

from evaluation.hub.names import MAX_ADDRESS, AddressError, HubAddress, parse_address
from evaluation.inspection.communication_log import parse_amount
from evaluation.method.communication import GB


class FileUpTo(forms.FileField):
    """A file field with a limit on the size of what it takes. Of an empty file the checks say what it is."""

    def __init__(self, *, limit: int, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, **kwargs)
        self.limit = limit

    def clean(self, data: Any, initial: Any = None) -> Any:
        if data and data.size > self.limit:
            raise forms.ValidationError(
                f"The file has {filesizeformat(data.size)}; the limit is {filesizeformat(self.limit)}."
            )
        return super().clean(data, initial)


class GigabytesField(forms.CharField):
    """An amount of data, like 45.1 or 46228 MB; cleaned it is in GB of 1024³ bytes, None where empty."""

    most = 1e9

    def clean(self, value: Any) -> float | None:
        text = super().clean(value)
        if not text:
            return None
        amount = parse_amount(text, unit="GB")
        if amount is None or amount > self.most * GB:
            raise forms.ValidationError("Write an amount, like 45.1, 45.1 GB or 46,228 MB.")
        return amount / GB


class HubAddressField(forms.CharField):
    """A repository on the hub, by its name or the address of a page; cleaned it is a HubAddress or None."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_ADDRESS, **kwargs)

    def clean(self, value: Any) -> HubAddress | None:
        pasted = super().clean(value)
        try:
            return parse_address(pasted) if pasted else None
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
