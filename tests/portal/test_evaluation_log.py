"""The log of an evaluation: what its team reads of it, within bounds, without what is the machine's own."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.core.files.base import File
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from evaluation.errors import Fault
from portal.accounts.models import User
from portal.intake import services
from portal.outages.causes import Failure
from portal.runs import logs
from portal.runs import services as runs
from portal.runs.logs import FULL, Level, Line
from portal.runs.models import Evaluation, LogLine
from portal.runs.models.log import MOST_LINES
from tests.portal import factories

pytestmark = pytest.mark.django_db

WORKER = "gpu-box.internal:4711"


def texts(evaluation: Evaluation) -> list[str]:
    return list(LogLine.objects.filter(evaluation=evaluation).values_list("text", flat=True))


def evaluation(owner: User) -> Evaluation:
    factories.submission(owner)
    claimed = runs.claim(worker=WORKER)
    assert claimed
    return claimed


def test_it_tells_claims_retries_outages_scores_and_the_end(owner: User) -> None:
    first = evaluation(owner)
    runs.fail_attempt(first, Failure("engine_crash", "CUDA error on gpu-box.internal", Fault.CRASH))
    again = runs.claim(worker=WORKER)
    assert again
    runs.give_back(again)
    third = runs.claim(worker=WORKER)
    assert third
    name = logs.public_name(WORKER)
    runs.record_score(third, factories.score("fpb", 70), items=File(BytesIO(b"{}\n")))
    services.withdraw(third.submission)
    assert texts(first) == [
        "An evaluation in full under protocol 1 is queued.",
        f"{name.capitalize()} begins.",
        f"Broke off and is tried again: CUDA error on {name}",
        f"{name.capitalize()} begins (attempt 2).",
        "Back to the queue: the worker is being stopped.",
        f"{name.capitalize()} begins (attempt 2).",
        "FPB: 70 of 100 right, in 1 s",
        "Cancelled.",
    ]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (
            "no room in /var/lib/site/runs/1/adapter.safetensors: it is full",
            "no room in …/adapter.safetensors: it is full",
        ),
        ("see https://example.org/a/b, 12/20 items", "see https://example.org/a/b, 12/20 items"),
        ("token hf_abcdefghijkl and Bearer xyz", "token … and …"),
        ("redis://user:secret@host/0 is away", "redis://…host/0 is away"),
        ("two\nlines\0 here", "two lines here"),
        ("\x1b[2Jred \u202ehalf \ud83d", "[2Jred half"),
        ("path:/srv/a/b and file:///srv/a/c", "path:…/b and file://…/c"),
        (
            "403 for url 'https://cdn.example.org/x?Signature=abc&Expires=1'",
            "403 for url 'https://cdn.example.org/x?…'",
        ),
    ],
)
def test_nothing_of_the_machine_and_no_secret_stands_in_it(said: str, read: str) -> None:
    assert logs.public(said, WORKER) == read


def test_a_worker_has_a_name_of_its_own_that_is_not_its_machines() -> None:
    name = logs.public_name(
        WORKER
    )  # another one in each process of the tests: it is made with the site's key
    assert logs.public(f"{WORKER} on gpu-box.internal", WORKER) == f"{name} on {name}"


def test_it_ends_after_so_many_lines_or_characters_and_says_so(owner: User) -> None:
    many, long = evaluation(owner), evaluation(owner)
    logs.add(many, *(Line(f"line {number}") for number in range(MOST_LINES)))
    logs.add(many, Line("one more"))
    assert len(texts(many)) == MOST_LINES and texts(many)[-1] == FULL
    for _ in range(3):
        logs.add(long, *(Line("x" * 1000) for _ in range(100)))
    assert len(texts(long)) < 230 and texts(long)[-1] == FULL
    assert sum(map(len, texts(long))) <= logs.MOST_CHARACTERS


def test_the_database_bounds_it_too_and_lets_no_line_change(owner: User) -> None:
    claimed = evaluation(owner)
    with pytest.raises(IntegrityError, match="within_bounds"), transaction.atomic():
        LogLine.objects.create(evaluation=claimed, number=MOST_LINES + 1, text="one more")
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        LogLine.objects.filter(evaluation=claimed).update(text="nothing happened")


def test_its_team_and_staff_read_it_and_nobody_else(owner: User, client: Client) -> None:
    made = factories.published(owner)
    shown = [
        reverse("submissions:log", args=[made.pk]),
        reverse("submissions:log-live", args=[made.pk]),
        reverse("api-log", args=[factories.evaluation_of(made).pk]),
    ]
    client.force_login(factories.user("stranger"))
    assert [client.get(address).status_code for address in shown] == [404, 404, 404]
    client.logout()
    assert [client.get(address).status_code for address in shown] == [302, 302, 401]
    for reader in (owner, User.objects.get(username="reviewer")):
        client.force_login(reader)
        for address in shown:
            assert "All benchmarks are scored." in client.get(address).content.decode()


def test_the_api_gives_what_came_after_a_line(owner: User, client: Client) -> None:
    claimed = evaluation(owner)
    logs.add(claimed, Line("Memory ran out.", Level.WARNING))
    client.force_login(owner)
    address = reverse("api-log", args=[claimed.pk])
    whole = client.get(address).json()
    assert (whole["status"], [line["number"] for line in whole["lines"]]) == ("running", [1, 2, 3])
    (last,) = client.get(address, {"after": 2}).json()["lines"]
    assert (last["level"], last["text"]) == ("warning", "Memory ran out.")
    assert client.get(address, {"after": "x"}).status_code == 400


def test_a_submissions_page_shows_the_newest_lines(owner: User, client: Client) -> None:
    claimed = evaluation(owner)
    logs.add(claimed, *(Line(f"happening {number}") for number in range(20)))
    client.force_login(owner)
    page = client.get(claimed.submission.get_absolute_url()).content.decode()
    assert "happening 19" in page and "happening 12" in page and "happening 11" not in page
    assert "worker " in texts(claimed)[1].lower() and "gpu-box" not in page
