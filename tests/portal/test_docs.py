"""The documentation's pages: made of docs/, linked, searchable, and the same for readers without scripts."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from portal.help import search
from portal.help.library import FOLDER, LISTINGS, documents
from portal.help.markdown import anchor_of, render

pytestmark = pytest.mark.django_db

# For those who change the code, in the repository alone.
DEVELOPERS = {"architecture", "developing", "style"}


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def test_every_file_of_docs_has_a_page_or_is_for_developers() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(LISTINGS) | DEVELOPERS


def test_no_link_of_a_document_leads_nowhere(client: Client) -> None:
    pages = {f"/docs/{slug}/": document.html for slug, document in documents().items()}
    elsewhere: dict[str, str] = {}
    for path, html in pages.items():
        for href in map(unescape, re.findall(r'href="([^"]*)"', html)):
            target = urlsplit(urljoin(path, href))
            if target.path not in pages and not target.netloc:
                elsewhere[target.path] = path
            elif target.fragment and not target.netloc:
                assert target.fragment == "content" or f'id="{target.fragment}"' in pages[target.path], href
    assert elsewhere
    for target_path, path in elsewhere.items():
        assert client.get(target_path, follow=True).status_code == 200, (path, target_path)


def test_links_between_the_files_name_headings_that_are_there() -> None:
    """Also where the files are read as they are, on a code host."""
    headings = {
        path.name: {
            anchor_of(line.lstrip("# ").replace("`", ""))
            for line in path.read_text().splitlines()
            if line.startswith("#")
        }
        for path in FOLDER.glob("*.md")
    }
    for path in FOLDER.glob("*.md"):
        for target, fragment in re.findall(r"\]\(([\w-]*(?:\.md)?)#([^)]+)\)", path.read_text()):
            assert fragment in headings[target or path.name], (path.name, target, fragment)


def test_a_page_has_its_place_among_the_others(client: Client) -> None:
    html = page(client, "/docs/submitting/")
    assert 'rel="prev" href="/docs/tutorial/"' in html and 'rel="next" href="/docs/client/"' in html
    assert '<a href="#drafts">Drafts</a>' in html and '<h2 id="drafts">' in html
    assert 'aria-current="page">Submitting' in html


def test_commands_name_the_site_that_shows_them(client: Client) -> None:
    html = page(client, "/docs/client/")
    assert "flowertune login --url http://testserver" in html and "SITE/" not in html


def test_what_a_file_holds_is_shown_and_never_run() -> None:
    source = (
        "# T\n\n<script>alert(1)</script> [x](javascript:alert(1)) `<b>`\n\n    <i>\n\n| a |\n|---|\n| <u> |"
    )
    html = render("t", source, ()).html
    assert not re.search(r"<(script|b|i|u)>", html) and "href" not in html


def test_addresses_of_pages_are_links_and_others_are_not() -> None:
    html = render("t", "# T\n\n`/queue/` `/entries/<id>/` `/no/such/` `/api/v1/x/`\n", ()).html
    assert re.findall(r'href="([^"]*)"', html) == ["/queue/"]


def test_an_unknown_document_is_not_found(client: Client) -> None:
    assert client.get("/docs/nothing/").status_code == 404
    assert client.get("/docs/architecture/").status_code == 404


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("webhook signature", "/docs/webhooks/"),
        ("how do I submit from CI", "/docs/client/#in-scripts-and-ci"),
        ("dirichlet partition", "/docs/baselines/#how-rows-are-shared"),
        ("LoRA rank", "/docs/glossary/#rank"),
        ("header.hole", "/help/findings/header.hole/"),
        ("resume an interrupted run", "/docs/baselines/#interrupted-runs"),
        ("how many submissions a day", "/docs/submitting/#how-much-a-day"),
        ("communication budget", "/docs/glossary/#communication-budget"),
    ],
)
def test_a_search_finds_what_is_meant_among_the_first(query: str, first: str) -> None:
    hits = [hit.url for hit in search.index().search(query)]
    assert first in hits[:3] or any(url.startswith(first) for url in hits[:1]), hits[:5]


def test_other_forms_of_a_word_are_found() -> None:
    found = [
        [hit.url for hit in search.index().search(word)] for word in ("evaluate", "evaluated", "evaluation")
    ]
    assert found[0] == found[1] == found[2] and "/docs/evaluation/" in found[0][:3]
    assert search.index().search("submitting")[0].url.startswith("/docs/submitting/")


def test_results_mark_the_words_and_escape_the_rest(client: Client) -> None:
    html = page(client, "/docs/?q=bearer+token")
    assert "<mark>Bearer</mark>" in html and "<mark>token" in html
    html = page(client, "/docs/?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in html


def test_a_mistyped_word_is_suggested(client: Client) -> None:
    html = page(client, "/docs/?q=comunication")
    assert "Did you mean" in html and "?q=communication" in html


def test_a_search_without_words_shows_all_documents(client: Client) -> None:
    html = page(client, "/docs/?q=+")
    assert all(f'href="/docs/{slug}/"' in html for slug in documents())
    assert "Nothing for “!?”" in page(client, "/docs/?q=!?")


def test_the_pages_are_in_the_site_map(client: Client) -> None:
    html = page(client, "/sitemap-pages.xml")
    assert "/docs/</loc>" in html and "/docs/tutorial/</loc>" in html
