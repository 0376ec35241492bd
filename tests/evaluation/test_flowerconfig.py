"""pyproject.toml as it comes from strangers: TOML or a finding that names line and column."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.findings import Finding, Severity, has_errors
from evaluation.flowerconfig import MAX_SIZE, inspect_config
from tests.profiles import examples
from tests.work import lines_run

APP = b"[tool.flwr.app.config]\nnum-server-rounds = 3\n"


def only(text: bytes) -> Finding:
    document, findings = inspect_config(text)
    assert (document is None) == has_errors(findings)
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize(
    "text",
    [
        APP,
        b'tool.flwr.app.config.model.name = "a/b"',
        b"[tool.flwr.app]\nconfig = {num_server_rounds = 3}",
        b"[tool.flwr]\n[tool.flwr.app.config.train]\nlr = 1e-4",
        b"[tool.flwr.app.config]\r\na = 1\r\n",
    ],
)
def test_the_app_configuration_is_found_dotted_or_nested(text: bytes) -> None:
    document, findings = inspect_config(text)
    assert findings == ()
    assert document is not None


@pytest.mark.parametrize(
    "text", [b"a = 1", b'[project]\nname = "a"', b"[tool.flwr.app]\nconfig = 3", b"tool = 1"]
)
def test_a_file_without_app_configuration_is_a_warning(text: bytes) -> None:
    finding = only(text)
    assert finding.code == "config.no_app_config"
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        (b"a = 1\nb = {{ x }}\n", "config.template", "pyproject.toml: line 2, column 6", "b = {{ x }}"),
        (
            b"a = 1\nb = $fraction_fit\n",
            "config.template",
            "pyproject.toml: line 2, column 5",
            "1 placeholders",
        ),
        (b"a: 1\n", "config.syntax", "pyproject.toml: line 1, column 2", "YAML"),
        (b'{"a": 1}', "config.syntax", "pyproject.toml", "JSON"),
        (b"\xff\xfea\x00=\x001\x00", "config.encoding", "pyproject.toml: line 1", "UTF-16"),
        (b"a = [" + b"1," * 6000 + b"]", "config.too_many_values", "pyproject.toml", "6,001"),
        (b"a = \r\nb = 2\r\n", "config.syntax", "pyproject.toml: line 1, column 5", "in: a ="),
        (b"a = [1,\n2", "config.syntax", "pyproject.toml: line 2", "never closed"),
        (b"a = 1\na = 2\n", "config.syntax", "pyproject.toml: line 2, column 6", "a = 2"),
        (b"a = " + b"9" * 5000, "config.syntax", "pyproject.toml: line 1", "thousands of digits"),
        (b"a = '\x00'", "config.syntax", "pyproject.toml: line 1, column 6", "\\x00"),
        (b"# \x00", "config.syntax", "pyproject.toml: line 1, column 3", "\\x00"),
        (b'a = "\xe9"\n', "config.encoding", "pyproject.toml: line 1", "0xe9"),
        (b"a = " + b"[" * 100_000, "config.nesting", "pyproject.toml", "nested"),
        (
            b"b = 1\n" + b".".join([b"a"] * 100_000) + b" = 1",
            "config.nesting",
            "pyproject.toml: line 2",
            "parts",
        ),
        (b".".join([b"a"] * 100) + b" = 1", "config.nesting", "pyproject.toml", "deeper than"),
        (b"#" * (MAX_SIZE + 1), "config.too_large", "pyproject.toml", "limit"),
        (b"PK\x03\x04\x00\x00\x9f\x80", "config.syntax", "pyproject.toml", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "config.syntax", "pyproject.toml", "git lfs pull"),
        (b"", "file.empty", "pyproject.toml", "empty"),
    ],
)
def test_what_is_not_toml_names_its_place(text: bytes, code: str, place: str, words: str) -> None:
    finding = only(text)
    assert (finding.code, finding.severity) == (code, Severity.ERROR)
    assert finding.location == place
    assert words in finding.message


def test_a_long_line_is_shown_around_the_column() -> None:
    finding = only(b"a = [" + b"1, " * 5000 + b"oops]")
    assert "oops" in finding.message
    assert len(finding.message) < 300


def test_many_dotted_keys_take_no_more_work_each_than_few() -> None:
    line = ".".join(["a"] * 120)
    few, many = ("".join(f"{line}.k{key} = 1\n" for key in range(n)).encode() for n in (40, 160))
    assert lines_run(lambda: inspect_config(many)) < 5 * lines_run(lambda: inspect_config(few))


@given(text=st.binary(max_size=200))
@settings(max_examples=examples(200))
def test_arbitrary_bytes_never_crash(text: bytes) -> None:
    for finding in inspect_config(text)[1]:
        assert finding.message.isprintable()


@given(position=st.integers(0, len(APP) - 1), value=st.integers(0, 255))
@settings(max_examples=examples(300))
def test_one_changed_byte_never_crashes(position: int, value: int) -> None:
    inspect_config(APP[:position] + bytes([value]) + APP[position + 1 :])


def test_real_configurations_are_read(shared: Path) -> None:
    paths = sorted((shared / "configs").glob("*.toml"))
    assert paths
    for path in paths:
        document, findings = inspect_config(path.read_bytes())
        assert document is not None, (path.name, findings)
        expected = ["config.no_app_config"] if path.name.endswith(".not_an_app.toml") else []
        assert [finding.code for finding in findings] == expected, path.name


def test_a_byte_order_mark_is_taken_off_and_noted() -> None:
    document, findings = inspect_config(b"\xef\xbb\xbf" + APP)
    assert document is not None
    assert [(finding.code, finding.severity) for finding in findings] == [
        ("config.byte_order_mark", Severity.NOTE)
    ]


def test_a_real_template_is_not_toml(shared: Path) -> None:
    finding = only((shared / "configs" / "ethicalabs_template.not_toml").read_bytes())
    assert (finding.code, finding.location) == ("config.template", "pyproject.toml: line 36, column 23")
    assert "model.quantization = {{" in finding.message
    assert "never filled in" in finding.message
