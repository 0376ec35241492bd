"""What pages say of themselves: canonical addresses, previews, data for search engines, maps of the site."""

from __future__ import annotations

import json
import re
import struct
from typing import Any
from xml.etree import ElementTree

import pytest
from django.test import Client

from evaluation.rules.challenges import CHALLENGES
from leaderboard.entry.preview_cards import entry_card
from leaderboard.markup import json_ld
from leaderboard.reading.queries import entry_of
from portal.accounts.models import User
from portal.intake.services import withdraw
from portal.review.models import Decision
from tests.portal import factories

pytestmark = pytest.mark.django_db
SITE = "http://127.0.0.1:8000"
HOSTILE = '</script><script>alert(1)</script><text x="0">&'
MAP = {"map": "http://www.sitemaps.org/schemas/sitemap/0.9"}


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def data_of(html: str) -> dict[str, Any]:
    [block] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', html)
    found: dict[str, Any] = json.loads(block)
    return found


def size_of(picture: bytes) -> tuple[int, ...]:
    assert picture.startswith(b"\x89PNG")
    return struct.unpack(">II", picture[16:24])


def addresses(client: Client, path: str) -> list[str]:
    root = ElementTree.fromstring(client.get(path).content)  # this site's own answer
    return [element.text or "" for element in root.iterfind(".//map:loc", MAP)]


def test_filters_and_sorting_lead_to_the_plain_board(client: Client, owner: User) -> None:
    factories.published(owner)
    html = page(client, "/leaderboard/finance/?q=fed&sort=-fpb")
    assert f'<link rel="canonical" href="{SITE}/leaderboard/finance/">' in html


def test_a_board_describes_itself_as_a_data_set(client: Client, owner: User) -> None:
    factories.published(owner)
    html = page(client, "/leaderboard/finance/")
    data = data_of(html)
    assert data["@type"] == "Dataset" and data["url"] == f"{SITE}/leaderboard/finance/"
    assert {item["contentUrl"] for item in data["distribution"]} == {
        f"{SITE}/leaderboard/finance.{form}" for form in ("csv", "json", "parquet")
    }
    assert f'property="og:image" content="{SITE}/leaderboard/finance/card.png"' in html
    assert "/leaderboard/finance/feed.atom" in html


def test_an_entry_describes_its_scores(client: Client, owner: User) -> None:
    made = factories.published(owner, method="Mine", correct=70)
    data = data_of(page(client, f"/entries/{made.pk}/"))
    assert data["name"] == "Mine · Finance" and data["creator"]["name"] == made.team.name
    assert [variable["value"] for variable in data["variableMeasured"]] == [70.0, 70.0, 70.0]


def test_no_text_ends_the_data_block(client: Client, owner: User) -> None:
    made = factories.published(owner, method=HOSTILE)
    html = page(client, f"/entries/{made.pk}/")
    assert data_of(html)["name"] == f"{HOSTILE} · Finance" and "<script>alert" not in html
    assert str(json_ld({"text": "<!--</script>"})).count("<") == 2


@pytest.mark.parametrize("slug", CHALLENGES)
def test_every_board_has_a_picture_even_an_empty_one(client: Client, slug: str) -> None:
    response = client.get(f"/leaderboard/{slug}/card.png")
    assert response["Content-Type"] == "image/png" and size_of(response.content) == (1200, 630)


def test_the_pictures_change_with_the_figures(client: Client, owner: User) -> None:
    empty = client.get("/leaderboard/finance/card.png")
    made = factories.published(owner, correct=70)
    filled = client.get("/leaderboard/finance/card.png")
    assert filled["ETag"] != empty["ETag"] and filled.content != empty.content
    entry = client.get(f"/entries/{made.pk}/card.png")
    assert size_of(entry.content) == (1200, 630)
    again = client.get(f"/entries/{made.pk}/card.png", headers={"If-None-Match": entry["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("method", [HOSTILE, "bell\x07", "w" * 80, "\u4e2d" * 80, "{{ card }}"])
def test_any_name_can_be_drawn(client: Client, owner: User, method: str) -> None:
    made = factories.published(owner, method=method)
    assert size_of(client.get(f"/entries/{made.pk}/card.png").content) == (1200, 630)
    svg = entry_card(entry_of(made.pk), None).svg
    ElementTree.fromstring(svg)  # this site's own drawing
    assert "<script" not in svg


def test_a_disqualified_entry_is_pictured_without_its_figures(
    client: Client, owner: User, reviewer: User
) -> None:
    made = factories.published(owner, correct=70)
    factories.review(made, reviewer, Decision.Action.DISQUALIFY, reason="copied")
    card = entry_card(entry_of(made.pk), None, disqualified=True)
    assert "Disqualified" in card.svg and "70.00" not in card.svg
    assert data_of(page(client, f"/entries/{made.pk}/"))["@type"] == "WebPage"
    assert client.get(f"/entries/{made.pk}/card.png").status_code == 200
    embedded = page(client, f"/entries/{made.pk}/embed/")
    assert "was disqualified" in embedded and "70.00" not in embedded


def test_what_has_no_page_has_no_picture(client: Client, owner: User) -> None:
    made = factories.published(owner)
    withdraw(made)
    assert client.get(f"/entries/{made.pk}/card.png").status_code == 404
    assert client.get("/leaderboard/poetry/card.png").status_code == 404


def test_the_site_map_has_every_public_page_and_no_other(client: Client, owner: User) -> None:
    kept, gone = factories.published(owner), factories.published(owner)
    withdraw(gone)
    parts = addresses(client, "/sitemap.xml")
    found = [
        address for part in parts for address in addresses(client, part.removeprefix("http://testserver"))
    ]
    assert f"http://testserver/entries/{kept.pk}/" in found
    assert f"http://testserver/entries/{gone.pk}/" not in found
    assert "http://testserver/benchmarks/fpb/" in found
    for address in found:
        assert client.get(address.removeprefix("http://testserver")).status_code in (200, 302), address


def test_robots_are_told_where_the_map_is(client: Client) -> None:
    text = page(client, "/robots.txt")
    assert f"Sitemap: {SITE}/sitemap.xml" in text and "Disallow: /accounts/" in text
