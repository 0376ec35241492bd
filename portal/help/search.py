"""Finding places in the documentation and among the findings by words, in memory.

Ranked by BM25 (Robertson and Zaragoza 2009), where a word of a title counts as several in the text, among the
places that hold as many of the words as any.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from evaluation.findings.catalogue import AREA_OF, CATALOGUE
from evaluation.names import near
from portal.help.library import documents

LONGEST_QUERY = 200
_MOST_WORDS = 12
LONGEST_LIST = 30
_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "s", "e", "y")
_OF_VERBS = ("ings", "ing", "ers", "ed", "es", "er", "e")
_STEM = 4  # letters that an ending leaves at least
# A word of a title counts as so many of the text, shared by the words of a title.
_IN_TITLE, _IN_LONG_TITLE = 16, 2
_WHOLE = 1.5  # a document as against a part of one
_FINDING = 0.6  # documents explain; who looks for a finding has its code
_K1, _B = 1.2, 0.6
_PREFIX_WEIGHT = 0.4
_EXCERPT = 36  # words, so many of them before the first that was looked for
_BEFORE = 6
_SAID_ANYWAY = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "my",
        "of",
        "on",
        "or",
        "that",
        "the",
        "to",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "you",
        "your",
    ]
)


@dataclass(frozen=True)
class Place:
    """Something that can be found: `where` is what it is a part of, `more` are words that it is known by.

    `weight` is how much its words count beside those of others.
    """

    url: str
    title: str
    where: str
    text: str
    more: str = ""
    weight: float = 1.0


@dataclass(frozen=True)
class Hit:
    url: str
    where: str
    title: SafeString
    excerpt: SafeString


class Index:
    """Places by the stems of their words."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._holding: dict[str, dict[int, int]] = defaultdict(dict)
        self._lengths: list[int] = []
        self.words: set[str] = set()
        for number, place in enumerate(places):
            counts: Counter[str] = Counter(_stems(f"{place.text} {place.where}"))
            self._lengths.append(counts.total())
            titled = _stems(f"{place.title} {place.more}")
            for stem in titled:
                counts[stem] += max(_IN_TITLE // len(titled), _IN_LONG_TITLE)
            for stem, count in counts.items():
                self._holding[stem][number] = count
            self.words.update(_words(f"{place.title} {place.text}"))
        self._mean = sum(self._lengths) / max(len(places), 1)

    def search(self, query: str) -> list[Hit]:
        """The places that the words of `query` stand in, the best first."""
        wanted = _wanted(query)
        scores: dict[int, float] = defaultdict(float)
        matched: Counter[int] = Counter()
        for stem in wanted:
            for number, score in self._scores(stem).items():
                scores[number] += score
                matched[number] += 1
        most = max(matched.values(), default=0)
        ranked = sorted(
            (number for number in scores if matched[number] == most), key=lambda number: -scores[number]
        )
        return [_hit(self._places[number], wanted) for number in ranked[:LONGEST_LIST]]

    def _scores(self, stem: str) -> dict[int, float]:
        """Of each place that holds a word, or one that begins with it."""
        best: dict[int, float] = {}
        for known, holding in self._holding.items():
            if not _begins(known, stem):
                continue
            weight = 1.0 if known == stem else _PREFIX_WEIGHT
            rarity = math.log(1 + (len(self._places) - len(holding) + 0.5) / (len(holding) + 0.5))
            for number, count in holding.items():
                length = 1 - _B + _B * self._lengths[number] / self._mean
                score = (
                    weight * self._places[number].weight * rarity * count * (_K1 + 1) / (count + _K1 * length)
                )
                best[number] = max(best.get(number, 0.0), score)
        return best

    def meant(self, query: str) -> str | None:
        """The query with the nearest known words for unknown ones; None where that changes nothing."""
        words = _words(query)[:_MOST_WORDS]
        meant = [word if word in self.words else next(iter(near(word, self.words)), word) for word in words]
        return " ".join(meant) if meant != words else None


@cache
def index() -> Index:
    """Of all documents, section by section, and of the catalogue of findings."""
    return Index([*_document_places(), *_finding_places()])


def _document_places() -> Iterable[Place]:
    for document in documents().values():
        page = reverse("docs:document", args=[document.slug])
        for section in document.sections:
            anchor = f"#{section.anchor}" if section.anchor else ""
            where = document.title if section.anchor else "Documentation"
            weight = 1.0 if section.anchor else _WHOLE
            yield Place(page + anchor, section.title, where, section.text, weight=weight)


def _finding_places() -> Iterable[Place]:
    for code, kind in CATALOGUE.items():
        where = f"Findings: {AREA_OF[code].title}"
        text = f"{code}: {kind.explanation} {kind.remedy}"
        yield Place(reverse("help:finding", args=[code]), kind.title, where, text, code, _FINDING)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.replace("_", " ").casefold())


def _stem(word: str) -> str:
    """A word without the ending that its other forms have: evaluate, evaluated and evaluation are one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM:
            stem = word.removesuffix(ending)
            if ending in _OF_VERBS and stem[-1] == stem[-2] and stem[-1] not in "ls":
                return stem[:-1]  # submitting, submit
            return stem.removesuffix("at") if ending in _OF_VERBS and len(stem) >= _STEM + 2 else stem
    return word


def _stems(text: str) -> list[str]:
    return [_stem(word) for word in _words(text)]


def _wanted(query: str) -> list[str]:
    """The stems that are looked for, each once; small words only where there are no others."""
    words = _words(query)[:_MOST_WORDS]
    telling = [word for word in words if word not in _SAID_ANYWAY] or words
    return list(dict.fromkeys(map(_stem, telling)))


def _begins(known: str, stem: str) -> bool:
    return known == stem or (len(stem) >= 3 and known.startswith(stem))


def _hit(place: Place, wanted: Sequence[str]) -> Hit:
    return Hit(
        place.url, place.where, _marked(place.title, wanted), _marked(_excerpt(place.text, wanted), wanted)
    )


def _is_wanted(word: str, wanted: Sequence[str]) -> bool:
    return any(_begins(_stem(word.casefold()), stem) for stem in wanted)


def _excerpt(text: str, wanted: Sequence[str]) -> str:
    """The part of a text that has most of the words."""
    pieces = text.split()
    found = [any(_is_wanted(word, wanted) for word in _words(piece)) for piece in pieces]
    starts = range(max(1, len(pieces) - _EXCERPT + 1))
    start = max(starts, key=lambda at: sum(found[at : at + _EXCERPT]))
    first = found.index(True, start) if any(found[start:]) else 0
    start = max(0, first - _BEFORE)
    part = " ".join(pieces[start : start + _EXCERPT])
    return f"{'… ' if start else ''}{part}{' …' if start + _EXCERPT < len(pieces) else ''}"


def _marked(text: str, wanted: Sequence[str]) -> SafeString:
    """The text as HTML, with the words that were looked for marked."""
    parts: list[str] = []
    end = 0
    for word in _WORD.finditer(text):
        if _is_wanted(word[0], wanted):
            parts += [escape(text[end : word.start()]), f"<mark>{escape(word[0])}</mark>"]
            end = word.end()
    return mark_safe("".join([*parts, escape(text[end:])]))  # noqa: S308 -- every part is escaped above
