"""Regular expressions match what Python's own matcher matches, and the worst of them end."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.checkpoints.patterns import PatternError, full_matches
from tests.profiles import examples

LAYERS = tuple(
    f"model.layers.{layer}.{module}"
    for layer in range(12)
    for module in ("self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj", "mlp.down_proj")
)

_ATOMS = st.sampled_from([
    "a", "b", "A", "k", ".", "_", r"\.", r"\d", r"\D", r"\w", r"\W", r"\s", "[ab]", "[^a.]", "[A-k]",
    "[^\\d_]", "[k-z1]", "[[]",
    r"\x61", r"\u212a", "ß", "\\n", "^", "$", r"\A", r"\Z", r"\b", r"\B", "(?=a)",
    "(?!b)", "(?<=a)", "(?<!b.)", "()",
])  # fmt: skip
_REPEATS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{,2}", "{2,}?", "{0}"])
_FLAGS = st.sampled_from(["", "(?i)", "(?s)", "(?m)", "(?a)", "(?im)", "(?x)"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        some.map("".join),
        some.map(lambda parts: f"({'|'.join(parts)})"),
        st.builds(lambda part, repeat: f"(?:{part}){repeat}", inner, _REPEATS),
        st.builds(
            lambda look, part: f"({look}{part})",
            st.sampled_from(["?=", "?!", "?i:", "?-i:", "?s:", "?a:"]),
            inner,
        ),
    )


_PATTERNS = st.builds(str.__add__, _FLAGS, st.recursive(_ATOMS, _larger, max_leaves=8))
_NAMES = st.lists(st.text("abAkK.1_\nßẞ\u212a\u0665\0", min_size=1, max_size=7), max_size=12, unique=True)


@settings(max_examples=examples(3000))
@given(pattern=_PATTERNS, names=_NAMES)
def test_it_matches_what_python_matches(pattern: str, names: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of sets within sets, which may come one day
        try:
            expected = {name for name in names if re.fullmatch(pattern, name)}
        except re.error:
            with pytest.raises(PatternError, match="no regular expression"):
                full_matches([pattern], names)
        else:
            assert full_matches([pattern], names) == [expected]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (r".*layers\.1\.(?:self_attn|mlp)\.(?:q_proj|down_proj)", 2),
        (r"^(?!.*(?:mlp|visual)).*(?:q_proj|up_proj).*", 12),  # LLaMA-Factory beside a frozen part
        (r"^(model(?=\.).*\.(q_proj|up_proj))$", 24),  # ms-swift
        (r"(?:.*?(?:text|layers).*?(?:self_attn|mlp).*?(?:q_proj|v_proj).*?)|(?:\bmodel\.x)", 24),  # Unsloth
    ],
)
def test_what_programs_write_is_matched(pattern: str, count: int) -> None:
    assert len(full_matches([pattern], LAYERS)[0]) == count


def test_an_expression_that_takes_python_for_ever_is_matched_like_any_other() -> None:
    assert full_matches([r"(.|.)*(.|.)*(.|.)*!", "((((a+)+)+)+)+!"], [*LAYERS, "a" * 4000, "aa!"]) == [
        {"aa!"},
        {"aa!"},
    ]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(" * 90 + "." + "){1,50}" * 90 + "!", "too many steps"),
        ("(?i)" + "[!-\uffff]" * 900, "too many steps"),
        (r"(a)\1", "a reference back to a group is not matched"),
        ("(?>a+)b", "an atomic group is not matched"),
        ("b?+", "a possessive repeat is not matched"),
        ("(?<=a+)b", "no regular expression"),
        ("(" * 4000 + ")" * 4000, "no regular expression"),
        ("a{99999999999}", "no regular expression"),
        ("a" * 8193, "longer than"),
    ],
)
def test_what_is_not_matched_is_refused_with_the_reason(pattern: str, words: str) -> None:
    with pytest.raises(PatternError, match=words):
        full_matches([pattern], [*LAYERS, *(f"{'a' * 50}{number}" for number in range(9000))])
