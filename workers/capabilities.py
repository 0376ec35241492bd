"""What this worker leaves to others, because its machine cannot compute it, or cannot judge its answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache

from django.conf import settings

from evaluation import rules
from evaluation.benchmarks import BENCHMARKS
from evaluation.engines import vllm_support
from evaluation.engines.hardware import Hardware
from evaluation.errors import SandboxError
from evaluation.rules import Rules
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import PROTOCOLS
from evaluation.running.judging import check_sandbox
from portal.runs.services import LeftToOthers

logger = logging.getLogger(__name__)


def left_for_want_of_hardware(here: Hardware) -> Iterator[LeftToOthers]:
    """By protocol and challenge: for its precision, or for base models that are too large in it."""
    for number in PROTOCOLS:
        for challenge in CHALLENGES:
            yield _left(rules.of(challenge, number), here)


def _left(asked: Rules, here: Hardware) -> LeftToOthers:
    precision, engine = settings.EVALUATION_PRECISION or asked.precision, settings.EVALUATION_ENGINE
    challenge, number = asked.challenge.slug, asked.protocol.number
    build = vllm_support.build()
    if engine == "vllm" and build is None:
        return LeftToOthers(challenge, number, "a worker with vLLM, which EVALUATION_ENGINE asks for")
    lacking = here.lacks(precision)
    if lacking and not settings.EVALUATION_PRECISION:  # else nothing is official, and fp16 will do
        return LeftToOthers(challenge, number, f"a worker with {lacking}")
    # transformers computes on one GPU; vLLM, which takes 16-bit weights, on all that there are.
    several = engine != "transformers" and build == "cuda" and precision in ("bf16", "fp16")
    most = here.most_parameters(precision, several_gpus=several)
    wanted = f"a worker with more memory: {most / 1e9:,.1f} billion parameters in {precision} fill this one's"
    return LeftToOthers(challenge, number, wanted, parameters=most)


@cache
def left_for_want_of_a_sandbox(challenge: str, number: int) -> LeftToOthers | None:
    """None where answers can be judged here: programs need a sandbox, which takes seconds to try out."""
    try:
        check_sandbox(BENCHMARKS[slug] for slug in rules.of(challenge, number).benchmarks)
    except SandboxError as error:
        logger.error("this worker leaves %s to others: %s", CHALLENGES[challenge].title, error)
        return LeftToOthers(challenge, number, "a worker that can run generated programs")
    return None
