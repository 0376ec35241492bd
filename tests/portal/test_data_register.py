"""The site's register of digests: one for all workers, kept while scores rest on it, read by everybody."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.core.files.base import File
from django.db import ProgrammingError, transaction
from django.test import Client

from evaluation.benchmarks import BENCHMARKS
from evaluation.data import OtherRowsError, RegisterFile
from evaluation.errors import DataError
from evaluation.rules.challenges import CHALLENGES
from evaluation.wire.registration import Registration
from portal.accounts.models import User
from portal.runs import services
from portal.runs.data_register import SiteRegister, line
from portal.runs.models import DataRegistration
from tests.portal import baselines, factories

pytestmark = pytest.mark.django_db

FIQA = BENCHMARKS["fiqa"]


def registration(digest: str = "a" * 64, **changes: Any) -> Registration:
    values = {
        "name": "fiqa",
        "dataset": FIQA.hub.dataset,
        "commit": "c" * 40,
        "rows": 304,
        "digest": digest,
        "by": "ada",
        "at": "2026-11-28T10:00:00+00:00",
        **changes,
    }
    return Registration(**values)


def test_the_first_rows_are_registered_and_others_refused_by_name() -> None:
    register = SiteRegister()
    assert register.of("fiqa") is None
    assert register.record(registration()) == register.of("fiqa") == registration()
    assert register.record(registration(by="bob")) == registration()
    with pytest.raises(
        OtherRowsError, match=r"rows of fiqa .*adopted by ada.* staff delete its registration"
    ):
        register.record(registration("b" * 64))
    assert register.known(["fpb", "fiqa", "careqa"]) == (registration(),)


def test_what_this_machine_adopted_is_taken_over_unless_the_site_has_it(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALUATION_REGISTER", str(tmp_path / "register.json"))
    RegisterFile().record(registration())
    assert SiteRegister().of("fiqa") == registration()
    DataRegistration.objects.all().delete()
    SiteRegister().record(registration("b" * 64))
    assert SiteRegister().of("fiqa") == registration("b" * 64)


def test_a_score_on_other_rows_cannot_call_itself_official(owner: User) -> None:
    SiteRegister().record(registration())
    factories.submission(owner)
    evaluation = services.claim(worker="gpu-7")
    assert evaluation
    other = factories.score("fiqa", data_digest="b" * 64)
    with pytest.raises(
        DataError, match=r"gpu-7 evaluated fiqa on other rows .* aaaaaaaaaaaa .* bbbbbbbbbbbb"
    ):
        services.record_score(evaluation, other, items=File(BytesIO(b"{}\n")))
    assert not evaluation.scores.exists()
    services.record_score(
        evaluation, factories.score("fiqa", data_digest="a" * 64), items=File(BytesIO(b"{}\n"))
    )


def test_a_registration_never_changes_and_stays_while_an_official_score_has_it(
    owner: User, reviewer: User, client: Client
) -> None:
    SiteRegister().record(registration())
    row = DataRegistration.objects.get()
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        DataRegistration.objects.update(digest="b" * 64)
    client.force_login(reviewer)
    address = f"/admin/runs/dataregistration/{row.pk}/delete/"
    assert client.get(address).status_code == 200
    factories.evaluated(owner, scores={"data_digest": row.digest})
    assert client.get(address).status_code == 403
    with pytest.raises(ProgrammingError, match="Official scores rest on these rows"), transaction.atomic():
        row.delete()


def test_a_benchmark_page_says_which_rows_are_official_and_since_when(client: Client) -> None:
    def page(slug: str) -> str:
        return client.get(f"/benchmarks/{slug}/").content.decode()

    assert "none recorded yet, so no result is official" in page("fiqa")
    SiteRegister().record(registration(by=""))
    assert "a" * 64 in page("fiqa") and "at first sight on" in page("fiqa") and "2026-11-28" in page("fiqa")
    known = page("tfns")
    assert str(BENCHMARKS["tfns"].digest) in known and "Registered" not in known


def test_everybody_can_compare_the_register_with_another_sites(client: Client) -> None:
    SiteRegister().record(registration())
    name = CHALLENGES["medical"].training_set.hub_id
    SiteRegister().record(registration("d" * 64, name=name, dataset=name, rows=33_955))
    lines = {row["name"]: row for row in client.get("/api/v1/data-register/").json()["results"]}
    assert list(lines)[: len(BENCHMARKS)] == list(BENCHMARKS)
    assert lines["fiqa"] == {
        "name": "fiqa",
        "holds": "benchmark",
        "dataset": FIQA.hub.dataset,
        "basis": "register",
        "commit": "c" * 40,
        "rows": 304,
        "digest": "a" * 64,
        "adopted_by": "ada",
        "registered_at": "2026-11-28T10:00:00Z",
    }
    assert (lines["fpb"]["basis"], lines["fpb"]["digest"]) == ("project", BENCHMARKS["fpb"].digest)
    assert (lines["careqa"]["basis"], lines["careqa"]["digest"]) == (None, None)
    assert (lines[name]["holds"], lines[name]["rows"]) == ("training set", 33_955)
    assert line(FIQA).commit == "c" * 40


def test_a_run_on_the_training_set_says_so_and_what_it_read(
    client: Client, reviewer: User, settings: Any
) -> None:
    settings.TRAINING_DATA = "hub"
    name = CHALLENGES["finance"].training_set.hub_id
    waiting = baselines.run(reviewer)
    assert waiting.config["train_data"] == name
    assert name in client.get(waiting.get_absolute_url()).content.decode()
    baselines.with_rounds(waiting, 0)
    html = client.get(waiting.get_absolute_url()).content.decode()
    assert "finance.jsonl, 100 rows, SHA-256 d1" in html
