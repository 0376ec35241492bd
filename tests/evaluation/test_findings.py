"""The list that form, API, command line and reviewer share."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evaluation.findings import CODES, excerpt

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_is_in_the_table_and_every_entry_is_used() -> None:
    evaluation = ROOT / "evaluation"
    names = ("communication.py", "communication_log.py", "declared.py", "inspect.py")
    sources = [
        *(evaluation / name for name in names),
        *(evaluation / "flowerconfig").glob("*.py"),
        *(evaluation / "checkpoints").glob("*.py"),
        evaluation / "federated" / "checks.py",
    ]
    literals = {
        node.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert CODES.keys() <= literals
    prefixes = (
        "file.", "header.", "adapter.", "adapter_config.", "config.", "communication.", "declared.", "app.",
        "run.",
    )  # fmt: skip
    found = {text for text in literals if text.startswith(prefixes) and text.replace(".", "_").isidentifier()}
    assert found - {"adapter_config.json", "config.json"} <= CODES.keys()


def test_inspection_imports_no_model_library() -> None:
    program = "import sys, evaluation.checkpoints, evaluation.inspection.report; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "peft", "safetensors", "django", "flwr"} & set(loaded)


@given(text=st.text(max_size=200))
def test_an_excerpt_is_short_and_harmless(text: str) -> None:
    shown = excerpt(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50
    assert shown == text or not text.isprintable() or len(text) > 50
