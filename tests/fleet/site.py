"""The site on its fleet: what runs on which machine."""

from __future__ import annotations

import sys
import time

import boto3
import httpx

from portal.machine.processes import web_command
from tests.fleet import services
from tests.fleet.machines import Fleet, Machine

WEB, GPU_1, GPU_2 = "web", "gpu-1", "gpu-2"
PORT = 8000
WEB_ADDRESS = "10.77.0.1"
URL = f"http://{WEB_ADDRESS}:{PORT}"

_CELERY = [sys.executable, "-m", "tests.faults.launch", "celery", "--app", "workers.app", "--quiet"]
_WAIT_SECONDS = 120.0


def bring_up(fleet: Fleet) -> None:
    """As docs/fleet.md has it, in its order."""
    web = fleet.machines[WEB]
    web.boot()
    web.start("services", [sys.executable, "-m", "tests.fleet.services", web.address])
    _until_open(services.POSTGRES, services.VALKEY, services.S3, services.HUB)
    boto3.client(
        "s3",
        endpoint_url=f"http://{WEB_ADDRESS}:{services.S3}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ).create_bucket(Bucket="fleet")
    for command in (["migrate"], ["collectstatic", "--noinput"]):
        web.run(command[0], [sys.executable, "manage.py", *command, "--verbosity", "0"])
    web.start("web", web_command(web.address, PORT))
    web.start("scheduler", [*_CELERY, "beat", "--loglevel", "WARNING", "--pidfile="])
    web.start("worker", worker_command(web))
    for name in (GPU_1, GPU_2):
        fleet.machines[name].boot()
        fleet.machines[name].start("worker", worker_command(fleet.machines[name]))
    _until_ready()


def worker_command(machine: Machine) -> list[str]:
    """The web machine's does what needs no GPU."""
    queues = "maintenance" if machine.name == WEB else "evaluate,train"
    command = [*_CELERY, "worker", "--queues", queues, "--pool", "threads", "--concurrency", "6"]
    command += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    return [*command, "--hostname", f"worker@{machine.name}"]


def _until_open(*ports: int) -> None:
    import socket

    for port in ports:
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                socket.create_connection((WEB_ADDRESS, port), timeout=2).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def _until_ready() -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            said = (answer := httpx.get(f"{URL}/readyz", timeout=5)).text
            if answer.status_code == httpx.codes.OK:
                return
        except httpx.TransportError as error:
            said = str(error)  # it does not listen yet
        if time.monotonic() > deadline:
            raise TimeoutError(f"the web machine did not become ready: {said}")
        time.sleep(0.5)
