"""Statements, envelopes, keys and the Merkle tree, against the vectors of their specifications."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.statements import ed25519, merkle
from evaluation.statements.answers import answers_digest, digest_of_file
from evaluation.statements.canonical_json import canonical
from evaluation.statements.envelope import Envelope, pae
from evaluation.statements.errors import StatementError
from evaluation.statements.keys import ENDORSEMENT_TYPE, KeySet, PublicKey
from evaluation.statements.merkle import Frontier, Node
from tests.profiles import examples

# The leaves and roots of the Certificate Transparency project's own tests of its tree.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATH_OF_LEAF_0_OF_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
START = datetime(2026, 1, 1, tzinfo=UTC)


class Tree:
    """A tree whose nodes are kept, as the site keeps them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.nodes: dict[Node, bytes] = {}
        self.roots = [merkle.EMPTY_ROOT]
        self.leaves = leaves
        frontier = Frontier()
        for index, leaf in enumerate(leaves):
            self.nodes[0, index] = leaf
            frontier, completed = frontier.append(leaf)
            self.nodes |= dict(completed)
            self.roots.append(frontier.root)

    def read(self, nodes: Sequence[Node]) -> Mapping[Node, bytes]:
        return {node: self.nodes[node] for node in nodes}


def test_roots_and_paths_are_those_of_certificate_transparency() -> None:
    tree = Tree([merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES])
    assert [root.hex() for root in tree.roots[1:]] == ROOTS
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [part.hex() for part in merkle.inclusion_proof(0, 8, tree.read)] == PATH_OF_LEAF_0_OF_8
    assert merkle.consistency_proof(8, 8, tree.read) == []
    assert len(merkle.consistency_proof(6, 8, tree.read)) == 3
    assert [part.hex() for part in merkle.consistency_proof(6, 8, tree.read)][1:] == [
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_proof_of_every_small_tree_holds_and_any_other_fails() -> None:
    size = 35
    tree = Tree([merkle.leaf_hash(b"%d" % number) for number in range(size)])
    other = merkle.leaf_hash(b"another")
    for last in range(1, size + 1):
        root = tree.roots[last]
        assert Frontier.of(last, tree.read).root == root
        for index in range(last):
            proof = merkle.inclusion_proof(index, last, tree.read)
            leaf = tree.leaves[index]
            assert merkle.is_included(leaf, index, last, proof, root)
            assert not merkle.is_included(other, index, last, proof, root)
            assert not merkle.is_included(leaf, index, last, [*proof, other], root)
            assert not merkle.is_included(leaf, index + last, last, proof, root)
            if proof:
                assert not merkle.is_included(leaf, index ^ 1, last, proof, root)
                assert not merkle.is_included(leaf, index, last, proof[:-1], root)
        for first in range(1, last + 1):
            proof = merkle.consistency_proof(first, last, tree.read)
            assert merkle.is_consistent(first, last, proof, tree.roots[first], root)
            assert not merkle.is_consistent(first, last, proof, other, root)
            assert not merkle.is_consistent(first, last, proof, tree.roots[first], other)
            assert not merkle.is_consistent(first, last, [*proof, other], tree.roots[first], root)
            if first < last:
                assert not merkle.is_consistent(last, first, proof, root, tree.roots[first])
    assert merkle.is_consistent(0, size, [], merkle.EMPTY_ROOT, tree.roots[size])


def nothing(nodes: Sequence[Node]) -> Mapping[Node, bytes]:
    raise AssertionError(nodes)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_what_is_not_in_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        merkle.inclusion_proof(index, size, nothing)
    with pytest.raises(ValueError):
        merkle.consistency_proof(size + 1, size, nothing)


def test_what_is_signed_is_what_dsse_says() -> None:
    signed = pae("http://example.com/HelloWorld", b"hello world")
    assert signed == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_ed25519_is_that_of_rfc_8032() -> None:
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert ed25519.public_key_of(private) == public
    signature = ed25519.sign(private, b"")
    assert signature.hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert ed25519.is_signed(public, b"", signature)
    assert not ed25519.is_signed(public, b" ", signature)
    assert not ed25519.is_signed(b"\xff" * 32, b"", signature)


def test_a_keys_id_is_the_thumbprint_of_rfc_8037() -> None:
    x = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert PublicKey(x, START).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785, appendix B
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555555", "333333333.3333333"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_rfc_8785_writes_them(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number).decode() == text


def test_members_are_sorted_and_texts_are_written_as_rfc_8785_says() -> None:
    # Its section 3.2.3: by the code units of UTF-16.
    names = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    assert list(json.loads(canonical(names)).values()) == [2, 4, 6, 7, 1, 5, 3]
    assert canonical({"b": [True, None, 'a"\n\x1f'], "a": 2**60}) == (
        b'{"a":1152921504606847000,"b":[true,null,"a\\"\\n\\u001f"]}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1: 2}, b"bytes", object()])
def test_what_json_does_not_have_is_not_written(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical(value)


@settings(max_examples=examples(200))
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_as_they_were(number: float) -> None:
    assert float(json.loads(canonical(number))) == number


def signed_key(start: datetime, by: bytes | None = None, kid: str = "") -> tuple[bytes, PublicKey]:
    """A new key, endorsed by another's private half."""
    private = ed25519.new_private_key()
    key = PublicKey(ed25519.public_key_of(private), start)
    if by is None:
        return private, key
    envelope = Envelope.sign(ENDORSEMENT_TYPE, key.endorsing(), keyid=kid, private=by)
    return private, PublicKey(key.x, start, None, envelope)


def test_only_keys_that_a_known_one_vouches_for_are_taken_over() -> None:
    private, first = signed_key(START)
    next_private, second = signed_key(START + timedelta(days=1), private, first.kid)
    _, third = signed_key(START + timedelta(days=2), next_private, second.kid)
    _, stranger = signed_key(START + timedelta(days=3))
    ended = PublicKey(first.x, first.valid_from, START + timedelta(days=1))
    offered = KeySet.read(json.loads(canonical(KeySet("log", (third, stranger, ended, second)).to_json())))
    known = KeySet("log", (first,)).extended_by(offered)
    assert [key.kid for key in known.keys] == [first.kid, second.kid, third.kid]
    assert known.keys[0].valid_until == START + timedelta(days=1)
    # An end that was told cannot be taken back.
    assert known.extended_by(KeySet("log", (first,))).keys[0].valid_until


def test_a_signature_counts_only_while_its_key_is_in_use() -> None:
    private, key = signed_key(START)
    keys = KeySet("log", (PublicKey(key.x, START, START + timedelta(days=9)),))
    envelope = Envelope.sign("kind", b"payload", keyid=key.kid, private=private)
    assert keys.signer(envelope, START + timedelta(days=9))
    assert keys.signer(envelope, START + timedelta(days=10)) is None
    assert keys.signer(envelope, START - timedelta(days=1)) is None


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"payload": "!", "payloadType": "t", "signatures": []},
        {"payload": "", "payloadType": "t", "signatures": [1]},
        {"payload": "", "payloadType": "t", "signatures": [{"keyid": 1, "sig": ""}]},
    ],
)
def test_what_is_no_envelope_is_refused(document: Any) -> None:
    with pytest.raises(StatementError):
        Envelope.read(document)


def test_an_envelope_in_the_other_base64_is_the_same_leaf() -> None:
    envelope = Envelope.sign("t", b"\xff\xfe~", keyid="k", private=ed25519.new_private_key())
    row = envelope.to_json()
    row["payload"] = row["payload"].replace("+", "-").replace("/", "_").rstrip("=")
    assert Envelope.read(row).to_bytes() == envelope.to_bytes()


def test_answers_of_a_file_have_the_digest_of_their_bits(tmp_path: Path) -> None:
    path = tmp_path / "fpb.jsonl"
    verdicts = [True, False, None, True, True, False, False, False, True]
    path.write_text("".join(json.dumps({"correct": verdict}) + "\n" for verdict in verdicts))
    # 9 items: scored but the third, right the first, fourth, fifth and last.
    assert digest_of_file(path) == answers_digest(b"\xdf\x80", b"\x98\x80")
    assert answers_digest(b"\xdf\x80", b"\x98\x80") == hashlib.sha256(b"\xdf\x80\x98\x80").hexdigest()
    path.write_text('{"correct": 1}\n')
    with pytest.raises(StatementError, match="line 1"):
        digest_of_file(path)
