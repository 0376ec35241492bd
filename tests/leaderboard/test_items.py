"""The single answers behind a score: found by position, filtered, searched, and given as files."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy
import pyarrow.parquet
import pytest
from django.core.cache import cache
from django.core.files.base import File
from django.test import Client

from evaluation import rules
from leaderboard.reading import items
from leaderboard.reading.items import Verdict
from leaderboard.reading.queries import counting
from portal.accounts.models import User
from portal.intake.services import withdraw
from portal.runs import services as runs
from portal.runs.models import Score
from portal.submissions.models import Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db
HOSTILE = "</code></pre><script>alert(1)</script>\u202e"


def line(position: int, correct: bool | None, **changes: object) -> dict[str, object]:
    return {
        "benchmark": "fpb",
        "id": position,
        "prompt": f'Question {position}: is “{"Ärger" if position % 2 else "joy"}” good?\n"Answer": ',
        "completion": None if correct is None else "positive",
        "prediction": None if correct is None else "positive",
        "target": "positive" if correct else "negative",
        "correct": correct,
    } | changes


def answered(
    owner: User, lines: list[dict[str, object]], *, publish: bool = True, **changes: Any
) -> Submission:
    """An entry that answered `lines` of each of its challenge's benchmarks."""
    made = factories.submission(owner, **changes)
    evaluation = runs.claim(worker="test")
    assert evaluation
    content = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines).encode()
    verdicts = [each["correct"] for each in lines]
    for benchmark in rules.of(made.challenge).benchmarks:
        right, unscored = verdicts.count(True), verdicts.count(None)
        scored = len(verdicts) - unscored
        score = factories.score(
            benchmark,
            right,
            len(verdicts),
            value=right / scored if scored else None,
            unscored=unscored,
            official=not unscored,
            correct_bits=numpy.packbits([verdict is True for verdict in verdicts]).tobytes(),
            scored_bits=numpy.packbits([verdict is not None for verdict in verdicts]).tobytes(),
        )
        runs.record_score(evaluation, score, items=File(io.BytesIO(content)))
    runs.succeed(evaluation, provenance={"precision": "fp32"})
    made.refresh_from_db()
    return factories.publish(made) if publish else made


def fifty() -> list[dict[str, object]]:
    return [line(i, None if i == 7 else i % 3 == 0) for i in range(50)]


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def shown(html: str) -> list[int]:
    """The numbers of the answers on a page."""
    return [int(part.split('"')[0]) for part in html.split('id="item-')[1:] if part.split('"')[0].isdecimal()]


def test_answers_are_paged_and_each_has_its_own_address(client: Client, owner: User) -> None:
    made = answered(owner, fifty())
    path = f"/entries/{made.pk}/items/fpb/"
    assert shown(page(client, path)) == list(range(1, 21))
    assert shown(page(client, f"{path}?page=3")) == list(range(41, 51))
    assert 33 in shown(page(client, f"{path}?item=33"))


def test_filters_show_only_what_they_name(client: Client, owner: User) -> None:
    made = answered(owner, fifty())
    path = f"/entries/{made.pk}/items/fpb/"
    assert shown(page(client, f"{path}?show=unscored")) == [8]
    assert shown(page(client, f"{path}?show=right"))[:3] == [1, 4, 7]
    assert shown(page(client, f"{path}?show=nonsense")) == list(range(1, 21))


@pytest.mark.parametrize(
    ("text", "found"), [("ÄRGER", 25), ('"answer"', 50), ("question 49", 1), ("prompt", 0), ("nowhere", 0)]
)
def test_search_is_over_texts_not_over_the_files_keys(owner: User, text: str, found: int) -> None:
    answered(owner, fifty())
    score = Score.objects.filter(benchmark="fpb").get()
    assert len(items.search(score, text, range(50))) == found


def test_the_whole_file_is_read_once(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    answered(owner, fifty())
    score = Score.objects.filter(benchmark="fpb").get()
    first = items.index_of(score)
    monkeypatch.setattr(items, "_build", lambda _: pytest.fail("read again"))
    assert items.index_of(score) == first
    assert first.counts == {Verdict.RIGHT: 17, Verdict.WRONG: 32, Verdict.UNSCORED: 1}
    assert [item.position for item in items.read(score, first, [30, 2])] == [30, 2]


def test_subjects_are_broken_down(client: Client, owner: User) -> None:
    lines = [line(i, i < 3, group="high_school_physics" if i % 2 else "anatomy") for i in range(8)]
    made = answered(owner, lines)
    index = items.index_of(Score.objects.filter(benchmark="fpb").get())
    assert [(g.group, g.right, g.scored) for g in index.by_group()] == [
        ("anatomy", 2, 4),
        ("high_school_physics", 1, 4),
    ]
    html = page(client, f"/entries/{made.pk}/items/fpb/?subject=high_school_physics")
    assert shown(html) == [2, 4, 6, 8] and "high school physics" in html


def test_what_a_model_wrote_is_text(client: Client, owner: User) -> None:
    made = answered(owner, [line(0, False, prompt=HOSTILE, completion=HOSTILE, target=HOSTILE, id=HOSTILE)])
    html = page(client, f"/entries/{made.pk}/items/fpb/?q=%3Cscript%3E")
    assert shown(html) == [1] and "<script>alert" not in html and "&lt;script&gt;alert" in html


def test_downloads_hold_every_answer(client: Client, owner: User) -> None:
    made = answered(owner, fifty())
    lines = client.get(f"/entries/{made.pk}/items/fpb.jsonl")
    content = b"".join(lines.streaming_content)  # type: ignore[attr-defined]
    assert [json.loads(each) for each in content.splitlines()] == fifty()
    parquet = client.get(f"/entries/{made.pk}/items/fpb.parquet")
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(parquet.streaming_content)))  # type: ignore[attr-defined]
    assert table.num_rows == 50 and table["correct"][7].as_py() is None
    assert table["prompt"][1].as_py() == fifty()[1]["prompt"]


def test_answers_are_read_only_while_the_entry_is_published(client: Client, owner: User) -> None:
    waiting = answered(owner, fifty(), publish=False)
    assert client.get(f"/entries/{waiting.pk}/items/fpb/").status_code == 404
    made = factories.publish(waiting)
    assert client.get(f"/entries/{made.pk}/items/fpb/").status_code == 200
    assert client.get(f"/entries/{made.pk}/items/medqa/").status_code == 404
    withdraw(made)
    for path in ("fpb/", "fpb.jsonl", "fpb.parquet"):
        assert client.get(f"/entries/{made.pk}/items/{path}").status_code == 404, path


def test_crawlers_are_asked_to_leave_the_questions_alone(client: Client, owner: User) -> None:
    made = answered(owner, fifty())
    for path in ("fpb/", "fpb.jsonl", "fpb.parquet"):
        response = client.get(f"/entries/{made.pk}/items/{path}")
        assert response["X-Robots-Tag"] == "noindex, noarchive"
        if response.streaming:
            b"".join(response.streaming_content)  # type: ignore[attr-defined]


def test_answers_that_are_gone_or_damaged_are_named_not_an_error(client: Client, owner: User) -> None:
    made = answered(owner, fifty())
    score = Score.objects.filter(benchmark="fpb").get()
    path = f"/entries/{made.pk}/items/fpb/"
    storage, name = score.items.storage, str(score.items.name)
    with storage.open(name, "wb") as file:
        file.write(b"[1]\n")
    assert "damaged in storage" in page(client, path)
    assert client.get(f"/entries/{made.pk}/items/fpb.parquet").status_code == 404
    storage.delete(name)
    assert "no longer in storage" in page(client, path)
    for form in ("jsonl", "parquet"):
        assert client.get(f"/entries/{made.pk}/items/fpb.{form}").status_code == 404


def test_the_page_costs_two_queries(client: Client, owner: User, django_assert_max_num_queries: Any) -> None:
    made = answered(owner, fifty())
    client.get(f"/entries/{made.pk}/items/fpb/")
    with django_assert_max_num_queries(2):
        client.get(f"/entries/{made.pk}/items/fpb/?show=wrong&q=question")


def test_answers_are_those_of_the_evaluation_that_counts(client: Client, owner: User) -> None:
    made = answered(owner, fifty())
    factories.evaluate_again(made, correct=60)
    [counts] = counting([made.pk])
    assert counts.pk == max(made.evaluations.values_list("pk", flat=True))
    assert set(items.public_scores([made.pk])) == set(counts.scores.all())
    assert "60 of 100 right" in client.get(f"/entries/{made.pk}/items/fpb/").content.decode()
    withdraw(made)
    assert not items.public_scores([made.pk])
