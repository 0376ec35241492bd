"""Which protocol an address asks for, and addresses that say so where it is not the site's own."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import Http404, QueryDict
from django.urls import reverse

from evaluation.rules.protocol import PROTOCOLS

PARAMETER = "protocol"


@dataclass(frozen=True)
class ProtocolLink:
    """A protocol that something can be shown under; `active` where it is."""

    number: int
    address: str
    active: bool


def asked_protocol(query: QueryDict) -> int | None:
    """The protocol that an address asks for, None where it names none. Raises Http404 for an unknown one."""
    if refusal := refused_protocol(query):
        raise Http404(refusal)
    text = query.get(PARAMETER)
    return int(text) if text else None


def refused_protocol(query: QueryDict) -> str:
    """Why there is nothing under the protocol that an address asks for, in a sentence; "" where there is."""
    text = query.get(PARAMETER, "")
    if not text or text in map(str, PROTOCOLS):
        return ""
    return f"There is no protocol “{text[:20]}”; there are: {', '.join(map(str, PROTOCOLS))}."


def protocol_query(protocol: int) -> str:
    """What an address has to say to show something under a protocol: "protocol=2", or "" for the site's own,
    and for 0, which is that of what nobody evaluated."""
    return "" if protocol in (0, settings.LEADERBOARD_PROTOCOLS[0]) else f"{PARAMETER}={protocol}"


def under(path: str, protocol: int) -> str:
    """The address of a page under a protocol."""
    query = protocol_query(protocol)
    return f"{path}?{query}" if query else path


def entry_page(entry: int, protocol: int) -> str:
    """The page of an entry with its figures under a protocol."""
    return under(reverse("entry", args=[entry]), protocol)
