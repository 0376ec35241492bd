"""`flowertune explain`: what a code means, without a site."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.findings.catalogue import CATALOGUE
from flowertune.exit_status import Status
from tests.flowertune.conftest import Run
from tests.flowertune.site_server import SiteServer


def test_a_code_is_explained_without_asking_the_site(run: Run, server: SiteServer) -> None:
    ended = run("explain", "adapter_config.base_model")
    assert ended.status == Status.DONE and not server.state.requests
    kind = CATALOGUE["adapter_config.base_model"]
    shown = " ".join(ended.out.split())
    assert kind.title in shown and kind.explanation in shown and kind.remedy in shown
    assert "error or warning or note" in shown and max(map(len, ended.out.splitlines())) <= 80


def test_a_script_reads_the_same(run: Run) -> None:
    document = run("explain", "config.value", "--json").document
    kind = CATALOGUE["config.value"]
    assert (document["code"], document["severities"]) == (kind.code, ["error"])
    assert (document["title"], document["remedy"]) == (kind.title, kind.remedy)


def test_a_typo_gets_near_names_and_the_status_of_a_wrong_command_line(run: Run) -> None:
    ended = run("explain", "config.valeu")
    assert ended.status == Status.USAGE and "did you mean config.value" in ended.err and ended.out == ""
    assert run("explain", "config.valeu", "--json").document["error"]["code"] == "unknown_name"


def test_findings_on_the_terminal_say_how_to_look_them_up(run: Run, app: Path) -> None:
    (app / "pyproject.toml").write_text("[project]\n")
    ended = run("submit", str(app), "--challenge", "finance", "--yes")
    assert "[config.not_flower_app]" in ended.err and "flowertune explain CODE" in ended.err


@pytest.mark.parametrize("copied", ["[config.value]", "CONFIG.VALUE", " config.value: "])
def test_a_code_may_be_copied_with_what_stands_around_it(run: Run, copied: str) -> None:
    assert run("explain", copied, "--json").document["code"] == "config.value"


def test_every_code_can_be_explained(run: Run) -> None:
    assert [code for code in CATALOGUE if run("explain", code).status != Status.DONE] == []
