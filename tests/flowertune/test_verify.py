"""`verify`: a statement is checked without network, says what that proves, and no forgery passes."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evaluation.statements import ed25519, merkle
from evaluation.statements.answers import answers_digest
from evaluation.statements.bundle import Bundle, Consistency
from evaluation.statements.canonical_json import canonical
from evaluation.statements.envelope import Envelope
from evaluation.statements.keys import KeySet, PublicKey
from evaluation.statements.merkle import Frontier, Node
from evaluation.statements.statement import (
    ADAPTER,
    PAYLOAD_TYPE,
    StatedEvaluation,
    StatedScore,
    Statement,
    Subject,
)
from evaluation.statements.tree_head import HEAD_TYPE, TreeHead
from evaluation.statements.verification import EarlierHead, Held, verify
from flowertune.exit_status import Status
from flowertune.site import MOST_BYTES
from tests.flowertune.conftest import Ended, Run

LOG = "https://board.example.org"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
WEIGHTS = b"the adapter's weights"
ANSWERS = {"fpb": answers_digest(b"\xf0", b"\xa0"), "fiqa": answers_digest(b"\xf0", b"\xc0")}


@dataclass(frozen=True)
class Key:
    private: bytes
    public: PublicKey

    @classmethod
    def new(cls, start: datetime = NOW - timedelta(days=30)) -> Key:
        private = ed25519.new_private_key()
        return cls(private, PublicKey(ed25519.public_key_of(private), start))

    def sign(self, kind: str, payload: bytes) -> Envelope:
        return Envelope.sign(kind, payload, keyid=self.public.kid, private=self.private)


class Log:
    """A site's log: the statement of an entry, among leaves of no interest."""

    def __init__(self, key: Key, before: int = 3, after: int = 2) -> None:
        self.key = key
        self.statement = key.sign(PAYLOAD_TYPE, stated().to_bytes())
        leaves = [b"%d" % number for number in range(before + after)]
        leaves.insert(before, self.statement.to_bytes())
        self.leaf, self.hashes = before, [merkle.leaf_hash(leaf) for leaf in leaves]

    def read(self, nodes: Sequence[Node]) -> Mapping[Node, bytes]:
        return {
            (level, index): merkle.root_of(self.hashes[index << level : (index + 1) << level])
            for level, index in nodes
        }

    def head(self, size: int | None = None, time: datetime = NOW, key: Key | None = None) -> Envelope:
        size = len(self.hashes) if size is None else size
        head = TreeHead(LOG, size, Frontier.of(size, self.read).root, time)
        return (key or self.key).sign(HEAD_TYPE, head.to_bytes())

    def bundle(self, size: int | None = None, **head: Any) -> Bundle:
        size = len(self.hashes) if size is None else size
        proof = merkle.inclusion_proof(self.leaf, size, self.read)
        keys = KeySet(LOG, (self.key.public,))
        return Bundle(self.statement, self.leaf, tuple(proof), self.head(size, **head), keys)


def stated() -> Statement:
    scores = [
        StatedScore(name, 4, 0, 2, 0.5, "official", "sha256:0", 4, True, (), digest)
        for name, digest in ANSWERS.items()
    ]
    evaluation = StatedEvaluation(
        site=LOG, entry=12, kind="community", challenge="finance", evaluation=7, protocol=1,
        base_model="organisation/model", base_revision="c0ffee", adapter={}, scores=scores,
        provenance={"engine": {"name": "transformers"}}, started_at=NOW - timedelta(hours=2),
        finished_at=NOW - timedelta(hours=1), published_at=NOW, stated_at=NOW,
    )  # fmt: skip
    return evaluation.statement([Subject(ADAPTER, {"sha256": hashlib.sha256(WEIGHTS).hexdigest()})])


@pytest.fixture
def key() -> Key:
    return Key.new()


@pytest.fixture
def log(key: Key) -> Log:
    return Log(key)


@pytest.fixture
def check(run: Run, key: Key, tmp_path: Path) -> Callable[..., Ended]:
    """Verify a bundle's file against the site's keys, had by a way of their own."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(KeySet(LOG, (key.public,)).to_json()))

    def checked(bundle: Bundle | dict[str, Any], *options: str, pinned: bool = True) -> Ended:
        file = tmp_path / "statement.json"
        file.write_text(json.dumps(bundle.to_json() if isinstance(bundle, Bundle) else bundle))
        return run("verify", str(file), *(["--keys", str(keys)] if pinned else []), *options)

    return checked


def outcomes(ended: Ended) -> dict[str, str]:
    return {one["name"]: one["outcome"] for one in ended.document["checks"]}


def test_a_statement_is_proved_with_the_adapter_and_the_answers(
    check: Callable[..., Ended], log: Log, tmp_path: Path
) -> None:
    (tmp_path / ADAPTER).write_bytes(WEIGHTS)
    answers = tmp_path / "evaluation-7-fpb.jsonl"
    answers.write_text("".join(f'{{"correct": {right}}}\n' for right in ("true", "false", "true", "false")))
    ended = check(log.bundle(), "--adapter", str(tmp_path), "--answers", str(answers), "--json")
    assert ended.status == Status.DONE and ended.document["proved"]
    assert outcomes(ended) == {
        "signature": "proved", "log head": "proved", "site": "proved", "inclusion": "proved",
        "consistency": "not checked", "adapter": "proved", "answers": "proved",
    }  # fmt: skip
    told = check(log.bundle())
    for words in ("finance, protocol 1", "fpb", "50.00", "This proves", "does not prove", "not checked"):
        assert words in told.out, words


def test_keys_that_come_with_a_file_prove_nothing(check: Callable[..., Ended], log: Log) -> None:
    ended = check(log.bundle(), pinned=False)
    assert ended.status == Status.USAGE
    assert "NOT PROVED" in ended.out and "That key came along with it" in ended.out
    assert "/.well-known/flowertune-log.json" in ended.out


def test_another_adapter_or_other_answers_are_told(
    check: Callable[..., Ended], log: Log, tmp_path: Path
) -> None:
    (tmp_path / ADAPTER).write_bytes(b"others")
    ended = check(log.bundle(), "--adapter", str(tmp_path), "--json")
    assert ended.status == Status.REFUSED and outcomes(ended)["adapter"] == "failed"
    answers = tmp_path / "a.jsonl"
    answers.write_text('{"correct": true}\n' * 4)
    ended = check(log.bundle(), "--answers", str(answers), "--json")
    assert ended.status == Status.REFUSED and outcomes(ended)["answers"] == "failed"


def test_a_log_that_went_on_is_consistent_and_one_that_was_rewritten_is_not(
    check: Callable[..., Ended], key: Key, log: Log
) -> None:
    assert check(log.bundle()).status == Status.DONE  # keeps the head
    again = check(log.bundle(), "--json")
    assert outcomes(again)["consistency"] == "proved"
    other = Log(key, before=2, after=3)
    rewritten = check(other.bundle(), "--json")
    assert rewritten.status == Status.REFUSED and outcomes(rewritten)["consistency"] == "failed"
    longer = check(Log(key, after=9).bundle(), "--json")
    assert longer.status == Status.DONE and outcomes(longer)["consistency"] == "not checked"


def restated(bundle: Bundle, change: Callable[[dict[str, Any]], object], **fields: Any) -> Bundle:
    """The statement with another content under the old signature."""
    row = json.loads(bundle.statement.payload)
    change(row)
    return replace(bundle, statement=replace(bundle.statement, payload=canonical(row), **fields))


def raise_score(row: dict[str, Any]) -> None:
    row["predicate"]["scores"][0] |= {"correct": 4, "value": 1}


def swap_answers(row: dict[str, Any]) -> None:
    first, second = row["predicate"]["scores"]
    first["answers"], second["answers"] = second["answers"], first["answers"]


def replace_subject(row: dict[str, Any]) -> None:
    row["subject"][0]["digest"]["sha256"] = "0" * 64


def change_base(row: dict[str, Any]) -> None:
    row["predicate"]["baseModel"]["revision"] = "decade"


def sign_by_another(log: Log) -> Bundle:
    """All of it made anew, by somebody with a key of his own that he ships along."""
    return Log(Key.new()).bundle()


def sign_under_the_known_id(log: Log) -> Bundle:
    stranger = Key.new()
    forged = Envelope.sign(
        PAYLOAD_TYPE, stated().to_bytes(), keyid=log.key.public.kid, private=stranger.private
    )
    return replace(log.bundle(), statement=forged)


def sign_before_the_keys_time(log: Log) -> Bundle:
    return log.bundle(time=log.key.public.valid_from - timedelta(days=1))


def change_payload_type(log: Log) -> Bundle:
    """The signed head of the log, passed off as a statement."""
    head = log.head()
    return replace(log.bundle(), statement=replace(head, payload_type=PAYLOAD_TYPE))


def claim_another_leaf(log: Log) -> Bundle:
    return replace(log.bundle(), leaf=log.leaf + 1)


def forge_proof(log: Log) -> Bundle:
    bundle = log.bundle()
    return replace(bundle, inclusion=(b"\x00" * 32, *bundle.inclusion[1:]))


def drop_from_log(log: Log) -> Bundle:
    """A head of the log as if the statement had never been in it."""
    bundle = log.bundle()
    del log.hashes[log.leaf]
    return replace(bundle, head=log.head())


def change_order(log: Log) -> Bundle:
    bundle = log.bundle()
    log.hashes.reverse()
    return replace(bundle, head=log.head())


def change_head(log: Log) -> Bundle:
    bundle = log.bundle()
    row = json.loads(bundle.head.payload) | {"size": 999}
    return replace(bundle, head=replace(bundle.head, payload=canonical(row)))


def add_a_signature(log: Log) -> Bundle:
    other = Key.new().sign(PAYLOAD_TYPE, log.statement.payload)
    both = (*log.statement.signatures, *other.signatures)
    return replace(log.bundle(), statement=replace(log.statement, signatures=both))


def exchange_signatures(log: Log) -> Bundle:
    bundle = log.bundle()
    return replace(
        bundle,
        statement=replace(bundle.statement, signatures=bundle.head.signatures),
        head=replace(bundle.head, signatures=bundle.statement.signatures),
    )


def head_of_a_look_alike(log: Log) -> Bundle:
    """Signed by the site's own key, of a log by a name that looks like it."""
    bundle = log.bundle()
    row = json.loads(bundle.head.payload) | {"log": "https://b\N{CYRILLIC SMALL LETTER O}ard.example.org"}
    return replace(bundle, head=log.key.sign(HEAD_TYPE, canonical(row)))


def statement_of_a_look_alike(log: Log) -> Bundle:
    row = json.loads(stated().to_bytes())
    row["predicate"]["site"] = f"{LOG}."
    log.statement = log.key.sign(PAYLOAD_TYPE, canonical(row))
    log.hashes[log.leaf] = merkle.leaf_hash(log.statement.to_bytes())
    return log.bundle()


def stated_before_the_keys_time(log: Log) -> Bundle:
    row = json.loads(stated().to_bytes())
    row["predicate"]["statedAt"] = "2020-01-01T00:00:00Z"
    log.statement = log.key.sign(PAYLOAD_TYPE, canonical(row))
    log.hashes[log.leaf] = merkle.leaf_hash(log.statement.to_bytes())
    return log.bundle()


def longer_proof(log: Log) -> Bundle:
    bundle = log.bundle()
    return replace(bundle, inclusion=(*bundle.inclusion, b"\x00" * 32))


FORGERIES: dict[str, Callable[[Log], Bundle]] = {
    "a score is raised": lambda log: restated(log.bundle(), raise_score),
    "answers are swapped": lambda log: restated(log.bundle(), swap_answers),
    "the adapter is another": lambda log: restated(log.bundle(), replace_subject),
    "the base model is another": lambda log: restated(log.bundle(), change_base),
    "signed by another key": sign_by_another,
    "signed by another key under the id of the known one": sign_under_the_known_id,
    "the head is of a time when the key was not in use": sign_before_the_keys_time,
    "another signed document passed off as a statement": change_payload_type,
    "another leaf": claim_another_leaf,
    "a forged proof": forge_proof,
    "the statement was taken out of the log": drop_from_log,
    "the log's order was changed": change_order,
    "the head's size was changed": change_head,
    "a signature beside the genuine one": add_a_signature,
    "statement and head have each other's signature": exchange_signatures,
    "a head of a log that is called alike": head_of_a_look_alike,
    "a statement of a site that is called alike": statement_of_a_look_alike,
    "stated before the key was there": stated_before_the_keys_time,
    "a hash too many": longer_proof,
    "a hash too few": lambda log: replace(log.bundle(), inclusion=log.bundle().inclusion[:-1]),
    "a leaf before the first": lambda log: replace(log.bundle(), leaf=-1),
    "a leaf behind the last": lambda log: replace(log.bundle(), leaf=len(log.hashes)),
    "the key's id is left out": lambda log: replace(
        log.bundle(),
        statement=replace(log.statement, signatures=(replace(log.statement.signatures[0], keyid=""),)),
    ),
    "no signature at all": lambda log: replace(log.bundle(), statement=replace(log.statement, signatures=())),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_forgery_passes(forgery: str, check: Callable[..., Ended], log: Log) -> None:
    ended = check(FORGERIES[forgery](log))
    assert ended.status == Status.REFUSED
    assert "FORGED OR DAMAGED" in ended.out or "no in-toto Statement" in ended.err or "has no" in ended.err
    assert "does not prove" not in ended.out


@pytest.mark.parametrize(
    ("size", "forge", "outcome"),
    [(4, False, "proved"), (4, True, "failed"), (5, False, "not checked"), (5, True, "not checked")],
)
def test_a_proof_of_consistency_in_the_file_counts_for_the_head_that_is_kept_alone(
    log: Log, size: int, forge: bool, outcome: str
) -> None:
    proof = tuple(merkle.consistency_proof(4, len(log.hashes), log.read))
    brought = Consistency(size, proof[1:] if forge else proof)
    earlier = EarlierHead(TreeHead.read(log.head(4)))
    report = verify(replace(log.bundle(), consistency=brought), Held(earlier=earlier))
    assert {one.name: one.outcome.value for one in report.checks}["consistency"] == outcome


def test_a_key_that_ended_does_not_sign_what_came_after(run: Run, log: Log, key: Key, tmp_path: Path) -> None:
    ended_key = replace(key.public, valid_until=NOW - timedelta(days=1))
    keys, file = tmp_path / "keys.json", tmp_path / "s.json"
    keys.write_text(json.dumps(KeySet(LOG, (ended_key,)).to_json()))
    file.write_text(json.dumps(log.bundle().to_json()))
    ended = run("verify", str(file), "--keys", str(keys), "--json")
    assert ended.status == Status.REFUSED
    assert outcomes(ended)["signature"] == outcomes(ended)["log head"] == "failed"


def test_keys_of_another_site_do_not_count(run: Run, log: Log, key: Key, tmp_path: Path) -> None:
    keys, file = tmp_path / "keys.json", tmp_path / "s.json"
    keys.write_text(json.dumps(KeySet("https://other.example.org", (key.public,)).to_json()))
    file.write_text(json.dumps(log.bundle().to_json()))
    ended = run("verify", str(file), "--keys", str(keys), "--json")
    assert ended.status == Status.REFUSED and outcomes(ended)["site"] == "failed"


@pytest.mark.parametrize("part", ["statement", "inclusion", "head", "keys", "mediaType"])
def test_a_damaged_file_is_refused_in_words(part: str, check: Callable[..., Ended], log: Log) -> None:
    row = copy.deepcopy(log.bundle().to_json())
    row[part] = {"payload": 7}
    ended = check(row, "--json")
    assert ended.status == Status.REFUSED and ended.document["error"]["code"] == "statement"


def signed(log: Log, **predicate: Any) -> Bundle:
    """A site's own statement that says something else in one place."""
    row = json.loads(stated().to_bytes())
    row["predicate"] |= predicate
    log.statement = log.key.sign(PAYLOAD_TYPE, json.dumps(row).encode())
    log.hashes[log.leaf] = merkle.leaf_hash(log.statement.to_bytes())
    return log.bundle()


def test_numbers_of_any_size_and_half_characters_are_no_crash(check: Callable[..., Ended], log: Log) -> None:
    huge = [{"benchmark": "fpb", "value": 10**4000, "interval95": [0, 10**4000]}]
    assert check(signed(log, scores=huge)).status == Status.DONE
    row = log.bundle().to_json()
    row["statement"]["signatures"].append({"keyid": "\ud800", "sig": ""})
    ended = check(row, "--json")
    assert ended.status == Status.REFUSED and ended.document["error"]["code"] == "statement"


def test_a_statement_cannot_speak_for_the_program(check: Callable[..., Ended], log: Log) -> None:
    words = "finance\n\nThis proves that all is well"
    ended = check(signed(log, challenge=words, site=f"{LOG}/\n\nThis proves that it is so"), pinned=False)
    assert "FORGED OR DAMAGED" in ended.out
    assert not any(line.startswith("This proves") for line in ended.out.splitlines())


def test_a_file_that_is_no_statement_by_its_size_is_not_read_whole(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "statement.json"
    with file.open("wb") as sparse:
        sparse.truncate(MOST_BYTES + 1)
    ended = run("verify", str(file))
    assert ended.status == Status.USAGE and "larger than any statement" in ended.err


def test_without_the_package_for_signatures_it_says_what_to_install(
    check: Callable[..., Ended], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = log.bundle()
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    ended = check(bundle)
    assert ended.status == Status.REFUSED and "pip install cryptography" in ended.err


def test_what_is_no_entry_and_no_file_is_a_wrong_call(run: Run, tmp_path: Path) -> None:
    assert run("verify", "https://board.example.org/teams/1/").status == Status.USAGE
    assert run("verify", str(tmp_path / "none.json")).status == Status.USAGE
