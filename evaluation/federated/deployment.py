"""Sends the Flower app to a SuperLink, for a federation of several machines, and follows the run there.

The SuperLink's machine runs the ServerApp and gets the result; each SuperNode is a client. All paths of the
run are those of the SuperLink's machine, unless a SuperNode's own configuration names others (client_app).
Flower's own command line does the sending: it is what users have, and it checks and packs the app.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import EngineCrashError, EvaluationError
from evaluation.federated.checks import check_settings
from evaluation.federated.config import FederatedConfig, Scalar
from evaluation.federated.simulation import quiet_environment

APP = Path(__file__).with_name("app")
_NAME = "given"
_FLOWER = (sys.executable, "-c", "from flwr.cli.app import app; app()")
_STARTED = re.compile(r"started run (\d+)")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_EVENT = re.compile(r'\{"event": .*')
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class SuperLink:
    """Where a SuperLink's Control API listens. With `root_certificates` (PEM) by TLS alone."""

    address: str
    root_certificates: Path | None = None

    def settings(self) -> str:
        """Flower's configuration file with this SuperLink as the one to use."""
        trust: dict[str, Scalar] = {"insecure": True}
        if self.root_certificates:
            trust = {"root-certificates": str(self.root_certificates.resolve())}
        values = _toml({"address": self.address} | trust)
        return f'[superlink]\ndefault = "{_NAME}"\n\n[superlink.{_NAME}]\n{values}'


def run(
    config: FederatedConfig,
    link: SuperLink,
    *,
    output: Path,
    state: Path | None,
    events: bool,
    said: Callable[[str], None],
) -> None:
    """Send a run and wait for its end; the lines that the ServerApp logs go to `said`, with `events` as JSON.

    On KeyboardInterrupt the run is stopped there. Raises EvaluationError when the settings cannot work or
    the SuperLink refuses the app, EngineCrashError when the run ends there without a result.
    """
    check_settings(config)
    if link.root_certificates and not link.root_certificates.is_file():
        raise EvaluationError(f"there are no root certificates in {link.root_certificates}")
    with tempfile.TemporaryDirectory(prefix="flwr-") as home:
        folder, environment = Path(home), os.environ | quiet_environment(home)
        (folder / "config.toml").write_text(link.settings(), encoding="utf-8")
        values = config.run_config() | {
            "output": str(output),
            "state": str(state) if state else "",
            "events": events,
        }
        (folder / "run.toml").write_text(_toml(values), encoding="utf-8")
        words = ("run", str(APP), _NAME, "--stream", "--run-config", str(folder / "run.toml"))
        number, reason = _follow(words, environment, said)
        status = _status(number, environment)
    if status != "finished:completed":
        raise EngineCrashError(f"the run on {link.address} ended as {status}: {reason}")


def _follow(
    words: tuple[str, ...], environment: Mapping[str, str], said: Callable[[str], None]
) -> tuple[str, str]:
    """Pass on what the run says; returns its number on the SuperLink and the last error that it named."""
    number, last, reason = "", "", "no reason was given"
    with subprocess.Popen(
        [*_FLOWER, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as sending:
        assert sending.stdout
        try:
            for coloured in sending.stdout:
                line = _COLOUR.sub("", coloured).strip()
                started = _STARTED.search(line)
                number = started[1] if started else number
                reason = line.partition("error: ")[2] or reason
                event = _EVENT.search(line)
                if any(map(str.isalnum, line)):  # else it is a blank or the frame that Flower draws
                    last = line
                    said(event[0] if event else line)
        except BaseException:
            sending.terminate()
            if number:
                _flower(("stop", number, _NAME), environment)
            raise
    if not number:
        raise EvaluationError(f"the SuperLink did not take the run: {last}")
    return number, reason


def _status(number: str, environment: Mapping[str, str]) -> str:
    answer = _flower(("list", _NAME, "--run-id", number, "--format", "json"), environment)
    try:
        return str(json.loads(answer)["runs"][0]["status"])
    except (ValueError, LookupError, TypeError) as error:
        raise EngineCrashError(f"the SuperLink does not say how the run ended: {answer:.200}") from error


def _flower(words: tuple[str, ...], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            [*_FLOWER, *words], env=environment, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise EngineCrashError(f"the SuperLink did not answer in {_PATIENCE_SECONDS} s") from error
    return done.stdout


def _toml(values: Mapping[str, Scalar]) -> str:
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
