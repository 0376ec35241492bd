"""The log: what is stated when, that it only grows, and that whatever is changed is found."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from evaluation.statements.bundle import Bundle
from evaluation.statements.envelope import Envelope
from evaluation.statements.fields import decoded, document, encoded
from evaluation.statements.keys import WELL_KNOWN, KeySet
from evaluation.statements.merkle import is_consistent, is_included, leaf_hash, root_of
from evaluation.statements.statement import ACT, EVALUATION, Statement
from evaluation.statements.verification import Held, Outcome, verify
from portal.accounts.models import User
from portal.intake.services import withdraw
from portal.review.models import Decision
from portal.review.services import decide
from portal.runs.models import Score
from portal.submissions.models import Submission
from portal.transparency import checking, keys, reading
from portal.transparency.models import Head, Leaf, SigningKey, TreeNode
from portal.transparency.writing import write_due
from tests.portal import factories

pytestmark = pytest.mark.django_db
YESTERDAY = timezone.now() - timedelta(days=1)


def stated(leaf: Leaf) -> Statement:
    return Statement.read(Envelope.read(document(leaf.body, "leaf")).payload)


def acts() -> list[tuple[int, str]]:
    found = [stated(leaf) for leaf in Leaf.objects.filter(evaluation=None)]
    return [(one.entry, one.predicate["act"]) for one in found]


def disqualify(made: Submission, reviewer: User, reason: str = "Trained on the test items.") -> None:
    decide(submission=made, reviewer=reviewer, action=Decision.Action.DISQUALIFY, reason=reason)


def test_a_published_result_is_stated_once_with_its_publication(owner: User) -> None:
    made = factories.published(owner, correct=70)
    assert write_due() == 2 and write_due() == 0
    result, act = Leaf.objects.all()
    assert (result.index, act.index) == (0, 1)
    statement = stated(result)
    assert statement.predicate_type == EVALUATION and stated(act).predicate_type == ACT
    assert made.checkpoint and statement.adapter == made.checkpoint.sha256
    score = statement.predicate["scores"][0]
    assert (score["benchmark"], score["correct"], score["n"], score["value"]) == ("fpb", 70, 100, 0.7)
    assert score["interval95"][0] < 0.7 < score["interval95"][1]
    assert statement.predicate["average"]["value"] == 0.7
    assert statement.predicate["provenance"] == {"precision": "fp32"}
    assert statement.entry == made.pk and statement.site == "http://127.0.0.1:8000"


def test_nothing_of_a_person_and_no_text_of_anybody_is_in_the_log(owner: User, reviewer: User) -> None:
    made = factories.published(owner, method="Our secret sauce", description="By the owner.")
    disqualify(made, reviewer)
    write_due()
    payloads = "".join(Envelope.read(document(leaf.body, "")).payload.decode() for leaf in Leaf.objects.all())
    for private in (owner.username, "reviewer", made.team.name, "secret sauce", "test items", "By the owner"):
        assert private not in payloads, private


def test_what_becomes_of_an_entry_is_stated_and_a_reason_by_its_digest(owner: User, reviewer: User) -> None:
    first, second = factories.published(owner), factories.published(owner, method="second")
    write_due()
    disqualify(first, reviewer)
    withdraw(second)
    factories.evaluated(owner, method="not public")
    write_due()
    told = [(first.pk, "published"), (second.pk, "published"), (first.pk, "disqualified")]
    assert acts() == [*told, (second.pk, "withdrawn")]
    digest = hashlib.sha256(b"Trained on the test items.").hexdigest()
    assert stated(Leaf.objects.get(index=4)).predicate["reason"] == {"sha256": digest}
    assert Submission.objects.filter(leaves=None).get().method == "not public"


def test_a_new_evaluation_of_a_published_entry_is_stated_too(owner: User) -> None:
    made = factories.published(owner, correct=70)
    write_due()
    factories.evaluate_again(made, correct=71)
    assert write_due() == 1
    leaf = reading.statement_leaf(made.pk)
    assert leaf and stated(leaf).predicate["scores"][0]["correct"] == 71


def test_the_reason_of_a_reinstatement_is_stated_by_its_digest(owner: User, reviewer: User) -> None:
    made = factories.published(owner)
    disqualify(made, reviewer)
    factories.review(made, reviewer, Decision.Action.REINSTATE, reason="The log was found.")
    write_due()
    digests = [
        hashlib.sha256(reason).hexdigest()
        for reason in (b"Trained on the test items.", b"The log was found.")
    ]
    said = [stated(leaf).predicate["reason"] for leaf in Leaf.objects.filter(evaluation=None)]
    assert said == [None, {"sha256": digests[0]}, {"sha256": digests[1]}]
    assert checking.problems() == []


def test_entries_from_other_boards_have_acts_and_no_result(owner: User) -> None:
    made = Submission.objects.create(
        team=owner.memberships.get().team, submitter=owner, challenge="finance", kind="imported",
        method="Declared", base_model=factories.base_model(), import_digest="a" * 64,
        status="published", published_at=timezone.now(),
    )  # fmt: skip
    assert write_due() == 1
    [leaf] = Leaf.objects.all()
    assert stated(leaf).subjects[0].digest == {"sha256": "a" * 64}
    assert reading.statement_leaf(made.pk) is None


def test_invented_entries_are_not_stated_and_can_be_taken_away() -> None:
    call_command("seed", entries=8, stdout=StringIO())
    assert Submission.objects.filter(status="published").exists()
    assert write_due() == 0 and checking.waiting() == 0
    call_command("seed", clear=True, stdout=StringIO())
    assert not Submission.objects.exists()


@pytest.mark.parametrize("model", [Leaf, TreeNode, Head])
def test_the_log_cannot_be_changed_through_the_orm_or_sql(model: Any, owner: User) -> None:
    factories.published(owner)
    write_due()
    with pytest.raises(DatabaseError), transaction.atomic():
        model.objects.all().delete()
    field = {"Leaf": "body", "TreeNode": "hash", "Head": "root"}[model.__name__]
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f'UPDATE {model._meta.db_table} SET "{field}" = "{field}"')  # noqa: S608 -- names


def test_a_leaf_out_of_order_or_with_a_foreign_hash_is_refused(owner: User) -> None:
    made = factories.published(owner)
    write_due()
    for index, body, hashed in [
        (3, "x", leaf_hash(b"x")),
        (1, "x", leaf_hash(b"x")),
        (2, "x", leaf_hash(b"y")),
    ]:
        with pytest.raises((DatabaseError, IntegrityError)), transaction.atomic():
            Leaf.objects.create(index=index, submission=made, event=99, body=body, leaf_hash=hashed)
    with pytest.raises(DatabaseError), transaction.atomic():
        Head.objects.create(size=7, root=b"", envelope={})


def test_the_key_is_sealed_and_a_rotation_leaves_all_valid(owner: User, settings: Any) -> None:
    factories.published(owner)
    write_due()
    first = SigningKey.objects.get()
    assert first.sealed and keys.signer().private.hex() not in first.sealed
    call_command("rotate_signing_key", stdout=StringIO())
    first.refresh_from_db()
    assert first.retired_at and not first.sealed
    factories.published(owner, method="after")
    write_due()
    assert checking.problems() == []
    old = KeySet(settings.SITE_URL, keys.key_set().keys[:1])
    assert len(old.extended_by(keys.key_set()).keys) == 2
    with pytest.raises(DatabaseError), transaction.atomic():
        SigningKey.objects.filter(pk=first.pk).update(retired_at=None)


def test_without_the_secret_that_sealed_it_the_operator_is_told_what_to_do(
    owner: User, settings: Any
) -> None:
    factories.published(owner)
    write_due()
    factories.published(owner, method="after")
    settings.SECRET_KEY = "another"
    with pytest.raises(keys.SealedKeyError, match="rotate_signing_key"):
        write_due()
    out = StringIO()
    call_command("rotate_signing_key", stdout=out)
    assert "No key before it vouches" in out.getvalue()
    assert write_due() and checking.problems() == []


def test_the_api_has_head_leaves_and_proofs_that_hold(client: Client, owner: User) -> None:
    assert client.get("/api/v1/log/").status_code == 404
    for number in range(3):
        factories.published(owner, method=f"{number}")
        write_due()
    head = client.get("/api/v1/log/").json()
    leaves = client.get("/api/v1/log/entries/").json()
    assert head["size"] == leaves["size"] == 6 == len(leaves["results"])
    hashes = [leaf_hash(leaf["body"].encode()) for leaf in leaves["results"]]
    assert [encoded(one) for one in hashes] == [leaf["leaf_hash"] for leaf in leaves["results"]]
    root = decoded(head["root"], "root")
    assert root_of(hashes) == root
    proof = client.get("/api/v1/log/inclusion/?leaf=3").json()
    assert is_included(hashes[3], 3, 6, [decoded(one, "") for one in proof["hashes"]], root)
    way = client.get("/api/v1/log/consistency/?from=4").json()
    assert way["from"] == 4 and way["to"] == 6
    parts = [decoded(one, "") for one in way["hashes"]]
    assert is_consistent(4, 6, parts, root_of(hashes[:4]), root)
    assert client.get("/api/v1/log/inclusion/?leaf=6").status_code == 404
    assert client.get("/api/v1/log/consistency/?from=7").status_code == 404
    assert [
        leaf["index"] for leaf in client.get("/api/v1/log/entries/?start=4&limit=1").json()["results"]
    ] == [4]
    published = KeySet.parse(client.get(WELL_KNOWN).content)
    assert [key.kid for key in published.keys] == [SigningKey.objects.get().kid]


def test_the_result_of_an_entry_that_was_taken_back_is_told_by_its_hash_alone(
    client: Client, owner: User
) -> None:
    made = factories.published(owner)
    write_due()
    assert client.get(f"/api/v1/entries/{made.pk}/statement/").status_code == 200
    withdraw(made)
    write_due()
    leaves = client.get("/api/v1/log/entries/").json()["results"]
    assert [leaf["body"] is None for leaf in leaves] == [True, False, False]
    assert leaves[0]["leaf_hash"] == encoded(bytes(Leaf.objects.get(index=0).leaf_hash))
    assert client.get(f"/api/v1/entries/{made.pk}/statement/").status_code == 404
    assert checking.problems() == []


def test_the_bundle_of_an_entry_is_proved_by_itself_and_by_the_published_keys(
    client: Client, owner: User
) -> None:
    made = factories.published(owner)
    assert client.get(f"/api/v1/entries/{made.pk}/statement/").status_code == 404
    write_due()
    answer = client.get(f"/api/v1/entries/{made.pk}/statement/")
    report = verify(Bundle.parse(answer.content), Held(KeySet.parse(client.get(WELL_KNOWN).content)))
    outcomes = {check.name: check.outcome for check in report.checks}
    assert [outcomes.pop(name) for name in ("signature", "log head", "site", "inclusion")] == [
        Outcome.PROVED
    ] * 4
    assert set(outcomes.values()) == {Outcome.NOT_CHECKED}
    assert client.get(f"/api/v1/entries/{made.pk}/statement/?protocol=2").status_code == 404


def check_log(*arguments: str) -> str:
    out = StringIO()
    call_command("check_log", *arguments, stdout=out)
    return out.getvalue()


def test_an_untouched_log_is_found_to_be_as_it_was_written(
    owner: User, reviewer: User, tmp_path: Path
) -> None:
    assert "no leaves" in check_log()
    first = factories.published(owner)
    write_due()
    kept = tmp_path / "head.json"
    kept.write_text(json.dumps(Head.objects.get().envelope))
    disqualify(first, reviewer)
    assert "1 results and acts are not in it yet" in check_log("--against", str(kept))
    write_due()
    assert "3 leaves" in check_log("--against", str(kept))


class Tampering:
    """What somebody with all rights on the database may do to it, triggers out of the way."""

    def __init__(self, made: Submission) -> None:
        self.made = made

    def sql(self, statement: str, *values: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(statement, values)
            cursor.execute("SET LOCAL session_replication_role = origin")

    def score(self) -> None:
        self.sql("UPDATE runs_score SET correct = correct + 5, value = value + 0.05 WHERE benchmark = 'fpb'")

    def answers(self) -> None:
        self.sql("UPDATE runs_score SET correct_bits = %s WHERE benchmark = 'fpb'", b"\xff")

    def adapter(self) -> None:
        self.sql("UPDATE submissions_checkpoint SET sha256 = %s", "0" * 64)

    def entry_removed_from_view(self) -> None:
        self.sql("UPDATE submissions_submission SET published_at = NULL, status = 'rejected'")

    def reason(self) -> None:
        self.sql("UPDATE review_decision SET reason = 'Another one.' WHERE action = 'disqualify'")

    def leaf_body(self) -> None:
        self.sql("UPDATE transparency_leaf SET body = replace(body, 'payload', 'payl0ad') WHERE index = 1")

    def leaf_body_and_hash(self) -> None:
        leaf = Leaf.objects.get(index=1)
        body = leaf.body.replace("sig", "s1g")
        self.sql(
            "UPDATE transparency_leaf SET body = %s, leaf_hash = %s WHERE index = 1",
            body,
            leaf_hash(body.encode()),
        )

    def leaf_removed(self) -> None:
        self.sql("DELETE FROM transparency_leaf WHERE index = 1")

    def last_leaf_removed(self) -> None:
        self.sql("DELETE FROM transparency_leaf WHERE index = 2")

    def order(self) -> None:
        self.sql("UPDATE transparency_leaf SET index = 100 - index")
        self.sql("UPDATE transparency_leaf SET index = index - 98")

    def head_removed(self) -> None:
        self.sql("DELETE FROM transparency_head WHERE size = 3")

    def head_of_another_root(self) -> None:
        self.sql("UPDATE transparency_head SET root = %s WHERE size = 3", b"\x00" * 32)

    def node(self) -> None:
        self.sql("UPDATE transparency_treenode SET hash = %s", b"\x00" * 32)

    def node_removed(self) -> None:
        self.sql("DELETE FROM transparency_treenode")

    def node_added(self) -> None:
        self.sql("INSERT INTO transparency_treenode (level, index, hash) VALUES (1, 7, %s)", b"\x00" * 32)

    def provenance(self) -> None:
        self.sql('UPDATE runs_evaluation SET provenance = \'{"precision": "bf16"}\'')

    def benchmark_left_out(self) -> None:
        self.sql("DELETE FROM runs_score WHERE benchmark = 'fiqa'")

    def data(self) -> None:
        self.sql("UPDATE runs_score SET official = NOT official")

    def result_of_another_entry(self) -> None:
        self.sql("UPDATE runs_evaluation SET submission_id = submission_id + 1")

    def published_earlier(self) -> None:
        self.sql("UPDATE submissions_submission SET published_at = %s", YESTERDAY)

    def disqualification_forgotten(self) -> None:
        self.sql("DELETE FROM submissions_statusevent WHERE status = 'disqualified'")

    def head_signed_by_nobody(self) -> None:
        self.sql(
            "UPDATE transparency_head SET envelope = jsonb_set(envelope, '{signatures,0,sig}', %s)",
            f'"{encoded(bytes(64))}"',
        )

    def key_ended_before(self) -> None:
        self.sql("UPDATE transparency_signingkey SET sealed = '', retired_at = %s", YESTERDAY)

    def key_replaced(self) -> None:
        self.sql("UPDATE transparency_signingkey SET public = %s", b"\x01" * 32)


TAMPERINGS = [name for name in vars(Tampering) if not name.startswith("_") and name != "sql"]


@pytest.mark.parametrize("how", TAMPERINGS)
def test_whatever_is_changed_in_the_database_is_found(how: str, owner: User, reviewer: User) -> None:
    made = factories.published(owner)
    write_due()
    disqualify(made, reviewer)
    write_due()
    assert checking.problems() == []
    getattr(Tampering(made), how)()
    with pytest.raises(CommandError):
        check_log()


def test_a_log_that_was_written_anew_contradicts_any_head_that_was_kept(owner: User, tmp_path: Path) -> None:
    made = factories.published(owner, correct=70)
    write_due()
    kept = tmp_path / "head.json"
    kept.write_text(json.dumps(Head.objects.get().envelope))
    with pgtrigger.ignore(
        "transparency.Leaf:leaf_append_only",
        "transparency.TreeNode:tree_node_append_only",
        "transparency.Head:head_append_only",
        "runs.Score:score_immutable",
    ):
        Head.objects.all().delete()
        TreeNode.objects.all().delete()
        Leaf.objects.all().delete()
        Score.objects.filter(evaluation__submission=made).update(correct=90, value=0.9)
    write_due()
    assert "as it was written" in check_log()
    with pytest.raises(CommandError, match="does not continue the head"):
        check_log("--against", str(kept))
