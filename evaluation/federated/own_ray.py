"""A Ray for one run alone: on the loopback interface, in a folder that only this user may read.

Ray has settings for neither: without what stands here it listens on every interface, makes its folder open to
everybody, and gives its own start half a minute, which a machine under load may not keep.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluation.errors import EngineCrashError
from evaluation.federated.farewell import end_processes

logger = logging.getLogger(__name__)

# Adapters pass through Ray's shared memory, a few at a time; by default it would reserve a third of the RAM.
OBJECT_STORE_BYTES = 200 * 1024**2
PATIENCE_SECONDS = 300
# Named for what it is for elsewhere: with it this machine's address is 127.0.0.1 to all of its processes.
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def start(scratch: str, cores: int, devices: int) -> None:
    """Start it in the folder `scratch`; whoever ends the run ends it too (farewell).

    A slow start is told in a line and tried once more, with PATIENCE_SECONDS. Raises EngineCrashError.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Within `scratch`, as Ray opens its own folder to everybody. A short name: sockets' paths have a limit.
    folder = Path(scratch) / "r"
    folder.mkdir(mode=0o700)
    try:
        reason = _started(folder, cores, devices)
        if reason:
            logger.warning("Ray has not started (%s); trying once more", reason)
            end_processes(scratch)
            with _patience(PATIENCE_SECONDS):
                reason = _started(folder, cores, devices)
        if reason:
            raise EngineCrashError(f"Ray does not start on this machine: {reason}")
    finally:
        for number, handler in handlers.items():  # Ray puts its own in their place, which abort the process
            signal.signal(number, handler)


def _started(folder: Path, cores: int, devices: int) -> str:
    """Start it; returns the reason, in one line, when that fails."""
    import ray

    try:
        ray.init(
            address="local",  # and none that the environment names
            num_cpus=cores,
            num_gpus=devices,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )
    except Exception as error:  # noqa: BLE001 - Ray says that it is slow in nothing narrower
        ray.shutdown()
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Have Ray look so long for the node that it starts, in place of its fixed half a minute."""
    from ray._private import services

    once: Callable[..., Any] = services.get_node

    def waited(*arguments: Any) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return once(*arguments)
            except RuntimeError:  # it has not registered itself yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    services.get_node = waited
    try:
        yield
    finally:
        services.get_node = once
