"""The app on several machines: a real SuperLink and two SuperNodes, as processes on the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.federated import deployment
from evaluation.federated.config import FederatedConfig
from evaluation.federated.simulation import quiet_environment

ROOT = Path(__file__).resolve().parents[3]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 180
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, f"nothing listens on port {port}"
        time.sleep(0.1)


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, one for the loopback address and its key."""
    script = ROOT / "deploy/containers/make-certificates"
    subprocess.run([script, folder, "127.0.0.1"], check=True, capture_output=True)
    own = folder / "superlink"
    return folder / "supernode/ca.pem", own / "server.pem", own / "server.key"


@pytest.fixture
def federation(tmp_path: Path, base_model: Path, rows_file: Path) -> Iterator[deployment.SuperLink]:
    """A SuperLink that speaks TLS alone, and two SuperNodes that know where their model and rows are."""
    authority, certificate, key = certificates(tmp_path / "secrets")
    fleet, control, server_io, *node_io = free_ports(5)
    home = tmp_path / "flower"
    home.mkdir()
    programs_folder = Path(sys.executable).parent  # Flower's programs start each other by name
    environment = os.environ | quiet_environment(str(home)) | {
        "OMP_NUM_THREADS": "3", "PATH": f"{programs_folder}:{os.environ['PATH']}",
    }  # fmt: skip
    superlink: list[str | Path] = [
        "flower-superlink", "--disable-runtime-dependency-installation",
        "--ssl-ca-certfile", authority, "--ssl-certfile", certificate, "--ssl-keyfile", key,
        "--fleet-api-address", f"127.0.0.1:{fleet}", "--control-api-address", f"127.0.0.1:{control}",
        "--serverappio-api-address", f"127.0.0.1:{server_io}",
    ]  # fmt: skip
    programs: list[list[str | Path]] = [superlink]
    for partition, port in enumerate(node_io):
        own = f'partition-id={partition} model-path="{base_model}" train-data="{rows_file}"'
        programs.append([
            "flower-supernode", "--superlink", f"127.0.0.1:{fleet}", "--root-certificates", authority,
            "--clientappio-api-address", f"127.0.0.1:{port}", "--node-config", own,
        ])  # fmt: skip
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "flower.log").open("w"))
        for program, *words in programs:
            started = subprocess.Popen(
                [programs_folder / str(program), *words],
                env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            stack.enter_context(started)
            stack.callback(started.terminate)
        wait_until_open(control)
        yield deployment.SuperLink(f"127.0.0.1:{control}", authority)


def test_the_app_trains_on_a_superlink_with_two_supernodes(
    federation: deployment.SuperLink, config: FederatedConfig, tmp_path: Path
) -> None:
    config = replace(config, clients=2, clients_per_round=2, rounds=1)
    asked = tmp_path / "run.json"
    asked.write_text(json.dumps(config.as_dict()))
    ran = subprocess.run(
        [
            sys.executable, "-m", "evaluation.federated", "--config", asked, "--events",
            "--superlink", federation.address, "--root-certificates", str(federation.root_certificates),
            "--output", tmp_path / "out",
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr + (tmp_path / "flower.log").read_text()
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [event["event"] for event in events] == ["ready", "round", "done"]
    measured = json.loads((tmp_path / "out" / "training.json").read_text())
    assert [one["clients"] for one in measured["rounds"]] == [[0, 1]]
    assert measured["hardware"]["clients"].endswith(", 1 threads")  # the run's, whatever the nodes were given
    assert measured["communication_up_bytes"] == measured["trainable_parameters"] * 4 * 2
    refused = subprocess.run(
        [
            sys.executable, "-m", "evaluation.federated", "--config", asked, "--output", tmp_path / "out",
            "--superlink", federation.address, "--root-certificates", str(federation.root_certificates),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "ended as finished:failed: the output folder" in refused.stderr
