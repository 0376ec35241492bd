"""Lists with filters and pages, and who sees what of a submission."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.accounts.models import User
from portal.intake import services
from portal.intake.drafts import Files
from portal.runs import services as runs
from tests.portal import factories
from tests.portal.api.conftest import Api

pytestmark = pytest.mark.django_db


def ids(response: Any) -> list[int]:
    assert response.status_code == 200, response.json()
    return [row["id"] for row in response.json()["results"]]


def test_everybody_lists_what_is_published_and_members_also_their_own(
    api: Api, teammate: Api, other: Api, staff: Api, nobody: Api, owner: User
) -> None:
    public = factories.published(owner, method="Public")
    hidden = factories.submission(owner, method="Hidden")
    for reader in (nobody, other):
        assert ids(reader.get("submissions/")) == [public.pk]
    for reader in (api, teammate, staff):
        assert ids(reader.get("submissions/")) == [hidden.pk, public.pk]


def test_filters_narrow_the_list(api: Api, owner: User, stranger: User) -> None:
    theirs = factories.published(stranger, method="Theirs")
    mine = factories.submission(owner, method="Mine")
    medical = factories.submission(owner, challenge="medical")
    hour = timedelta(hours=1)
    past, future = (timezone.now() - hour).isoformat(), (timezone.now() + hour).isoformat()
    for query, expected in [
        ("mine=true", [medical.pk, mine.pk]),
        ("challenge=medical", [medical.pk]),
        ("status=published", [theirs.pk]),
        ("status=published&status=queued&challenge=finance", [mine.pk, theirs.pk]),
        ("team=STRANGER", [theirs.pk]),
        ("base_model=example/tiny-llama", [medical.pk, mine.pk, theirs.pk]),
        ("base_model=other/model", []),
        (f"created_after={future.replace('+', '%2B')}", []),
        (f"created_after={past.replace('+', '%2B')}&mine=1", [medical.pk, mine.pk]),
        (f"created_before={past.replace('+', '%2B')}", []),
    ]:
        assert ids(api.get(f"submissions/?{query}")) == expected, query


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("challenge=poetry", "challenge"),
        ("status=lost", "status"),
        ("created_after=", "created_after"),
        ("created_after=yesterday", "created_after"),
        ("team=%00", "team"),
        ("chalenge=finance", "chalenge"),
        ("page_size=0", "page_size"),
        ("page_size=1000", "page_size"),
        ("page_size=many", "page_size"),
        ("cursor=nonsense", "cursor"),
        ("cursor=cD1mcmlkYXk=", "cursor"),  # p=friday
        ("cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "cursor"),  # p=999…
    ],
)
def test_a_wrong_parameter_is_named(api: Api, query: str, place: str) -> None:
    response = api.get(f"submissions/?{query}")
    assert response.status_code == 400, response.content
    assert response.json()["findings"][0]["location"] == place


def test_pages_follow_each_other_and_new_rows_do_not_shift_them(api: Api, owner: User) -> None:
    made = [factories.submission(owner, method=f"M{n}").pk for n in range(5)]
    first = api.get("submissions/?page_size=2&mine=true")
    assert ids(first) == [made[4], made[3]] and first.json()["previous"] is None
    factories.submission(owner, method="Newer")
    second = api.get(first.json()["next"].partition("/api/v1/")[2])
    assert ids(second) == [made[2], made[1]]
    third = api.get(second.json()["next"].partition("/api/v1/")[2])
    assert ids(third) == [made[0]] and third.json()["next"] is None
    assert ids(api.get(third.json()["previous"].partition("/api/v1/")[2])) == [made[2], made[1]]


def test_the_list_costs_the_same_number_of_queries_however_long(api: Api, owner: User) -> None:
    counts = []
    for n in range(3):
        factories.submission(owner, method=f"M{n}")
        api.get("submissions/")  # the token's last use is written once a minute
        with CaptureQueriesContext(connection) as queries:
            assert len(ids(api.get("submissions/"))) == n + 1
        counts.append(len(queries))
    assert len(set(counts)) == 1, counts


def test_the_origin_may_be_private_and_is_for_the_team(api: Api, nobody: Api, owner: User) -> None:
    draft = services.create(factories.draft(owner))
    services.attach(draft, Files(config=factories.PYPROJECT), origin="private/adapter@0a1b")
    made = factories.publish(factories.evaluate(services.send(draft)))
    for path in (f"submissions/{made.pk}/", "submissions/"):
        assert "private/adapter" in api.get(path).content.decode()
        assert "private/adapter" not in nobody.get(path).content.decode()


def test_a_stranger_reads_only_what_is_published(other: Api, nobody: Api, owner: User) -> None:
    hidden, public = factories.evaluated(owner), factories.published(owner, method="Public")
    for reader in (other, nobody):
        assert reader.get(f"submissions/{hidden.pk}/").status_code == 404
        assert reader.get(f"submissions/{public.pk}/").status_code == 200


def test_the_public_reads_no_findings_and_no_failures(
    api: Api, teammate: Api, staff: Api, nobody: Api, owner: User
) -> None:
    factories.submission(owner, method="Secret")
    runs.claim(worker="test")
    public = factories.published(owner, method="Public")
    for reader in (api, teammate, staff):
        assert reader.get(f"submissions/{public.pk}/").json()["findings"] != []
    answer = nobody.get(f"submissions/{public.pk}/")
    assert answer.json()["findings"] == [] and "Secret" not in answer.content.decode()
    assert answer.json()["method_card"]["rounds"] == 8


def test_what_a_team_without_members_left_behind_is_nobodys(nobody: Api, other: Api, owner: User) -> None:
    hidden = factories.evaluated(owner)
    hidden.team.memberships.all().delete()
    for path in (
        f"submissions/{hidden.pk}/",
        f"evaluations/{factories.evaluation_of(hidden).pk}/",
        f"teams/{hidden.team_id}/",
    ):
        assert nobody.get(path).status_code == other.get(path).status_code == 404
    assert ids(nobody.get("submissions/?mine=true")) == []


@pytest.mark.parametrize("number", ["0", "9223372036854775808", "9" * 40])
def test_a_number_that_no_row_has_is_nothing(api: Api, number: str) -> None:
    for path in (f"submissions/{number}/", f"evaluations/{number}/", f"teams/{number}/"):
        assert api.get(path).status_code == 404
