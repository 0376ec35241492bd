"""A public board's rows as declared entries: marked, flagged, and never ranked."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from leaderboard.reading import snapshots
from portal.accounts.models import Membership, Team, User
from portal.submissions.models import BaseModel, DeclaredScore, Finding, Resource, Submission
from tests.portal import factories

pytestmark = pytest.mark.django_db

HEADER = "challenge,rank,team,base_model,communication_gb,average,score_1,score_2,score_3,score_4,date"
SOUND = "finance,1,A Team,Tiny-7B,1.5,50.00,50.00,50.00,50.00,,01.02.25"
IMPOSSIBLE = "finance,2,B Team,Tiny-7B,1.5,49.99,49.99,50.00,50.00,,01.02.25"


@pytest.fixture
def board(tmp_path: Path) -> Any:
    def write(*lines: str, header: str = HEADER) -> Path:
        path = tmp_path / "board.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


def import_board(path: Path, *options: str) -> str:
    output = io.StringIO()
    call_command("import_board", str(path), *options, stdout=output)
    return output.getvalue()


def nothing_is_imported() -> bool:
    return not any(m.objects.exists() for m in (Submission, BaseModel, Team, User, DeclaredScore, Resource))


def test_the_flags_name_the_rows_that_the_boards_readme_lists_and_no_other(shared: Path) -> None:
    output = import_board(shared / "board" / "public_board.csv")
    assert "35 entries added" in output
    flagged = set(
        Finding.objects.filter(code="declared.impossible_score").values_list(
            "submission__challenge", "submission__team__name", "submission__method", "location"
        )
    )
    zju, mhealth = "ZJUDAI", "mHealth Lab"
    assert flagged == {
        ("medical", mhealth, "Bio-Medical-Llama-3-8B", "medqa"),
        ("medical", zju, "Llama-3.1-8B-Instruct", "pubmedqa"),
        ("medical", zju, "Qwen2.5-7B-Instruct", "pubmedqa"),
        ("medical", zju, "Qwen2.5-7B-Instruct", "medqa"),
        ("medical", zju, "Qwen2.5-7B-Instruct", "careqa"),
        ("medical", zju, "Mistral-7B-Instruct-v0.3", "medqa"),
        ("medical", mhealth, "JSL-MedLlama-3-8B-v2.0", "medmcqa"),
        ("medical", mhealth, "JSL-MedLlama-3-8B-v2.0", "medqa"),
        ("medical", mhealth, "JSL-MedLlama-3-8B-v2.0", "careqa"),
    }
    assert set(Finding.objects.values_list("code", flat=True)) == {
        "declared.impossible_score",
        "import.no_date",
    }
    exchanged = Finding.objects.get(message__contains="exchanged")
    assert exchanged.submission.method == "Bio-Medical-Llama-3-8B" and "MedMCQA" in exchanged.message
    assert Finding.objects.filter(message__contains="one decimal").count() == 4


def test_a_second_import_changes_nothing(shared: Path) -> None:
    path = shared / "board" / "public_board.csv"
    import_board(path)
    before = list(Submission.objects.values())
    assert "0 entries added, 35 were there already" in import_board(path)
    assert list(Submission.objects.values()) == before


def test_a_row_becomes_an_entry_without_checkpoint_and_members(board: Any) -> None:
    import_board(board(SOUND))
    entry = Submission.objects.get()
    assert (entry.kind, entry.status, entry.checkpoint) == ("imported", "published", None)
    assert entry.team.name == "A Team" and not entry.team.memberships.exists()
    assert not entry.submitter.is_active and not entry.submitter.has_usable_password()
    assert str(entry.source_date) == "2025-02-01"
    assert entry.published_at == pytest.approx(entry.created_at, abs=timedelta(seconds=10))
    assert [str(score.percent) for score in entry.declared_scores.all()] == ["50.00"] * 3
    resource = entry.resources.get()
    assert (resource.kind, resource.basis, resource.value) == ("communication", "declared", 1.5 * 1024**3)
    assert not entry.base_model.active and entry.base_model.parameters is None


def test_a_row_without_a_date_gets_none(client: Client, board: Any) -> None:
    import_board(board(SOUND.replace("01.02.25", "")))
    entry = Submission.objects.get()
    assert entry.source_date is None
    assert "none given" in client.get(f"/entries/{entry.pk}/").content.decode()
    address = "/api/v1/leaderboards/finance/?show=declared"
    assert client.get(address).json()["results"][0]["source_date"] is None
    assert client.get(f"{address}&until=2099-01-01").json()["results"] == []


def test_a_board_of_the_past_has_an_entry_from_its_import_on_whatever_date_its_source_gives(
    client: Client, board: Any
) -> None:
    import_board(board(SOUND))
    address = "/api/v1/leaderboards/finance/?show=declared"
    assert [r["source_date"] for r in client.get(address).json()["results"]] == ["2025-02-01"]
    assert len(client.get(f"{address}&since=2025-02-01&until=2025-02-01").json()["results"]) == 1
    assert client.get(f"{address}&as_of=2025-02-02").json()["results"] == []


def test_a_listed_base_model_is_recognised_by_its_name(board: Any) -> None:
    listed = factories.base_model("Example/Tiny-7b")
    import_board(board(SOUND))
    assert Submission.objects.get().base_model == listed


def test_a_base_model_that_was_listed_after_the_import_is_recognised_too(client: Client, board: Any) -> None:
    import_board(board(SOUND))
    listed = factories.base_model("Example/Tiny-7b")
    found = snapshots.renew("finance").standings[0].entry
    assert (found.base_model_id, found.hub_id) == (listed.pk, listed.hub_id)
    assert f"/base-models/{listed.pk}/" in client.get(f"/entries/{found.id}/").content.decode()
    assert ">Tiny-7B<" not in client.get("/base-models/").content.decode()


def test_nobody_gets_hold_of_what_others_declared(board: Any, owner: User) -> None:
    mine = Team.objects.create(name="a team")
    Membership.objects.create(team=mine, user=owner)
    import_board(board(SOUND))
    entry = Submission.objects.get()
    assert entry.team.name == "A Team (public board)"
    assert entry not in Submission.objects.of_member(owner)


def test_an_account_of_that_name_stops_the_import(board: Any) -> None:
    factories.user("board-import")
    with pytest.raises(CommandError, match="somebody's account"):
        import_board(board(SOUND))
    assert not Submission.objects.exists()


def test_a_dry_run_adds_nothing_and_says_what_it_would(board: Any) -> None:
    output = import_board(board(SOUND, IMPOSSIBLE), "--dry-run")
    assert "line 3" in output and "49.99% on FPB" in output and "2 entries would be added" in output
    assert nothing_is_imported()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (SOUND.replace("finance", "poetry"), "line 3: there is no challenge “poetry”"),
        (SOUND.replace("50.00,,", "fifty,,"), "line 3: score_3 “fifty” is no percentage"),
        (SOUND.replace("50.00,,", "50.123,,"), "line 3: score_3 “50.123” is no percentage"),
        (SOUND.replace("50.00,,", "101,,"), "line 3: score_3 “101” is no percentage"),
        (SOUND.replace("50.00,,", "NaN,,"), "line 3: score_3 “NaN” is no percentage"),
        (SOUND.replace("50.00,,", ",,"), "line 3: score_3 “” is no percentage"),
        (SOUND.replace("50.00,,", "50.00,1,"), "line 3: score_4 is given for a challenge of 3"),
        (SOUND.replace("1.5", "-1"), "line 3: communication_gb “-1” is no amount"),
        (SOUND.replace("1.5", "inf"), "line 3: communication_gb “inf” is no amount"),
        (SOUND.replace("01.02.25", "2025-02-01"), "line 3: date “2025-02-01” is not"),
        (SOUND.replace("A Team", ""), "line 3: team has to be a name"),
        (SOUND.replace("A Team", "A\u202eTeam"), "line 3: team has to be a name"),
        (SOUND + ",more", "line 3: it has another number of columns"),
        ("finance,1", "line 3: it has another number of columns"),
        (IMPOSSIBLE, "line 3: the same as line 2"),
    ],
)
def test_a_faulty_line_is_named_and_nothing_is_imported(board: Any, line: str, problem: str) -> None:
    with pytest.raises(CommandError) as error:
        import_board(board(IMPOSSIBLE, line))
    assert problem in str(error.value)
    assert nothing_is_imported()


def test_a_file_that_is_no_board_is_refused(board: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="columns score_1, score_2"):
        import_board(board(header="challenge,team,base_model,communication_gb,date"))
    with pytest.raises(CommandError, match="cannot be read"):
        import_board(tmp_path / "nothing.csv")
    (tmp_path / "latin.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="not UTF-8"):
        import_board(tmp_path / "latin.csv")


# On the boards


def test_declared_entries_stand_apart_unranked_and_marked(client: Client, board: Any, owner: User) -> None:
    factories.published(owner, method="Evaluated", correct=10)
    import_board(board(SOUND, IMPOSSIBLE))
    response = client.get("/leaderboard/finance/")
    html = response.content.decode()
    assert "Declared, not evaluated here" in html and 'data-trust="declared"' in html
    assert ">49.99</mark>" in html
    assert "is no score over its 1,212 items" in html
    results = client.get("/api/v1/leaderboards/finance/").json()["results"]
    assert [result["method"] for result in results] == ["Evaluated"]
    assert "A Team" not in client.get("/").content.decode()


def test_a_declared_entrys_page_says_what_it_is(client: Client, board: Any) -> None:
    import_board(board(IMPOSSIBLE))
    entry = Submission.objects.get()
    html = client.get(f"/entries/{entry.pk}/").content.decode()
    assert "No checkpoint was evaluated here" in html and "49.99" in html and "is no score over" in html


def test_the_number_of_queries_does_not_grow(
    client: Client, shared: Path, board: Any, django_assert_max_num_queries: Any
) -> None:
    import_board(board(SOUND.replace("finance", "medical").replace(",,", ",50.00,")))
    client.get("/leaderboard/medical/")  # the first board is built otherwise than those that follow
    import_board(board(SOUND.replace("finance", "medical").replace(",,", ",51.00,")))
    with django_assert_max_num_queries(40) as few:
        client.get("/leaderboard/medical/")
    import_board(shared / "board" / "public_board.csv")
    with django_assert_max_num_queries(len(few)):
        client.get("/leaderboard/medical/")


def test_a_reviewer_may_disqualify_a_declared_entry(client: Client, board: Any, reviewer: User) -> None:
    from portal.review.models import Decision

    import_board(board(SOUND))
    entry = Submission.objects.get()
    factories.review(entry, reviewer, Decision.Action.DISQUALIFY, reason="made up")
    assert "A Team" not in client.get("/leaderboard/finance/").content.decode()
    assert "made up" in client.get(f"/entries/{entry.pk}/").content.decode()
