"""A Flower app's pyproject.toml, read as data: how the run was made, and what breaks the rules.

Written for what people really send: dotted keys or tables, `-` or `_`, every generation of the template.
Nothing of the file is run, and everything in it is bounded.
"""

from __future__ import annotations

from evaluation.findings import Finding, FindingCollector
from evaluation.flowerconfig.document import CONFIG_FILE, MAX_SIZE, Document, parse_document
from evaluation.flowerconfig.layouts import CURRENT, AppLayout, app_layout, find
from evaluation.flowerconfig.reader import MethodReader
from evaluation.flowerconfig.rules import challenge_of, check_rules
from evaluation.method.card import MethodCard
from evaluation.rules import Rules

__all__ = [
    "CONFIG_FILE",
    "MAX_SIZE",
    "challenge_of",
    "inspect_app_config",
    "inspect_config",
]


def inspect_config(
    text: bytes, *, name: str = CONFIG_FILE
) -> tuple[dict[str, object] | None, tuple[Finding, ...]]:
    """Parse a pyproject.toml; the document is None exactly when a finding is an error."""
    findings = FindingCollector()
    document = parse_document(text, name, findings)
    if document is None:
        return None, findings.collected()
    found = find(document.values, (*CURRENT, "config"))
    if found is None or not isinstance(found[1], dict):
        message = (
            "There is no table [tool.flwr.app.config]. Upload the pyproject.toml of the Flower app you ran."
        )
        findings.warning("config.no_app_config", message, name)
    return document.values, findings.collected()


def inspect_app_config(
    text: bytes, rules: Rules | None, *, name: str = CONFIG_FILE
) -> tuple[MethodCard | None, tuple[Finding, ...]]:
    """Read a Flower app's configuration and check it against a challenge's rules, if they are given.

    The card is None when the file is no TOML or configures no Flower app; otherwise it holds what could
    be read, also when findings are errors. All problems are found in one pass.
    """
    findings = FindingCollector()
    document = parse_document(text, name, findings)
    layout = _app(document, findings) if document else None
    if document is None or layout is None:
        return None, findings.collected()
    reader = MethodReader(layout, document, findings)
    card = reader.card(rules.clients if rules else None)
    if rules:
        check_rules(rules, card, reader, findings)
    return card, findings.collected()


def _app(document: Document, findings: FindingCollector) -> AppLayout | None:
    """The app's tables; None and an error where there is no app or no configuration of it."""
    layout = app_layout(document)
    if layout is None:
        message = (
            "This is not a Flower app: it has no table [tool.flwr.app]. Send the pyproject.toml of the run."
        )
        findings.error("config.not_flower_app", message, document.name)
        return None
    if layout.config is None:
        table = ".".join((*layout.app, "config"))
        message = f"The Flower app has no table [{table}]. Send the pyproject.toml that you ran."
        findings.error("config.no_app_config", message, document.place(layout.app))
        return None
    if not layout.is_current:
        message = (
            f"[{'.'.join(layout.app)}] is where Flower before 1.10 kept an app. It is read, but move it to "
            "[tool.flwr.app] so that others can run it."
        )
        findings.note("config.old_layout", message, document.place(layout.app))
    return layout
