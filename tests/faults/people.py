"""Who uses the site under faults: a member with a token and a webhook, a reviewer who is signed in."""

from __future__ import annotations

from django.test import Client

from portal.accounts.models import ApiToken, personal_team
from portal.notifications.models import Event
from portal.notifications.services import add_webhook
from portal.submissions.models import BaseModel
from tests.evaluation.hub_server import COMMIT
from tests.faults.case import People
from tests.faults.parts import Parts
from tests.portal import factories


def introduce(parts: Parts) -> People:
    """Make them, and the base model that the hub of the faults serves."""
    member = factories.user("member")
    reviewer = factories.user("reviewer", is_staff=True, is_superuser=True)
    model = factories.base_model()
    BaseModel.objects.filter(pk=model.pk).update(revision=COMMIT)
    add_webhook(team=personal_team(member), url=parts.receiver.url, events=[Event.PUBLISHED])
    browser = Client(headers={"host": f"127.0.0.1:{parts.port}"})
    browser.force_login(reviewer)
    browser.get("/review/")
    cookies = {name: browser.cookies[name].value for name in ("sessionid", "csrftoken")}
    return People(ApiToken.issue(user=member, name="faults")[1], cookies)
