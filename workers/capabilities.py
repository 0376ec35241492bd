"""What this worker leaves to others, because its machine cannot compute it, or cannot judge its answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
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
from workers import turns

logger = logging.getLogger(__name__)


def left_for_want_of_hardware(own: Hardware, together: Hardware) -> Iterator[LeftToOthers]:
    """By protocol and challenge: for its precision, or for base models that are too large in it.

    `own` is one of a worker's GPUs, or its processor; `together` has all of its GPUs.
    """
    for number in PROTOCOLS:
        for challenge in CHALLENGES:
            yield _left(rules.of(challenge, number), own, together)


def gpus_needed(parameters: int | None, precision: str, memory: Sequence[int]) -> int:
    """How many of a worker's GPUs, of so much memory each, evaluating a model takes; the first is its own.

    One where that holds it, or where the engine would use no other. Else 2, 4 … or all of them: models can be
    divided by such numbers.
    """
    if len(memory) < 2 or not _divides(precision):
        return 1
    if turns.evaluating_bytes(parameters, precision) <= memory[0]:
        return 1
    powers = (2**exponent for exponent in range(1, len(memory).bit_length()))
    fitting = (
        count for count in powers if turns.evaluating_bytes(parameters, precision, gpus=count) <= min(memory)
    )
    return next(fitting, len(memory))


def _left(asked: Rules, own: Hardware, together: Hardware) -> LeftToOthers:
    precision, engine = settings.EVALUATION_PRECISION or asked.precision, settings.EVALUATION_ENGINE
    challenge, number = asked.challenge.slug, asked.protocol.number
    if engine == "vllm" and vllm_support.build() is None:
        return LeftToOthers(challenge, number, "a worker with vLLM, which EVALUATION_ENGINE asks for")
    lacking = own.lacks(precision)
    if lacking and not settings.EVALUATION_PRECISION:  # else nothing is official, and fp16 will do
        return LeftToOthers(challenge, number, f"a worker with {lacking}")
    several = _divides(precision)
    most = (together if several else own).most_parameters(precision, several_gpus=several)
    wanted = f"a worker with more memory: {most / 1e9:,.1f} billion parameters in {precision} fill this one's"
    return LeftToOthers(challenge, number, wanted, parameters=most)


def _divides(precision: str) -> bool:
    """transformers computes on one GPU; vLLM, which takes 16-bit weights, on all that it is given."""
    if settings.EVALUATION_ENGINE == "transformers":
        return False
    return vllm_support.build() == "cuda" and precision in ("bf16", "fp16")


@cache
def left_for_want_of_a_sandbox(challenge: str, number: int) -> LeftToOthers | None:
    """None where answers can be judged here: programs need a sandbox, which takes seconds to try out."""
    try:
        check_sandbox(BENCHMARKS[slug] for slug in rules.of(challenge, number).benchmarks)
    except SandboxError as error:
        logger.error("this worker leaves %s to others: %s", CHALLENGES[challenge].title, error)
        return LeftToOthers(challenge, number, "a worker that can run generated programs")
    return None
