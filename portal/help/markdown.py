"""A document of docs/ as a page: its HTML, and its sections as text for the search.

Headings get the anchors that the same file has on code hosts, links between files become links between pages,
tables scroll in themselves, and what is code can be copied.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

from django.urls import Resolver404, resolve, reverse
from django.utils.html import escape
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

SITE = "https://SITE"
"""How the files write the site's address."""
_SITE_PATH = re.compile(r"/([a-z-]+/)+")


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it up to the next one, as text. The first has no anchor."""

    anchor: str
    title: str
    level: int
    text: str


@dataclass(frozen=True)
class Document:
    """`html` is everything below the title; `SITE` stands in it for the reader's address of the site."""

    slug: str
    title: str
    html: str
    sections: tuple[Section, ...]

    def html_at(self, origin: str) -> str:
        """The HTML for readers who reach the site at `origin`."""
        return self.html.replace(SITE, escape(origin))

    @property
    def contents(self) -> list[Section]:
        return [section for section in self.sections if section.level == 2]


def render(slug: str, source: str, shown: Collection[str]) -> Document:
    """The page of a file; `shown` are the files that have pages, by their names without the ending.

    A link to any other file of the repository becomes its words alone.
    """
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    tokens = parser.parse(source)
    assert tokens[0].type == "heading_open" and tokens[0].tag == "h1", f"{slug} begins with no title"
    title = _text(tokens[1])
    _number_headings(tokens)
    for token in tokens:
        if token.children:
            token.children = _linked(token.children, slug, shown)
    html = parser.renderer.render(tokens[3:], parser.options, {"title": title})
    return Document(slug, title, html, tuple(_sections(tokens)))


def anchor_of(heading: str) -> str:
    """As code hosts make it of a heading: small letters, no punctuation, dashes for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _number_headings(tokens: Sequence[Token]) -> None:
    """Give each heading its anchor; equal ones are counted."""
    known: dict[str, int] = {}
    for opening, inside in pairwise(tokens):
        if opening.type == "heading_open":
            anchor = anchor_of(_text(inside))
            before = known.get(anchor, 0)
            known[anchor] = before + 1
            opening.attrSet("id", f"{anchor}-{before}" if before else anchor)


def _text(inline: Token) -> str:
    """What a reader reads of a paragraph, a heading or a cell."""
    parts = (child.content if child.content else " " for child in inline.children or () if _is_read(child))
    return "".join(parts)


def _is_read(child: Token) -> bool:
    return child.type in ("text", "code_inline", "softbreak", "hardbreak")


def _sections(tokens: Sequence[Token]) -> list[Section]:
    sections: list[Section] = []
    texts: list[str] = []
    anchor, title, level = "", _text(tokens[1]), 1
    inside_heading = False
    for token in tokens[3:]:
        if token.type == "heading_open":
            sections.append(Section(anchor, title, level, " ".join(texts)))
            texts, anchor, level = [], str(token.attrGet("id")), int(token.tag[1:])
            inside_heading = True
        elif token.type == "inline" and inside_heading:
            title, inside_heading = _text(token), False
        elif token.type == "inline":
            texts.append(_text(token))
        elif token.type in ("fence", "code_block"):
            texts.append(token.content)
    return [*sections, Section(anchor, title, level, " ".join(texts))]


def _linked(children: list[Token], slug: str, shown: Collection[str]) -> list[Token]:
    """The links of a paragraph as the site has them, and its own addresses as links."""
    linked: list[Token] = []
    dropped = 0
    depth = 0
    for child in children:
        if child.type == "link_open":
            depth += 1
            target = _target(str(child.attrGet("href")), slug, shown)
            if target is None:
                dropped += 1
                continue
            child.attrSet("href", target)
        elif child.type == "link_close":
            depth -= 1
            if dropped:
                dropped -= 1
                continue
        elif child.type == "code_inline" and not depth and _is_page(child.content):
            linked += [Token("link_open", "a", 1, attrs={"href": child.content}), child]
            linked.append(Token("link_close", "a", -1))
            continue
        linked.append(child)
    return linked


def _target(href: str, slug: str, shown: Collection[str]) -> str | None:
    """Where a link of the file leads on the site; None where the site has no such page."""
    parts = urlsplit(href)
    if parts.scheme or not parts.path:
        return href
    name = parts.path.removesuffix(".md")
    if name not in shown or not parts.path.endswith(".md"):
        return None
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return (reverse("docs:document", args=[name]) if name != slug else "") + fragment or "#content"


def _is_page(text: str) -> bool:
    """Whether code is the address of one of the site's pages, and of one page alone."""
    if not _SITE_PATH.fullmatch(text) or text.startswith(("/api/v1/", "/admin/")):
        return False
    try:
        found = resolve(text)
    except Resolver404:
        return False
    return found.view_name != "api-nothing"


class _Renderer(RendererHTML):
    """The parts of a document that look and work as on other pages of the site."""

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        env["heading"] = _text(tokens[idx + 1])
        return self.renderToken(tokens, idx, options, env)

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        anchor = str(tokens[idx - 2].attrGet("id"))
        label = escape(f"Link to “{env['heading']}”")
        link = f'<a class="anchor" href="#{escape(anchor)}" aria-label="{label}">#</a>'
        return f" {link}</{tokens[idx].tag}>\n"

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        number = env["tables"] = env.get("tables", 0) + 1
        label = escape(f"Table {number}: {env.get('heading', env['title'])}")
        scroll = f'<div class="table-scroll" role="region" tabindex="0" aria-label="{label}">'
        return f'{scroll}<table class="table">\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        # An empty head names nothing, so it is a cell.
        return '<th scope="col">' if tokens[idx + 1].content else "<td>"

    def th_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</th>\n" if tokens[idx - 1].content else "</td>\n"

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "<td>"

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        name = f"code-{idx}"
        code = f'<pre class="code" tabindex="0"><code id="{name}">{escape(tokens[idx].content)}</code></pre>'
        button = (
            f'<button class="button secondary small" type="button" data-copy="{name}" hidden>Copy</button>'
        )
        return f'<div class="copied">{code}{button}</div>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return self.fence(tokens, idx, options, env)
