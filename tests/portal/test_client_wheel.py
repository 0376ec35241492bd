"""The client as participants install it: the site's wheel, in an environment without the site."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from packaging.requirements import Requirement

from evaluation import rules
from evaluation.inspection import Known, inspect
from evaluation.inspection.folder import gather
from portal.accounts.models import ApiToken
from portal.client.wheel import REQUIREMENTS, client_wheel
from portal.submissions.models import Submission
from tests.portal import factories

# What pip would install with it here, without the site's own packages.
BRINGS = ("httpx", "httpcore", "h11", "anyio", "certifi", "idna", "platformdirs", "tqdm", "typing_extensions")
INSPECT = """
import json, pathlib, sys
from flowertune._evaluation import rules
from flowertune._evaluation.inspection import Known, inspect
from flowertune._evaluation.inspection.folder import gather
for line in sys.stdin:
    material = gather(pathlib.Path(line.strip()), whole=True).material
    found = inspect(material, rules.of("general-nlp"), Known()).findings
    print(json.dumps([[f.code, f.severity, f.message, f.location] for f in found]))
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the client alone."""

    folder: Path

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        bare = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **options.pop("env", {})}
        program = str(self.folder / "bin" / arguments[0])
        return subprocess.run(
            [program, *arguments[1:]],
            env=bare,
            cwd=self.folder,  # Python looks for packages where it is started
            capture_output=True,
            text=True,
            check=False,
            **options,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment, by pip without an index; what it requires is linked from this one."""
    folder = tmp_path_factory.mktemp("participant")
    venv.create(folder / "env", symlinks=True)
    wheel = folder / client_wheel().name
    wheel.write_bytes(client_wheel().content)
    python = str(folder / "env" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--no-compile", str(wheel)], check=True)
    packages = next((folder / "env" / "lib").glob("python*/site-packages"))
    for name in BRINGS:
        files = distribution(name).files or ()
        for top in {Path(str(file)).parts[0] for file in files} - {"..", "__pycache__"}:
            (packages / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return Installed(folder / "env")


def test_it_is_small_and_leaves_the_site_out(installed: Installed) -> None:
    assert len(client_wheel().content) < 1024**2
    for package in ("evaluation", "portal", "django", "numpy", "torch", "transformers", "peft"):
        tried = installed.run("python", "-c", f"import {package}")
        assert "ModuleNotFoundError" in tried.stderr, package
    assert installed.run("flowertune", "--version").stdout.startswith("flowertune ")
    explained = installed.run("flowertune", "explain", "adapter_config.base_model", "--json")
    assert json.loads(explained.stdout)["code"] == "adapter_config.base_model"


def test_what_this_site_has_installed_is_within_the_ranges_it_names() -> None:
    for requirement in map(Requirement, REQUIREMENTS):
        if requirement.marker is None:
            assert distribution(requirement.name).version in requirement.specifier, requirement


def test_equal_code_gives_equal_bytes() -> None:
    assert client_wheel.__wrapped__().sha256 == client_wheel().sha256


def test_it_finds_in_the_fields_adapters_what_the_site_finds(installed: Installed, shared: Path) -> None:
    folders = sorted(path.parent for path in (shared / "field").glob("*/adapter_config.json"))
    assert folders
    lines = "".join(f"{folder}\n" for folder in folders)
    ended = installed.run("python", "-c", INSPECT, input=lines)
    assert not ended.returncode, ended.stderr
    for folder, line in zip(folders, ended.stdout.splitlines(), strict=True):
        found = inspect(gather(folder, whole=True).material, rules.of("general-nlp"), Known()).findings
        assert json.loads(line) == [[f.code, f.severity, f.message, f.location] for f in found], folder.name


@pytest.mark.django_db(transaction=True)
def test_a_participant_submits_a_folder_and_a_hub_address(
    installed: Installed, live_server: Any, tmp_path: Path
) -> None:
    sender = factories.user("sender")
    base = factories.base_model()
    (tmp_path / "adapter_model.safetensors").write_bytes(factories.adapter_bytes(0))
    (tmp_path / "adapter_config.json").write_bytes(factories.config_bytes())
    (tmp_path / "pyproject.toml").write_bytes(factories.PYPROJECT)
    env = {"FLOWERTUNE_URL": live_server.url, "FLOWERTUNE_TOKEN": ApiToken.issue(user=sender, name="t")[1]}
    stated = "--not-trained-on-test-items"
    said = ("--challenge", "finance", "--method", "FedAvg", stated, "--yes", "--json")
    ended = installed.run("flowertune", "submit", str(tmp_path), *said, env=env)
    assert json.loads(ended.stdout)["status"] == "queued", ended
    address = "https://huggingface.co/somebody/adapter/tree/main/peft_200"
    ended = installed.run("flowertune", "submit", address, "--base-model", base.hub_id, *said, env=env)
    assert json.loads(ended.stdout)["hub"]["repository"] == "somebody/adapter", ended
    assert Submission.objects.count() == 2


@pytest.mark.django_db
def test_the_site_serves_what_its_page_names() -> None:
    browser = Client()
    page = browser.get("/client/").text
    address = browser.get("/client/url").text.strip()
    path, _, digest = address.partition("#sha256=")
    file = browser.get(path.removeprefix("http://testserver"))
    assert hashlib.sha256(file.content).hexdigest() == digest == client_wheel().sha256
    assert digest in page and f"pip install {path}" in page
    assert browser.get(path, headers={"If-None-Match": file["ETag"]}).status_code == 304
    assert browser.get("/client/flowertune-0.0.1-py3-none-any.whl").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/submit/", "/accounts/tokens/", "/rules/", "/api/docs/"])
def test_pages_of_participants_name_the_command_that_installs_it(path: str, as_owner: Client) -> None:
    page = as_owner.get(path).text
    assert f"pip install http://testserver/client/{client_wheel().name}" in page
    assert 'data-copy="install-client"' in page
