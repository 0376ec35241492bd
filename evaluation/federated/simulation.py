"""Runs the Flower app on this machine with Flower's simulation engine, and leaves nothing running.

`run_simulation` is used although Flower prefers `flwr run`. That starts a detached SuperLink on a fixed port
which outlives the run, takes two more processes and some seconds, and installs the app's dependencies from a
package index unless that SuperLink was told not to. Here errors come back as exceptions, and Ray's memory,
address and folder can be chosen. The app itself is the same: `flwr run` works on the folder `app`.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from itertools import chain

from evaluation import gpus
from evaluation.errors import EngineCrashError, EvaluationError
from evaluation.federated import own_ray
from evaluation.federated.farewell import HOME, none_left
from evaluation.federated.job import PreparedRun

Failure = Callable[[PreparedRun, EvaluationError], None]


def run(jobs: Iterable[PreparedRun], failed: Failure | None = None) -> None:
    """Run jobs one after another on one federation, and write their results; each is asked for when the one
    before is done.

    They share number of clients, base model and adapter shape, so that the base model is loaded once. One
    process a GPU, or one with all cores, serves the clients of a round in turn: one copy of the base model
    on each device. When this returns or raises, also on KeyboardInterrupt, no process that it started is
    left. Call it from the main thread, as Ray and signals ask for it.
    Raises EvaluationError as `federate` does, EngineCrashError when Flower or Ray fails. Where `failed` is
    given it is told of a job that could not but fail, and the next one goes on.
    """
    upcoming = iter(jobs)
    first = next(upcoming)
    begun = [first]
    with (
        tempfile.TemporaryDirectory(prefix="flwr-", ignore_cleanup_errors=True) as scratch,
        none_left(scratch),
    ):
        os.environ |= quiet_environment(scratch)
        # Only now, because Flower and Ray read their settings from the environment when they are imported.
        import ray
        from flwr.app import Context
        from flwr.serverapp import Grid, ServerApp
        from flwr.simulation import run_simulation

        from evaluation.federated import client_app
        from evaluation.federated.server_app import federate

        # Silences the notice that `run_simulation` is deprecated, and those of libraries about each other,
        # which Flower turns on; errors still show.
        logging.getLogger("flwr").setLevel(logging.ERROR)
        warnings.simplefilter("ignore", DeprecationWarning)
        server, devices = ServerApp(), gpus.count()

        def serve(grid: Grid, _context: Context) -> None:
            for job in chain([first], upcoming):
                begun.append(job)
                try:
                    federate(grid, job)
                except EvaluationError as error:
                    if failed is None or error.retryable:
                        raise
                    failed(job, error)

        server.main()(serve)
        cores = _cores()
        try:
            own_ray.start(scratch, max(cores, devices), devices)  # Flower uses a Ray that runs already
            run_simulation(
                server_app=server,
                client_app=client_app.app,
                num_supernodes=first.config.clients,
                backend_config={"client_resources": client_resources(cores, devices)},
            )
        except EvaluationError:
            raise
        except RuntimeError as error:  # what Flower raises, with the cause behind it
            raise EngineCrashError(f"Flower's simulation ended: {error.__cause__ or error}") from error
        finally:
            for job in begun:
                job.stop.set()
            ray.shutdown()


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def client_resources(cores: int, devices: int) -> dict[str, int]:
    """What one client process gets: a GPU and its share of the cores, without GPUs all cores."""
    return {"num_cpus": max(1, cores // max(1, devices)), "num_gpus": min(1, devices)}


def quiet_environment(scratch: str) -> dict[str, str]:
    """What keeps Flower and Ray offline, quiet and in `scratch`, for the processes that inherit it."""
    return {
        HOME: scratch,
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        **own_ray.LOOPBACK_ONLY,
        # Ray runs its processes at a low priority, which starves them where anything else runs.
        "RAY_worker_niceness": "0",
        # Threads that spin while they wait for each other cost several times the work on a busy machine.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        # Without NVIDIA's driver Ray hands out no GPU; a client then sees those that this process sees.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
    }
