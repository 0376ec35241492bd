"""E-mails of notifications: plain text, one person each."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from portal.notifications.models import Delivery, Event

_TEMPLATES = "portal/notifications/mail"
_TEXTS = {
    Event.DISABLED: "webhook_disabled",
    Event.MODEL_REQUESTED: "base_model_requested",
    Event.ENTRY_REQUESTED: "entry_requested",
    Event.ENTRY_ANSWERED: "entry_answered",
    Event.ENTRY_OBJECTED: "entry_objected",
    Event.MESSAGE: "message",
    Event.CONTACTED: "contacted",
    Event.DECISION_WAITS: "decision_waits",
    Event.DECISION_ANSWERED: "decision_answered",
    Event.REVIEW_WAITING: "review_waiting",
    Event.OUTAGE_BEGAN: "outage_began",
    Event.OUTAGE_OVER: "outage_over",
}
_SAYS = {
    Event.NEEDS_CHANGES: "{name} can't be submitted as it is. Its page says what has to change.",
    Event.IN_REVIEW: "{name} is evaluated and in review. A reviewer looks at it before it is published.",
    Event.FAILED: "The evaluation of {name} failed.",
    Event.PUBLISHED: "{name} is published on the leaderboard.",
    Event.REJECTED: "A reviewer rejected {name}. It is not published.",
    Event.DISQUALIFIED: "{name} is disqualified. It is ranked no more; its page stays and says why.",
    Event.REINSTATED: "{name} is reinstated: it is ranked again, with the scores it had.",
    Event.CHANGES_REQUESTED: (
        "A reviewer asks for changes to {name}. It is a draft again: change what is named below and send it "
        "again until {until}. After that it is closed."
    ),
    Event.TRIED: (
        "The smoke run of {name} is done. Look at the answers on its page, and say there whether it is "
        "evaluated in full. Without your word it is withdrawn on {decide_by:.10}."
    ),
    Event.REOPENED: "{name} is in review again: {because}. A reviewer decides on it anew.",
    Event.HELD: "The review of {name} is on hold. Nothing is decided on it until a reviewer goes on.",
    Event.RELEASED: "The review of {name} goes on.",
    Event.LAPSED: (
        "{name} is closed: changes were asked for until {until}, and it was not sent again. It is withdrawn; "
        "you can submit it anew."
    ),
}
"""What a mail to a team begins with."""


def send(delivery: Delivery) -> None:
    """Send the e-mail of a delivery. Raises smtplib.SMTPException and OSError where it was not taken."""
    message_of(delivery).send()


def message_of(delivery: Delivery) -> EmailMessage:
    notification, recipient = delivery.notification, delivery.recipient
    assert recipient
    event = Event(notification.event)
    choices = settings.SITE_URL + reverse("notifications:settings")
    data = notification.payload["data"]
    context = {"event": event, "recipient": recipient, "choices": choices, "says": _says(event, data), **data}
    text = render_to_string(f"{_TEMPLATES}/{_TEXTS.get(event, 'submission')}.txt", context)
    return EmailMessage(
        subject=" ".join(_subject(event, data).split()),  # names may hold line breaks, which no header may
        body=text,
        to=[recipient.email],
        reply_to=[data["message"]["address"]] if event == Event.CONTACTED else None,
        headers={"Auto-Submitted": "auto-generated", "List-Unsubscribe": f"<{choices}>"},
    )


def _says(event: Event, data: dict[str, Any]) -> str:
    about = data.get("submission", {})
    name = f"“{about.get('method', '')}”"
    plain = f"{name} is {event.label}."
    known = {"name": name} | {field: about.get(field, "") for field in ("until", "because", "decide_by")}
    return _SAYS[event].format_map(known) if event in _SAYS else plain


def _counted(cases: int, requests: int) -> list[tuple[int, str]]:
    return [(count, what) for count, what in ((cases, "case"), (requests, "request")) if count]


def _subject(event: Event, data: dict[str, Any]) -> str:
    if event == Event.DISABLED:
        return "Your webhook was turned off"
    if event == Event.MODEL_REQUESTED:
        return f"A base model is asked for: {data['request']['hub_id']}"
    if event == Event.ENTRY_REQUESTED:
        return f"{data['request']['user']}: {data['request']['kind']} about entry {data['request']['entry']}"
    if event == Event.ENTRY_ANSWERED:
        return f"Your {data['request']['kind']} about entry {data['request']['entry']} is answered"
    if event == Event.ENTRY_OBJECTED:
        return f"An objection to your entry {data['request']['entry']}"
    if event == Event.CONTACTED:
        return f"Contact form: {data['message']['subject']}"
    if event == Event.MESSAGE:
        return f"{data['submission']['method']}: {data['message']['author']} wrote"
    if event in (Event.DECISION_WAITS, Event.DECISION_ANSWERED):
        return f"Submission {data['decision']['submission']}: {event.label}"
    if event == Event.REVIEW_WAITING:
        total, asked = data["review"]["total"], len(data["review"]["requests"])
        named = [f"{count} {what}{'s' if count > 1 else ''}" for count, what in _counted(total, asked)]
        return f"{' and '.join(named)} wait{'s' if total + asked == 1 else ''} for review"
    if event == Event.OUTAGE_BEGAN:
        return f"Work waits for {data['outage']['what']}"
    if event == Event.OUTAGE_OVER:
        return f"No work waits any more for {data['outage']['what']}"
    return f"{data['submission']['method']}: {event.label}"
