"""A safetensors header is believed only after every lie that it could tell has been ruled out."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import deserialize

from evaluation.checkpoints import (
    read_header,
)
from evaluation.findings import ALIKE_LIMIT, Finding, has_errors
from tests.evaluation.adapters import (
    header_of,
    lora_tensors,
    safetensors,
    with_header,
)
from tests.profiles import examples
from tests.work import lines_run

QUICK = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])


def header_findings(content: bytes) -> tuple[Finding, ...]:
    header, findings = read_header(io.BytesIO(content), len(content))
    assert (header is None) == has_errors(findings)
    return findings


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped(), "PyTorch pickle"),
        (pickle.dumps({"a": 1}, 2), "Python pickle"),
        (pickle.dumps({"a": list(range(99))}, 4), "Python pickle"),
        (b"GGUF\x03\x00\x00\x00" + bytes(40), "GGUF"),
        (b"<!DOCTYPE html><html><title>Sign in</title>", "web page"),
        (b"\n  <html lang=en>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
        (b'{"peft_type": "LORA"}', "JSON text"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
    ],
)
def test_a_file_of_another_kind_is_named(content: bytes, words: str) -> None:
    finding = only(header_findings(content))
    assert finding.code == "file.not_safetensors"
    assert words in finding.message
    assert "safe_serialization=True" in finding.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file.empty"),
        (b"\x02", "file.truncated"),
        (bytes(8), "file.truncated"),
        (bytes(64), "header.length"),
        ((2**63).to_bytes(8, "little") + b"{}" + bytes(60), "header.length"),
        ((2**64 - 1).to_bytes(8, "little") + b"{}" + bytes(60), "header.length"),
        ((5_000_000).to_bytes(8, "little") + b"{}", "header.length"),
        ((500).to_bytes(8, "little") + b'{"a"', "header.length"),
        ((0x80).to_bytes(8, "little") + b'{"a"', "header.length"),  # not taken for a pickle
        (with_header(b"[]", b""), "file.not_safetensors"),
        (with_header(b'{"a": }', b""), "header.json"),
        (with_header(b'{"a": NaN}', b""), "header.json"),
        (with_header(b'{"a": 1e999}', b""), "header.json"),
        (with_header(b'{"a": ' + b"9" * 5000 + b"}", b""), "header.json"),
        (with_header(b'{"a": "\xff"}', b""), "header.json"),
        (with_header(b'{"a":' * 100_000, b""), "header.json"),
        (with_header(b'{"a":' + b"[" * 500_000, b""), "header.json"),
        (with_header(b"{}{}", b""), "header.json"),
        (with_header(b'{"__metadata__": {"format": 1}}', b""), "header.metadata"),
        (with_header(b'{"__metadata__": []}', b""), "header.metadata"),
        (with_header(b'{"__metadata__": null}', b""), "header.metadata"),
        (with_header(b"{}   ", b"x"), "file.trailing_bytes"),
    ],
)
def test_a_broken_frame_is_one_clear_error(content: bytes, code: str) -> None:
    finding = only(header_findings(content))
    assert finding.code == code
    assert finding.location.startswith("adapter_model.safetensors")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "more": 1}, "header.tensor_entry"),
        ({"dtype": "F32", "shape": [2]}, "header.tensor_entry"),
        ([], "header.tensor_entry"),
        ({"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}, "header.dtype"),
        ({"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}, "header.dtype"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}, "header.shape"),
        ({"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}, "header.shape"),
        ({"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}, "header.shape"),
        ({"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}, "header.shape"),
        ({"dtype": "F32", "shape": [2] + [1] * 8, "data_offsets": [0, 8]}, "header.shape"),
        ({"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]}, "header.shape"),
        ({"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}, "header.tensor_size"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "header.tensor_size"),
        ({"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}, "header.tensor_size"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}, "header.offsets"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}, "header.offsets"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8]}, "header.offsets"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 2**64 - 1]}, "header.offsets"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}, "header.hole"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "file.truncated"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "file.trailing_bytes"),
    ],
)
def test_each_lie_about_a_tensor_has_its_own_code(entry: object, code: str) -> None:
    findings = header_findings(with_header(json.dumps({"a": entry}).encode(), bytes(8)))
    assert code in codes(findings)


def test_tensors_must_not_share_bytes() -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    findings = header_findings(with_header(json.dumps({"a": entry, "b": entry}).encode(), bytes(8)))
    assert only(findings).code == "header.overlap"
    assert only(findings).location == "adapter_model.safetensors: b"


def test_a_tensor_named_twice_is_refused() -> None:
    entry = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    finding = only(header_findings(with_header(f'{{"a":{entry},"a":{entry}}}'.encode(), bytes(8))))
    assert finding.code == "header.duplicate_key"
    assert '"a"' in finding.message


def test_a_million_tensors_are_refused_quickly() -> None:
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    few = with_header(("{" + ",".join(f'"{i}":{entry}' for i in range(60_000)) + "}").encode(), b"")
    many = with_header(("{" + ",".join(f'"{i}":{entry}' for i in range(1_000_000)) + "}").encode(), b"")
    assert only(header_findings(few)).code == "header.too_many_tensors"
    assert only(header_findings(many)).code == "header.length"
    assert lines_run(lambda: header_findings(many)) < 1_000


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 10_000, "\u202egnp.exe", "\ud800", "l\u043era_A"])
def test_a_hostile_tensor_name_is_escaped_and_cut(name: str) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    finding = only(header_findings(with_header(json.dumps({name: entry}).encode(), bytes(8))))
    assert finding.code == "header.tensor_name"
    assert len(finding.location) < 250
    assert finding.location.isprintable()
    finding.location.encode("utf-8")


def test_findings_of_one_kind_are_capped() -> None:
    entry = {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}
    content = with_header(json.dumps({str(i): entry for i in range(100)}).encode(), b"")
    findings = header_findings(content)
    assert len(findings) == ALIKE_LIMIT + 1
    assert findings[-1].message == "and 80 more like it"


LIES = st.sampled_from(
    [
        ("shape", [3, 3]),
        ("shape", [-4, -8]),
        ("shape", [2**40, 2**40]),
        ("shape", [4, 8, 1, 1, 1, 1, 1, 1, 1]),
        ("shape", None),
        ("dtype", "F64"),
        ("dtype", "f32"),
        ("dtype", 32),
        ("data_offsets", [0, 0]),
        ("data_offsets", [4, 132]),
        ("data_offsets", [-128, 0]),
        ("data_offsets", [2**60, 2**60 + 128]),
        ("data_offsets", ["0", "128"]),
        ("offsets", [0, 1]),
    ]
)


@given(chosen=st.integers(0, 7), lie=LIES)
@QUICK
def test_a_lie_in_the_header_is_always_an_error(chosen: int, lie: tuple[str, object]) -> None:
    tensors = lora_tensors()
    header = header_of(tensors)
    entry = header[sorted(header)[chosen]]
    assert isinstance(entry, dict)
    entry[lie[0]] = lie[1]
    data = b"".join(data for _, _, data in tensors.values())
    assert has_errors(header_findings(with_header(json.dumps(header).encode(), data)))


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
@QUICK
def test_what_passes_here_is_read_by_the_reference_implementation(position: int, value: int) -> None:
    content = bytearray(safetensors(lora_tensors(), {"format": "pt"}))
    content[position % (8 + int.from_bytes(content[:8], "little"))] = value
    header, _ = read_header(io.BytesIO(content), len(content))
    if header is not None:
        read = dict(deserialize(bytes(content)))
        assert {name: tuple(tensor["shape"]) for name, tensor in read.items()} == {
            tensor.name: tensor.shape for tensor in header.tensors
        }
