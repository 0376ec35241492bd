"""Containerfile and compose.yaml, held against the code that they run. `make images` builds the images."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from portal.environment import PROJECT_ROOT, Environment
from portal.machine.processes import commands

SETTINGS = {name.upper() for name in Environment.model_fields}
# Of others: PostgreSQL's image, Caddy's file, the hub's library, Flower.
OTHERS = {
    "POSTGRES_USER",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD_FILE",
    "DOMAIN",
    "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE",
}
OTHERS |= {"FLWR_TELEMETRY_ENABLED", "FLWR_DISABLE_UPDATE_CHECK"}
FEDERATION = {"superlink", "supernode", "supernode-gpu"}
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "flwr",
    "ray",
    "datasets",
    "vllm",
    "pandas",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def containerfile() -> str:
    return (PROJECT_ROOT / "Containerfile").read_text().replace("\\\n", "")


def stages(containerfile: str) -> Iterator[tuple[str, str]]:
    for text in re.split(r"^FROM ", containerfile, flags=re.MULTILINE)[1:]:
        head, _, rest = text.partition("\n")
        yield head.partition(" AS ")[2], rest


def brought(requirements: list[str]) -> set[str]:
    """Names of all packages that these need, as far as they are installed here."""
    names: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        need = waiting.pop()
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        if name in names:
            continue
        names.add(name)
        try:
            more = map(Requirement, distribution(name).requires or ())
        except PackageNotFoundError:
            continue
        extras = need.extras or {""}
        waiting += [
            one
            for one in more
            if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)
        ]
    return names


def test_the_web_image_has_no_model_library(containerfile: str) -> None:
    (extras,) = re.findall(r"install ([\w,]+)", dict(stages(containerfile))["web-packages"])
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    names = brought(
        [*project["dependencies"], *(need for extra in extras.split(",") for need in optional[extra])]
    )
    assert "django" in names and not names & HEAVY


@pytest.mark.parametrize(("stage", "process"), [("web", "web"), ("worker-base", "worker")])
def test_an_image_starts_what_serve_starts(containerfile: str, stage: str, process: str) -> None:
    (command,) = re.findall(r"^CMD (\[.*\])", dict(stages(containerfile))[stage], flags=re.MULTILINE)
    assert _without_log_level(json.loads(command)) == _without_log_level(_served(process))


def test_compose_starts_the_scheduler_that_serve_starts(compose: dict[str, Any]) -> None:
    command = compose["services"]["scheduler"]["command"]
    assert _without_log_level(command) == _without_log_level(_served("scheduler"))


def _served(process: str) -> list[str]:
    """The command after the interpreter and its -m."""
    return commands("0.0.0.0", 8000)[process][2:]  # noqa: S104 - a container's own network


def _without_log_level(command: list[str]) -> list[str]:
    place = command.index("--loglevel" if "--loglevel" in command else "--log-level")
    return command[:place] + command[place + 2 :]


def test_the_web_image_has_the_environment_of_the_others(containerfile: str) -> None:
    """It isn't made from their stage, whose package manager it leaves out."""
    of_base, of_web = (
        dict(re.findall(r"\b([A-Z_]+)=(\S+)", line))
        for stage in ("base", "web")
        for line in re.findall(
            r"^ENV (.*PYTHONPATH=.*)$", dict(stages(containerfile))[stage], flags=re.MULTILINE
        )
    )
    assert of_web | {"PATH": of_base["PATH"]} == of_base and of_web["PATH"].startswith("/app/.venv/bin:")


def test_compose_names_no_setting_that_there_is_not(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("environment", {})) <= SETTINGS | OTHERS, name


def test_a_container_of_the_site_has_the_least_rights(compose: dict[str, Any], containerfile: str) -> None:
    own = {
        name: service
        for name, service in compose["services"].items()
        if service["image"].startswith("flowertune")
    }
    assert {"web", "scheduler", "worker", "worker-gpu", "migrate"} | FEDERATION <= set(own)
    for name, service in own.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"] and "privileged" not in service, name
        assert name in {"secrets", "certificates"} or "user" not in service, name
    for stage in ("web", "worker", "worker-cuda"):
        assert re.search(r"^USER 10001:10001$", dict(stages(containerfile))[stage], flags=re.MULTILINE)


def test_a_federation_shares_nothing_with_the_site(compose: dict[str, Any]) -> None:
    """Who starts a run there brings its program."""
    for name, service in compose["services"].items():
        places = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        if name in FEDERATION:
            kind = name.partition("-")[0]
            assert places == {"federation", f"./secrets/{kind}"} and service["networks"] == ["federation"], (
                name
            )
            assert "env_file" not in service and len(service["security_opt"]) == 1, name
        elif name != "certificates":
            assert not any("federation" in item for item in (*places, *service.get("networks", ()))), name


def test_compose_starts_a_federation_as_the_guide_does(compose: dict[str, Any]) -> None:
    guide = (PROJECT_ROOT / "docs/baselines.md").read_text().replace("\\\n", "")
    variables = set(re.findall(r"^    export (.*)$", guide, flags=re.MULTILINE))
    for name in FEDERATION:
        service = compose["services"][name]
        program, *words = service["command"]
        (line,) = re.findall(rf"^    {program} (.*)$", guide, flags=re.MULTILINE)
        assert {word for word in words if word.startswith("--")} == set(re.findall(r"--[\w-]+", line)), name
        assert {" ".join(f"{key}={value}" for key, value in service["environment"].items())} == variables


def test_the_images_hold_all_that_the_site_reads() -> None:
    """What .dockerignore lets in, by the rules that this file keeps to: all is out but what is named."""
    named = [
        line[1:] for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    assert all((PROJECT_ROOT / name).exists() for name in named)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    packages = {Path(name).parts[0] for name in tracked if name.endswith("/__init__.py")} - {"tests"}
    assert packages | {"docs", "templates", "manage.py", "LICENSE"} <= set(named)


def test_secrets_are_made_once_and_fit_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run(
            [PROJECT_ROOT / "deploy/containers/make-secrets", folder], check=True, stdout=subprocess.DEVNULL
        )
        made = {
            str(file.relative_to(folder)): file.read_text().strip()
            for file in folder.rglob("*")
            if file.is_file()
        }
        (folder / "site/metrics_token").write_text("an operator's own")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    password = made["database/password"]
    assert (
        len(password) == 40
        and made["site/database_url"] == f"postgresql://flowertune:{password}@database/flowertune"
    )
    assert (
        f"requirepass {made['site/redis_url'].split(':')[2].partition('@')[0]}\n"
        in made["valkey/valkey.conf"]
    )
    (identity,) = json.loads(made["objects/s3.json"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": made["site/s3_access_key_id"], "secretKey": made["site/s3_secret_access_key"]}
    ]
    monkeypatch.setitem(Environment.model_config, "secrets_dir", folder / "site")
    read = Environment()
    assert read.database_url == made["site/database_url"] and read.metrics_token == "an operator's own"
    again = {
        str(file.relative_to(folder)): file.read_text().strip()
        for file in folder.rglob("*")
        if file.is_file()
    }
    assert again == made | {"site/metrics_token": "an operator's own"}


def test_certificates_are_made_once_and_only_the_superlink_has_its_key(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    def made() -> dict[str, str]:
        script = PROJECT_ROOT / "deploy/containers/make-certificates"
        subprocess.run([script, folder, "board.example.org"], check=True, capture_output=True)
        verify = ["openssl", "verify", "-verify_hostname", "board.example.org", "-CAfile", "supernode/ca.pem"]
        subprocess.run([*verify, "superlink/server.pem"], cwd=folder, check=True, capture_output=True)
        return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*.*")}

    first = made()
    assert set(first) == {
        "authority/ca.key", "authority/ca.pem", "supernode/ca.pem",
        "superlink/ca.pem", "superlink/server.pem", "superlink/server.key",
    }  # fmt: skip
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "authority/ca.key").stat().st_mode) == 0o400
    assert made() == first
    (folder / "superlink/server.pem").unlink()
    renewed = made()
    assert {name for name in first if renewed[name] != first[name]} == {
        "superlink/server.pem",
        "superlink/server.key",
    }
    (folder / "authority/ca.pem").unlink()
    assert not set(made().values()) & set(renewed.values())


def test_every_secret_is_a_setting() -> None:
    script = (PROJECT_ROOT / "deploy/containers/make-secrets").read_text()
    assert {name.upper() for name in re.findall(r"keep site/(\w+)", script)} <= SETTINGS
