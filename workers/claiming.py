"""Claims evaluations for this worker until none is queued: as many at once as it has GPUs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import cache

from django.db import connection

from evaluation.engines.hardware import Hardware
from portal.runs import claims, services
from portal.runs.models import Evaluation
from portal.runs.services import LeftToOthers
from workers import capabilities, evaluate, turns
from workers.leases import Lease
from workers.orders import WORKER_NAME
from workers.slots import LOOK_SECONDS, Share, Slot, Slots
from workers.supervisor import shutting_down

logger = logging.getLogger(__name__)

_making = threading.Lock()


class Evaluator:
    """Evaluates on all slots of a worker, each from a thread; those live as long as the worker."""

    def __init__(self, slots: Slots, hardware: Hardware) -> None:
        self.slots = slots
        self._hardware = hardware
        self._beyond = {slot.uuid: self._beyond_hardware(slot.uuid) for slot in slots.all}
        self._not_judged: frozenset[LeftToOthers] = frozenset()
        """What this machine turned out to have not the programs for."""
        self._pool = ThreadPoolExecutor(len(slots.all), thread_name_prefix="evaluate")
        self._lock = threading.Lock()
        self._going: set[Future[None]] = set()
        self._is_watched = threading.Lock()

    def run(self) -> None:
        """Return once nothing is queued or the worker is told to stop; at once where another call waits for
        that."""
        self._begin()
        # Again, for a call that came when this one was about to return.
        while self._going and self._is_watched.acquire(blocking=False):
            try:
                while self._going:
                    self._watch()
                if shutting_down.is_set():
                    self.slots.stop()
            finally:
                self._is_watched.release()

    def left_to_others(self) -> tuple[LeftToOthers, ...]:
        """What none of its GPUs can compute, or the machine turned out not to be able to judge."""
        columns = zip(*self._beyond.values(), strict=True)
        return *(max(lefts, key=_how_little) for lefts in columns), *self._not_judged

    def _beyond_hardware(self, uuid: str) -> tuple[LeftToOthers, ...]:
        own = tuple(gpu for gpu in self._hardware.gpus if gpu.uuid == uuid) or self._hardware.gpus
        return tuple(
            capabilities.left_for_want_of_hardware(replace(self._hardware, gpus=own), self._hardware)
        )

    def _begin(self) -> None:
        """Have one more thread look for work, unless there is one for each slot."""
        with self._lock:
            if sum(not one.done() for one in self._going) < len(self.slots.all):
                self._going.add(self._pool.submit(self._evaluate))

    def _watch(self) -> None:
        """What breaks one of the threads is logged at once: the others go on, a later call looks again."""
        ended = wait(set(self._going), timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED).done
        with self._lock:
            self._going -= ended
        for error in filter(None, (one.exception() for one in ended)):
            logger.error("looking for evaluations broke", exc_info=error)

    def _evaluate(self) -> None:
        in_vain: list[Slot] = []
        try:
            while share := self.slots.take(in_vain):
                with share:
                    if shutting_down.is_set():
                        return
                    own = share.slots[0]
                    in_vain = [] if self._evaluate_next(share) else [*in_vain, *self._like(own)]
        finally:
            connection.close()

    def _like(self, slot: Slot) -> Iterator[Slot]:
        """Those that leave the same to others, itself among them."""
        return (other for other in self.slots.all if self._beyond[other.uuid] == self._beyond[slot.uuid])

    def _evaluate_next(self, share: Share) -> bool:
        """Returns whether there may be more for these GPUs."""
        if share.gpus and share.gpus.are_wanted():
            self._begin()  # on another, which may not be
            return not shutting_down.wait(turns.POLL_SECONDS)
        left = *self._beyond[share.slots[0].uuid], *self._not_judged
        evaluation = services.claim(
            worker=WORKER_NAME, loaded_base_model=share.process.loaded_base_model, without=left
        )
        if evaluation is None:
            services.say_what_waits(self.left_to_others())
            return False
        self._begin()
        # Found out only now, because trying the sandbox takes seconds; on a busy machine longer than a lease.
        with Lease(evaluation).kept():
            unjudged = capabilities.left_for_want_of_a_sandbox(evaluation.challenge, evaluation.protocol)
        if unjudged is None:
            evaluate.run(evaluation, share)
        else:
            self._leave(evaluation, unjudged)
        return True

    def _leave(self, evaluation: Evaluation, unjudged: LeftToOthers) -> None:
        self._not_judged |= {unjudged}
        with suppress(claims.ClaimLostError):  # withdrawn meanwhile
            services.give_back(evaluation, f"it waits for {unjudged.waits_for}")


def here() -> Evaluator:
    """This worker's, on the GPUs that it is given: one, whichever of its threads asks first."""
    with _making:
        return _made()


@cache
def _made() -> Evaluator:
    return Evaluator(Slots.here(), Hardware.here())


def run_queued() -> None:
    """Claim and run evaluations until the queue is empty or the worker is told to stop."""
    here().run()


def _how_little(left: LeftToOthers) -> tuple[bool, int]:
    """Sorts by how much is not left: models of any size are least of it."""
    return left.parameters is not None, left.parameters or 0
