"""The catalogue of findings in the API, and findings that lead to it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rest_framework import serializers as rest
from rest_framework.exceptions import ValidationError

import portal.api
from evaluation.findings.catalogue import AREA_OF, CATALOGUE
from portal.accounts.models import User
from portal.api import serializers
from portal.api.serializers.common import StrictSerializer
from portal.submissions.models import Finding
from tests.portal import factories
from tests.portal.api.conftest import Api, fields

pytestmark = pytest.mark.django_db
REFUSALS = ("ValidationError", "ErrorDetail")


def test_the_catalogue_is_listed_and_each_code_has_an_address(nobody: Api) -> None:
    body = nobody.get("findings/").json()
    assert [row["code"] for row in body["results"]] == list(CATALOGUE) and body["next"] is None
    for row in (body["results"][0], body["results"][-1]):
        assert nobody.get(f"findings/{row['code']}/").json() == row


def test_a_code_tells_what_the_page_and_the_terminal_tell(nobody: Api) -> None:
    kind = CATALOGUE["adapter_config.base_model"]
    assert nobody.get(f"findings/{kind.code}/").json() == {
        "code": kind.code,
        "area": "adapter-config",
        "severities": ["error", "warning", "note"],
        "title": kind.title,
        "explanation": kind.explanation,
        "remedy": kind.remedy,
        "example": kind.example,
        "help": f"http://testserver/help/findings/{kind.code}/",
    }


def test_an_unknown_code_suggests_near_ones(nobody: Api) -> None:
    response = nobody.get("findings/config.valeu/")
    assert response.status_code == 404 and "config.value" in response.json()["detail"]


def test_findings_of_a_refused_submission_lead_to_their_pages(api: Api, nobody: Api) -> None:
    refused = api.submit(adapter_config="{")
    assert refused.status_code == 422
    for finding in refused.json()["findings"]:
        assert finding["title"] == CATALOGUE[finding["code"]].title
        assert nobody.client.get(finding["help"]).status_code == 200


def test_findings_of_a_draft_lead_to_their_pages_unless_their_code_is_of_old(api: Api, owner: User) -> None:
    made = factories.submission(owner)
    for code in ("config.value", "config.of_old"):
        Finding.objects.create(submission=made, code=code, severity="note", message="It is so.")
    shown = {f["code"]: f for f in api.get(f"submissions/{made.pk}/").json()["findings"]}
    assert shown["config.value"]["help"].endswith("/help/findings/config.value/")
    assert (shown["config.of_old"]["title"], shown["config.of_old"]["help"]) == ("", None)


def test_a_wrong_field_and_a_refused_upload_lead_to_their_pages(api: Api) -> None:
    (wrong,) = api.post("submissions/", fields(descripton="x", base_model=None)).json()["findings"][-1:]
    assert wrong["code"] == "unknown_field" and wrong["help"].endswith("/help/findings/unknown_field/")
    (refused,) = api.post("uploads/", Tus_Resumable="1.0.0").json()["findings"]
    assert refused["code"] == "upload.header" and refused["title"] == CATALOGUE["upload.header"].title


def test_a_code_that_the_catalogue_lacks_does_not_break_a_refusal(
    nobody: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise ValidationError({"slug": "It is odd."}, code="of_another_library")

    monkeypatch.setattr("portal.api.views.catalogue.ChallengeDetail.get_object", refused)
    response = nobody.get("challenges/finance/")
    assert response.status_code == 400
    (finding,) = response.json()["findings"]
    assert (finding["code"], finding["message"], finding["location"]) == ("invalid", "It is odd.", "slug")


def codes_of(field: Any) -> Iterator[str]:
    """The codes under which a field, and those in it, refuse a value."""
    yield from field.error_messages
    for validator in field.validators:
        yield validator.code
    parts = field.fields.values() if isinstance(field, rest.Serializer) else [getattr(field, "child", None)]
    for part in parts:
        if part is not None and not part.read_only:
            yield from codes_of(part)


def request_codes() -> set[str]:
    for module in pkgutil.iter_modules(serializers.__path__):
        importlib.import_module(f"{serializers.__name__}.{module.name}")
    found: set[str] = set()
    classes = [StrictSerializer]
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        if kind.__module__.startswith("portal."):
            found.update(codes_of(kind()))
    return found


def given_codes() -> set[str]:
    """The codes that the API's own refusals of a field name."""
    found = set()
    for path in Path(portal.api.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("ValidationError", "ErrorDetail")
            ):
                given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                found |= {str(value.value) for value in given if isinstance(value, ast.Constant)}
    return found


def test_every_code_of_a_request_is_in_the_catalogue_and_each_there_is_used() -> None:
    catalogued = {code for code, area in AREA_OF.items() if area.slug == "request"}
    refusing = request_codes() | given_codes()
    assert refusing == catalogued
