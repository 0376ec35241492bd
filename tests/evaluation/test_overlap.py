"""N-gram overlap by digests: what counts as shared, what a report gives away, and what a site finds in it."""

from __future__ import annotations

import hashlib
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.benchmarks import BENCHMARKS
from evaluation.data.overlap import index_of
from evaluation.errors import DataError
from evaluation.overlap.comparison import Comparison
from evaluation.overlap.index import Index, build
from evaluation.overlap.ngrams import digests, item_digests, words
from evaluation.overlap.report import Matches, Report, touched

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
SHORT = "a bank of the north raised its forecast again"
ITEMS = [[LONG], [SHORT, "yes"], ["too short"], ["red " + LONG.replace("seven", "7")]]


@pytest.fixture
def index() -> Index:
    return build("fpb", "ab" * 32, ITEMS)


def compared(index: Index, *rows: str) -> Report:
    comparison = Comparison([index])
    for row in rows:
        comparison.add([row])
    return comparison.report()


def touched_by(index: Index, *rows: str) -> set[int]:
    report = Report.from_json(json.dumps(compared(index, *rows).to_json()))
    return set(touched(index, report.benchmarks["fpb"]))


def test_words_are_letters_and_digits_whatever_the_writing() -> None:
    assert words("\uff26\uff55\uff4c\uff4c-width, STRASSE_straße: 3.5%") == [
        "full",
        "width",
        "strasse",
        "strasse",
        "3",
        "5",
    ]


def test_a_digest_is_the_same_everywhere() -> None:
    """Other programs may compute them: these are by hand."""
    expected = hashlib.blake2b(b"a b c d e f g h", digest_size=8, person=b"ngram-8").digest()
    assert list(digests(words("A, b. C d e f (g) h"), 8)) == [int.from_bytes(expected, "big")]


def test_a_long_item_is_known_by_thirteen_words_and_a_short_one_by_eight(index: Index) -> None:
    assert (index.items, index.comparable) == (4, 3)
    assert touched_by(index, "Before: " + LONG.upper() + ", after") == {0}
    assert touched_by(index, " ".join(LONG.split()[:12])) == set()  # twelve of its words
    assert touched_by(index, "We read that a bank of the NORTH raised its forecast.") == {1}
    assert touched_by(index, "a bank of the north", "raised its forecast again") == set()
    assert touched_by(index, "too short") == set()


def test_what_more_than_ten_items_share_tells_of_none() -> None:
    form = "choose the right one of the following and say nothing else please now"
    many = build("fpb", "", [[f"{form} {letter} {letter}{LONG}"] for letter in string.ascii_lowercase[:11]])
    assert many.comparable == 11
    assert touched_by(many, form) == set()
    few = build("fpb", "", [[form], [form]])
    assert touched_by(few, form) == {0, 1}


def test_a_report_has_no_digest_but_of_the_benchmark_and_one_an_item(index: Index) -> None:
    report = compared(index, LONG + " and much more of our own that nobody needs to know", "ours alone")
    assert report.rows == 2 and report.ngrams > 2
    matches = report.benchmarks["fpb"]
    assert len(matches.digests) == 1 and set(matches.digests) <= set(index.digests)


def test_the_commitment_is_to_the_data_whatever_their_order(index: Index) -> None:
    first, second = compared(index, LONG, SHORT, SHORT), compared(index, SHORT, LONG)
    assert (first.commitment, first.ngrams) == (second.commitment, second.ngrams)
    assert compared(index, LONG).commitment != first.commitment
    every = sorted({digest for row in (LONG, SHORT) for n in (13, 8) for digest in digests(words(row), n)})
    expected = hashlib.sha256(b"".join(digest.to_bytes(8, "big") for digest in every)).hexdigest()
    assert first.commitment == expected


def test_a_site_refuses_digests_that_are_of_no_item_and_reports_of_other_items(index: Index) -> None:
    with pytest.raises(DataError, match="no n-gram of fpb"):
        touched(index, Matches(index.data_digest, (1,)))
    with pytest.raises(DataError, match="make it anew"):
        touched(index, Matches("cd" * 32, ()))


@given(st.lists(st.lists(st.text("ab ", max_size=60), max_size=3), max_size=6))
def test_an_index_comes_back_from_its_file(items: list[list[str]]) -> None:
    index = build("mmlu", "00", items)
    assert Index.from_bytes(index.to_bytes()) == index
    numbers = {number for digest in index.digests for number in index.items_of(digest)}
    assert len(numbers) == index.comparable <= sum(bool(item_digests(texts)) for texts in items)


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"null\n", b'{"format": "flowertune-ngrams/1"}\n'])
def test_another_file_is_no_index(damage: bytes, index: Index) -> None:
    for content in (damage, index.to_bytes()[:-1]):
        with pytest.raises(DataError):
            Index.from_bytes(content)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "flowertune-overlap/1"}', "null"])
def test_another_file_is_no_report(text: str) -> None:
    with pytest.raises(DataError):
        Report.from_json(text)


@pytest.mark.parametrize("slug", BENCHMARKS)
def test_every_benchmarks_items_find_themselves(slug: str) -> None:
    """In the built-in rows: what is trained on item by item touches every comparable item."""
    index = index_of(BENCHMARKS[slug], "demonstration")
    assert index.comparable > 0.3 * index.items
