"""What the site holds about a person and of what they sent, as one JSON document."""

from __future__ import annotations

import json
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from portal.accounts.models import Invitation, User
from portal.notifications.services import preferences_of
from portal.review.models import Confirmation, Decision, EntryRequest
from portal.runs.models import BaselineRun, Study
from portal.submissions.models import Submission


def own_data(user: User) -> str:
    """The document, without the secrets of tokens and second factors."""
    preferences = preferences_of(user)
    document = {
        "account": _account(user),
        "email_addresses": _rows(EmailAddress.objects.filter(user=user), "email", "verified", "primary"),
        "second_factors": _rows(
            Authenticator.objects.filter(user=user), "type", "created_at", "last_used_at"
        ),
        "connected_accounts": _rows(
            SocialAccount.objects.filter(user=user),
            *("provider", "uid", "extra_data", "date_joined", "last_login"),
        ),
        "teams": _rows(user.memberships.all(), "team__name", "role", "created_at"),
        "invitations": _rows(
            Invitation.objects.filter(invited_by=user),
            *("team__name", "role", "max_uses", "uses", "created_at", "expires_at", "revoked_at"),
        ),
        "api_tokens": _rows(
            user.api_tokens.all(),
            *("name", "scopes", "hint", "created_at", "expires_at", "last_used_at", "revoked_at"),
        ),
        "notifications": {"muted": preferences.muted, "whole_team": preferences.whole_team},
        "uploads": _rows(user.uploads.all(), "name", "length", "offset", "created_at", "completed_at"),
        "submissions": [_submission(s) for s in _submissions_of(user)],
        "decisions": _rows(
            Decision.objects.filter(reviewer=user), "submission", "action", "reason", "created_at"
        ),
        "messages": _rows(user.messages.all(), "submission", "text", "is_note", "created_at"),
        "requests": _rows(
            user.entry_requests.all(),
            *(
                "submission",
                "kind",
                "reason",
                "link",
                "created_at",
                "reply",
                "state",
                "answer",
                "answered_at",
            ),
        ),
        "replies": _rows(
            EntryRequest.objects.filter(replied_by=user), "submission", "kind", "reply", "replied_at"
        ),
        "answers": _rows(
            EntryRequest.objects.filter(answered_by=user),
            "submission",
            "kind",
            "state",
            "answer",
            "answered_at",
        ),
        "claimed_cases": _rows(user.case_claims.all(), "submission", "claimed_at", "ended_at"),
        "confirmations": _rows(
            Confirmation.objects.filter(reviewer=user), "decision", "agreed", "reason", "created_at"
        ),
        "baseline_runs": _rows(
            BaselineRun.objects.filter(requested_by=user), "pk", "challenge", "method", "queued_at"
        ),
        "studies": _rows(Study.objects.filter(started_by=user), "pk", "title", "plan", "started_at"),
    }
    return json.dumps(document, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False) + "\n"


def _account(user: User) -> dict[str, Any]:
    shown = ("username", "email", "full_name", "affiliation", "homepage", "shown_in_teams", "is_staff")
    return {name: getattr(user, name) for name in (*shown, "date_joined", "last_login")}


def _submissions_of(user: User) -> QuerySet[Submission]:
    submissions = Submission.objects.filter(submitter=user).order_by("pk")
    return submissions.select_related("team", "base_model", "checkpoint")


def _submission(submission: Submission) -> dict[str, Any]:
    """What was said and sent, and what became of it; the adapter itself by its digest."""
    plain = ("challenge", "kind", "method", "description", "paper_url", "code_url", "origin", "status")
    stated = ("training_data", "not_trained_on_test_items", "repeats_id")
    times = ("created_at", "edited_at", "sent_at", "published_at")
    checkpoint = submission.checkpoint
    return {
        "id": submission.pk,
        "page": settings.SITE_URL + submission.get_absolute_url(),
        "team": submission.team.name,
        "base_model": submission.base_model.hub_id,
        **{name: getattr(submission, name) for name in (*plain, *stated, *times)},
        "adapter": {"sha256": checkpoint.sha256, "bytes": checkpoint.size} if checkpoint else None,
        "adapter_config": submission.adapter_config_text,
        "configuration": submission.config_text,
        "findings": _rows(submission.findings.all(), "code", "severity", "message", "location"),
        "resources": _rows(submission.resources.all(), "kind", "value", "basis"),
        "declared_scores": _rows(submission.declared_scores.all(), "benchmark", "value"),
        "decisions": _rows(submission.decisions.in_effect(), "action", "reason", "created_at"),
        "evaluations": [
            {
                "status": evaluation.status,
                "smoke_run": evaluation.smoke_run,
                "for_audit": evaluation.for_audit,
                "purpose": evaluation.purpose,
                "domain": evaluation.domain,
                "scores": _rows(evaluation.scores.all(), "benchmark", "value", "n", "correct", "unscored"),
            }
            for evaluation in submission.evaluations.all()
        ],
    }


def _rows(rows: QuerySet[Any], *fields: str) -> list[dict[str, Any]]:
    names = {field: field.replace("__name", "") for field in fields}
    return [{names[field]: row[field] for field in fields} for row in rows.values(*fields)]
