"""Comparing entries: what is tested, what is refused, and what stands side by side."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from django.core.management import call_command
from django.http import QueryDict
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics import PackedAnswers, holm, mcnemar_exact
from leaderboard.board.comparison import MOST, Asked
from leaderboard.standing.pairing import Answered, disagreements, pairings, refusal
from portal.accounts.models import User
from portal.intake.services import submit, withdraw
from portal.submissions.models import Submission
from tests.leaderboard.test_items import answered, line
from tests.portal import factories
from tests.portal.test_import_board import HEADER

BENCHMARKS = ("fpb", "fiqa")


def packed(right: list[bool], scored: list[bool] | None = None) -> PackedAnswers:
    scored = scored or [True] * len(right)
    return PackedAnswers.from_bytes(
        len(right), numpy.packbits(right).tobytes(), numpy.packbits(scored).tobytes()
    )


def answers(right: list[bool], **changes: Any) -> Answered:
    values: dict[str, Any] = {
        "score": 1,
        "protocol": 1,
        "precision": "nf4",
        "digest": "a" * 64,
        "available": len(right),
        "items": len(right),
        "packed": packed(right),
    }
    return Answered(**(values | changes))


ALL, NONE = [True] * 40, [False] * 40


def test_p_values_are_mcnemars_corrected_over_all_that_is_tested() -> None:
    half = [True] * 32 + [False] * 8
    found = pairings(
        1,
        [2, 3],
        {1: {"fpb": answers(ALL), "fiqa": answers(ALL)}, 2: {"fpb": answers(half), "fiqa": answers(NONE)},
         3: {"fpb": answers(ALL), "fiqa": answers(half)}},
        BENCHMARKS,
    )  # fmt: skip
    raw = [mcnemar_exact(8, 0), mcnemar_exact(40, 0), 1.0, mcnemar_exact(8, 0)]
    tests = [pairing.benchmarks[slug] for pairing in found for slug in BENCHMARKS]
    assert [test.p_holm for test in tests] == pytest.approx(holm(raw))
    assert [test.verdict for test in tests] == ["better", "better", "no difference shown", "better"]
    assert found[0].average.difference == pytest.approx((0.2 + 1) / 2)
    assert found[0].average.interval[0] > 0


def test_turning_a_pair_around_turns_the_signs() -> None:
    sides = {1: {"fpb": answers(ALL)}, 2: {"fpb": answers([True] * 20 + [False] * 20)}}
    there, back = pairings(1, [2], sides, ["fpb"])[0], pairings(2, [1], sides, ["fpb"])[0]
    assert there.benchmarks["fpb"].p_value == back.benchmarks["fpb"].p_value
    assert there.average.difference == -back.average.difference


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"digest": "b" * 64}, "The data differ: digest aaaaaaaaaaaa of 40 items, bbbbbbbbbbbb of 40."),
        ({"protocol": 2}, "The protocols differ: 1 and 2."),
        ({"items": 20, "packed": packed([True] * 20)}, "Not the same items were asked: 40 and 20 of 40."),
        ({"packed": None}, "The single answers of one of them were not kept."),
        ({"packed": packed(NONE, [*NONE[:-1], True])}, ""),
    ],
)
def test_what_can_not_be_paired_is_refused_with_the_reason(changes: dict[str, Any], words: str) -> None:
    assert refusal(answers(ALL), answers(ALL, **changes)) == words


def test_a_refused_benchmark_is_neither_tested_nor_counted() -> None:
    sides = {
        1: {"fpb": answers(ALL), "fiqa": answers(ALL)},
        2: {"fpb": answers([True] * 30 + [False] * 10), "fiqa": answers(ALL, digest="b" * 64)},
    }
    pairing = pairings(1, [2], sides, BENCHMARKS)[0]
    assert pairing.benchmarks["fiqa"].verdict == "not comparable" and pairing.average.refusal
    assert pairing.benchmarks["fpb"].p_holm == pairing.benchmarks["fpb"].p_value


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_disagreements_are_where_not_all_are_alike(rows: list[tuple[bool, bool, bool]]) -> None:
    columns = [packed(list(column)) for column in zip(*rows, strict=True)]
    assert disagreements(columns) == [i for i, row in enumerate(rows) if len(set(row)) > 1]


@pytest.mark.parametrize(
    ("query", "entries", "problems"),
    [
        ("entries=1,2", (1, 2), 0),
        ("entries=1&entries=2,3", (1, 2, 3), 0),
        ("entries=2+1,,2", (2, 1), 0),
        ("entries=1,2,3,4,5", (1, 2, 3, 4), 1),
        ("entries=x,-1,1", (1,), 2),
        ("", (), 0),
    ],
)
def test_an_address_names_entries_in_any_form(query: str, entries: tuple[int, ...], problems: int) -> None:
    asked = Asked.of(QueryDict(query))
    assert asked.entries == entries and len(asked.problems) == problems


def imported(folder: Path, challenge: str) -> list[int]:
    """Two declared entries of a challenge."""
    rows = [f"{challenge},1,{name} Team,Tiny-7B,1.5,50.00,50.00,50.00,50.00,,01.02.25" for name in "AB"]
    path = folder / "board.csv"
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    call_command("import_board", str(path), stdout=io.StringIO())
    return list(Submission.objects.filter(kind="imported").order_by("pk").values_list("pk", flat=True))


@pytest.mark.django_db
class TestPage:
    def page(self, client: Client, query: str, status: int = 200) -> str:
        response = client.get(f"/compare/?{query}")
        assert response.status_code == status
        return response.content.decode()

    def pair(self, owner: User) -> tuple[int, int]:
        first = answered(owner, [line(i, True) for i in range(40)], method="Good")
        second = answered(owner, [line(i, i >= 30, completion=f"<b>{i}") for i in range(40)], method="Bad")
        return first.pk, second.pk

    def test_a_clear_difference_is_called_one(self, client: Client, owner: User) -> None:
        first, second = self.pair(owner)
        html = self.page(client, f"entries={first},{second}")
        assert "Good against Bad" in html and "better" in html and "+75.00" in html
        assert "Ranks on the board: 1 and 2." in html and "every pair of its entries" in html
        turned = self.page(client, f"entries={second},{first}")
        assert "Bad against Good" in turned and "worse" in turned and "\N{MINUS SIGN}75.00" in turned

    def test_items_they_disagree_on_lead_to_both_answers(self, client: Client, owner: User) -> None:
        first, second = self.pair(owner)
        html = self.page(client, f"entries={first},{second}&benchmark=fpb")
        assert "30 of 40 items" in html
        for entry in (first, second):
            assert f"/entries/{entry}/items/fpb/?item=1#item-1" in html
        assert "&lt;b&gt;0" in html and "<b>0" not in html
        assert "11–20 of 30" in self.page(client, f"entries={first},{second}&benchmark=fpb&page=2")

    def test_other_data_are_refused_with_the_digests(self, client: Client, owner: User) -> None:
        first, _ = self.pair(owner)
        other = factories.published(owner, scores={"data_digest": "c" * 64})
        assert "The data differ: digest sha256:0" in self.page(client, f"entries={first},{other.pk}")

    def test_unknown_entries_are_named(self, client: Client, owner: User) -> None:
        first, _ = self.pair(owner)
        assert "There is no published entry 999." in self.page(client, f"entries={first},999")
        assert "There is no published entry 999." in self.page(client, "entries=999", status=404)

    def test_what_is_not_published_is_unknown(self, client: Client, owner: User) -> None:
        first, second = self.pair(owner)
        waiting = factories.evaluated(owner, method="Secret")
        withdraw(Submission.objects.get(pk=second))
        html = self.page(client, f"entries={first},{second},{waiting.pk}")
        assert "Secret" not in html and "Bad" not in html
        assert f"There is no published entry {waiting.pk}." in html

    def test_more_than_four_are_cut_with_a_word(self, client: Client, owner: User) -> None:
        made = [factories.published(owner, method=f"Number {i}").pk for i in range(MOST + 1)]
        html = self.page(client, f"entries={','.join(map(str, made))}")
        assert "At most 4 entries can be compared" in html
        assert "Number 3</a>" in html and "Number 4</a>" not in html

    def test_entries_of_one_challenge_are_tested_beside_those_of_another(
        self, client: Client, owner: User, tmp_path: Path
    ) -> None:
        first, second = self.pair(owner)
        other = imported(tmp_path, "general-nlp")[0]
        html = self.page(client, f"entries={other},{first},{second}")
        assert "Good against Bad" in html and "Scores in Finance" in html and "Scores in General NLP" in html
        assert f"entries={other},{first},{second}&amp;benchmark=fpb" in html
        items = self.page(client, f"entries={other},{first},{second}&benchmark=fpb")
        assert f'/entries/{first}/items/fpb/?item=1#item-1">Good, entry {first}</a>' in items

    def test_of_several_challenges_costs_are_compared_and_scores_not(
        self, client: Client, owner: User, tmp_path: Path
    ) -> None:
        first, _ = self.pair(owner)
        declared = imported(tmp_path, "general-nlp")[0]
        html = self.page(client, f"entries={first},{declared}")
        assert "different challenges" in html and ">Scores<" not in html and "Paired tests" not in html

    def test_nothing_is_tested_against_declared_scores(self, client: Client, tmp_path: Path) -> None:
        first, second = imported(tmp_path, "finance")
        html = self.page(client, f"entries={first},{second}")
        assert "All scores were declared elsewhere" in html and ">Scores<" in html

    def test_rows_that_differ_are_marked(self, client: Client, owner: User) -> None:
        first, second = self.pair(owner)
        html = self.page(client, f"entries={first},{second}")
        assert "data-differs" not in html
        draft = factories.draft(owner)
        assert draft.files
        config = factories.pyproject("finance", rounds="num-server-rounds = 9")
        other = submit(replace(draft, files=replace(draft.files, config=config)))
        made = factories.publish(factories.evaluate(other))
        assert "data-differs" in self.page(client, f"entries={first},{made.pk}")

    def test_queries_do_not_grow_with_entries(
        self, client: Client, owner: User, django_assert_max_num_queries: Any
    ) -> None:
        made = [str(factories.published(owner, method=f"Number {i}").pk) for i in range(MOST)]
        self.page(client, f"entries={made[0]},{made[1]}")
        with django_assert_max_num_queries(9) as two:
            self.page(client, f"entries={made[0]},{made[1]}")
        with django_assert_max_num_queries(len(two)):
            self.page(client, f"entries={','.join(made)}")


@pytest.mark.django_db
def test_one_entry_alone_is_told_to_need_another(client: Client, owner: User) -> None:
    one, two = (factories.published(owner, method=name) for name in ("one", "two"))
    alone = client.get(f"/compare/?entries={one.pk}").content.decode()
    assert "nothing to be compared with" in alone
    assert (
        "nothing to be compared with"
        not in client.get(f"/compare/?entries={one.pk},{two.pk}").content.decode()
    )
