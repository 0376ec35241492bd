"""Whatever is sent, reading it ends with findings or a card; and spelling does not change what is meant."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from evaluation.findings import has_errors
from evaluation.flowerconfig.positions import key_lines
from evaluation.method.card import MethodCard
from tests.evaluation.configs import FEDERATION, STATIC, VALUES, app, read
from tests.profiles import examples

KEYS = [line.split(" = ")[0] for line in VALUES.splitlines()] + [
    "strategy.name", "strategy.proximal-mu", "use-flexlora", "model.lora.modules", "model.lora.use-dora",
    "dp.epsilon", "static.dataset.name", "wandb.use-wandb", "other.thing",
]  # fmt: skip
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.text(alphabet="abc ,[]{}$<>%-_./0\u202e\u00e9", max_size=12),
    st.lists(st.sampled_from(["q_proj", "v_proj", ""]), max_size=3),
)
CONFIGS = st.dictionaries(st.sampled_from(KEYS), SCALARS, max_size=12)
LEGAL = st.fixed_dictionaries(
    {},
    optional={
        "num-server-rounds": st.integers(1, 500),
        "strategy.fraction-fit": st.floats(0.01, 1),
        "strategy.name": st.sampled_from(["fedavg", "FedProx", "flexlora"]),
        "strategy.proximal-mu": st.floats(0, 2),
        "model.name": st.sampled_from(["a/b-7B", "c/d"]),
        "model.quantization": st.sampled_from([4, 8]),
        "model.lora.peft-lora-r": st.integers(1, 64),
        "model.lora.peft-use-dora": st.booleans(),
        "model.lora.target-modules": st.lists(st.sampled_from(["q_proj", "k_proj"]), min_size=1, max_size=2),
        "train.training-arguments.max-steps": st.integers(1, 99),
        "static.dataset.name": st.just("vicgalle/alpaca-gpt4"),
    },
)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value)


def dotted(values: Mapping[str, Any]) -> str:
    return "[tool.flwr.app.config]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in values.items())


def nested(values: Mapping[str, Any]) -> str:
    """The same with every key in a table of its own path, the root's first."""
    lines: dict[str, list[str]] = {}
    for key, value in sorted(values.items(), key=lambda item: "." in item[0]):
        table, _, last = key.rpartition(".")
        lines.setdefault(table, []).append(f"{last} = {toml(value)}\n")
    root = "[tool.flwr.app.config"
    tables = lines or {"": []}
    return "".join(f"{root}{'.' if table else ''}{table}]\n{''.join(body)}" for table, body in tables.items())


def inline(values: Mapping[str, Any]) -> str:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value

    def written(node: Any) -> str:
        if not isinstance(node, dict):
            return toml(node)
        return "{" + ", ".join(f"{key} = {written(child)}" for key, child in node.items()) + "}"

    return f"[tool.flwr.app]\nconfig = {written(tree)}\n"


def meaning(text: str) -> tuple[MethodCard | None, list[tuple[str, str]]]:
    """The card, and the findings without their places."""
    card, findings = read(text)
    return card, [(finding.severity.value, finding.code) for finding in findings]


@given(values=CONFIGS)
@settings(max_examples=examples(300))
def test_any_values_give_a_card_and_findings(values: dict[str, Any]) -> None:
    card, findings = read(dotted(values))
    assert card is not None
    for finding in findings:
        assert finding.message.isprintable() and finding.location.isprintable()
    assert MethodCard.from_json(card.to_json()) == card
    assert all(text.isprintable() for row in card.rows() for text in row)


@given(values=LEGAL)
@settings(max_examples=examples(150))
def test_dotted_nested_and_inline_mean_the_same(values: dict[str, Any]) -> None:
    first = meaning(dotted(values))
    assert meaning(nested(values)) == first
    assert meaning(inline(values)) == first


@given(values=LEGAL, underscores=st.lists(st.booleans(), min_size=60, max_size=60))
@settings(max_examples=examples(150))
def test_dashes_and_underscores_mean_the_same(values: dict[str, Any], underscores: list[bool]) -> None:
    choices = iter(underscores)

    def other(key: str) -> str:
        return "".join(("_" if next(choices, True) else "-") if letter == "-" else letter for letter in key)

    assert meaning(dotted({other(key): value for key, value in values.items()})) == meaning(dotted(values))


@given(content=st.binary(max_size=300))
@settings(max_examples=examples(300))
def test_arbitrary_bytes_end_in_findings(content: bytes) -> None:
    card, findings = read(content)
    assert card is not None or has_errors(findings)


VALUES_OF_ALL_SHAPES = [
    "1", "'#'", '"]"', '"a\\"b"', '"""a"""', '""""a"""""', "'''\n[x]\n'\n'''", '"""\n\\"""\na = 1"""',
    "[]", "[1, # ]\n 2]",
    "[[1],\n[\n]]", "{a = 1, b = {c = '}'}}", "[{a = [1]},\n{}]", "2026-01-01 07:32:00", "1 # a = 2",
]  # fmt: skip
KEY_SHAPES = ["k{}", '"k.{}"', "'k {}'", "k{}.a . b", '"k\\u0041{}"', "k{}-x"]
HEADERS = ["[t{}]", "[t{}.'a.b']", "[[t{}]]", "# t{}", "", "\t [ t{} . x ] # [y]"]


@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from(HEADERS), st.sampled_from(KEY_SHAPES), st.sampled_from(VALUES_OF_ALL_SHAPES)
        ),
        max_size=8,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=examples(300))
def test_the_line_of_every_key_is_found(pieces: list[tuple[str, str, str]], end: str) -> None:
    text, expected = "", []
    for number, (header, key, value) in enumerate(pieces):
        text += header.format(number) + end
        expected.append(text.count("\n") + 1)
        text += f"{key.format(number)} = {value}".replace("\n", end) + end
    tomllib.loads(text)  # or the test is wrong
    lines = key_lines(text)
    assert [line for path, line in lines.items() if not path[-1].startswith(("t", "a.b", "x"))] == expected


@example('a = 1\n"\\." = 2')  # an escape that TOML does not have
@given(text=st.text(alphabet="[]{}=\"'.,#\n\\ abc", max_size=60))
@settings(max_examples=examples(200))
def test_the_scan_for_lines_ends_on_anything(text: str) -> None:
    key_lines(text)


def test_a_fuzz_run_of_changed_files_never_raises() -> None:
    """Pieces of honest files cut, doubled, swapped and spoilt; bounded by count, not by time."""
    source = app(VALUES, more='strategy.name = "fedavg"\nmodel.lora.modules = """q,\nv"""').encode()
    tokens = [b"{{", b"}}", b'"""', b"'", b"[[", b"]]", b"\n", b"\0", b"\xff", b"nan", b"=", b".", b"1e999",
              b"[tool.flwr.app.config.static]\n", STATIC.encode(), FEDERATION.encode()]  # fmt: skip
    dice = random.Random(20260212)
    for _ in range(1500):
        content = bytearray(source)
        for _ in range(dice.randint(1, 6)):
            start = dice.randrange(len(content) + 1)
            end = min(len(content), start + dice.randint(0, 40))
            kind = dice.randrange(4)
            if kind == 0:
                del content[start:end]
            elif kind == 1:
                content[start:start] = dice.choice(tokens)
            elif kind == 2:
                content[start:start] = content[start:end]
            else:
                content[start:end] = dice.randbytes(end - start)
        card, findings = read(bytes(content))
        assert card is not None or has_errors(findings)
