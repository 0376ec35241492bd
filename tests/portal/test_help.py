"""The pages of the catalogue of findings, and the ways that lead there."""

from __future__ import annotations

import pytest
from django.test import Client

from evaluation.findings.catalogue import CATALOGUE
from portal.accounts.models import User
from portal.submissions.models import Finding
from tests.portal import factories
from tests.portal.test_submit_form import form

pytestmark = pytest.mark.django_db


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def link(code: str) -> str:
    return f'href="/help/findings/{code}/"'


def test_the_index_leads_to_every_code(client: Client) -> None:
    html = page(client, "/help/findings/")
    assert [code for code in CATALOGUE if link(code) not in html or f"<code>{code}</code>" not in html] == []


def test_every_code_has_a_page_of_its_own(client: Client) -> None:
    for code, kind in CATALOGUE.items():
        html = page(client, f"/help/findings/{code}/")
        assert all(f'<span class="badge" data-severity="{severity}">' in html for severity in kind.severities)


def test_a_page_says_what_it_means_and_what_to_do(client: Client) -> None:
    html = page(client, "/help/findings/header.hole/")
    assert CATALOGUE["header.hole"].explanation in html and CATALOGUE["header.hole"].remedy in html


@pytest.mark.parametrize("code", ["config.valeu", "nothing", "<script>", "x" * 3000])
def test_an_unknown_code_leads_to_the_index(client: Client, code: str) -> None:
    response = client.get(f"/help/findings/{code}/")
    html = response.content.decode()
    assert response.status_code == 404 and 'href="/help/findings/"' in html
    assert "<script>x" not in html and (link("config.value") in html) == (code == "config.valeu")


def test_the_findings_of_a_draft_lead_there(as_owner: Client, owner: User) -> None:
    made = factories.submission(owner)
    for code in ("config.value", "config.of_old"):
        Finding.objects.create(submission=made, code=code, severity="note", message="It is so.")
    html = page(as_owner, f"/submissions/{made.pk}/")
    assert link("config.value") in html
    assert "<code>config.of_old</code>" in html and link("config.of_old") not in html


def test_the_findings_of_a_refused_form_lead_there(as_owner: Client, owner: User) -> None:
    response = as_owner.post("/submit/", form(owner, **factories.uploads(pyproject=b"[project]\n")))
    assert response.status_code == 422 and link("config.not_flower_app") in response.content.decode()


def test_the_findings_of_an_entry_lead_there(client: Client, owner: User) -> None:
    made = factories.published(owner)
    Finding.objects.create(submission=made, code="config.strategy", severity="note", message="It is so.")
    assert link("config.strategy") in page(client, f"/entries/{made.pk}/")


def test_the_findings_in_the_administration_lead_there(as_reviewer: Client, owner: User) -> None:
    made = factories.submission(owner)
    for code in ("config.conflict", "config.of_old"):
        Finding.objects.create(submission=made, code=code, severity="warning", message="It is so.")
    html = page(as_reviewer, f"/admin/submissions/submission/{made.pk}/change/")
    assert link("config.conflict") in html and "config.of_old" in html and link("config.of_old") not in html


def test_the_pages_are_in_the_site_map(client: Client) -> None:
    html = page(client, "/sitemap-pages.xml")
    assert "/help/findings/</loc>" in html and "/help/findings/header.hole/</loc>" in html
