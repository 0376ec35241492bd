"""A worker's GPUs, shared out among what it evaluates at once: one for each, or several for a large model.

A machine without GPUs is one slot.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from evaluation import gpus
from workers.supervisor import EvaluationProcess, shutting_down
from workers.turns import Gpus

LOOK_SECONDS = 1.0


@dataclass(eq=False)
class Slot:
    """A GPU by its UUID, as CUDA_VISIBLE_DEVICES names it and by its memory, and the process that evaluates
    there."""

    uuid: str = ""
    device: str = ""
    memory_bytes: int = 0
    process: EvaluationProcess = field(default_factory=EvaluationProcess)


class Slots:
    """All of a worker's. For any thread."""

    def __init__(self, slots: Sequence[Slot] = ()) -> None:
        self.all = tuple(slots) or (Slot(),)
        self._used: set[Slot] = set()
        self._gathering: list[Share] = []
        self._changed = threading.Condition()

    @classmethod
    def here(cls) -> Slots:
        """On the GPUs that this process is given. One whose memory is unknown is taken to hold any model."""
        memory = {gpu.uuid: gpu.memory_bytes for gpu in gpus.devices()}
        given = gpus.given().items()
        return cls([Slot(uuid, device, memory.get(uuid, sys.maxsize)) for uuid, device in given])

    def take(self, but: Collection[Slot] = ()) -> Share | None:
        """Wait for a free slot; None where the worker is told to stop.

        Who has looked for work for some in vain names them, and gets None where no other is free: who uses
        the others looks again. Who gathers several comes first: else there would always be one that is used.
        """
        with self._changed:
            while self._gathering or not self._free(but):
                if but:
                    return None
                self._changed.wait(LOOK_SECONDS)
                if shutting_down.is_set():
                    return None
            share = Share(self)
            self._give(share, self._free(but)[:1])
            return share

    def stop(self) -> None:
        """End the processes of all slots, on which nothing is evaluated any more."""
        for slot in self.all:
            slot.process.stop()

    def put_back(self, share: Share) -> None:
        with self._changed:
            self._used.difference_update(share.slots)
            share.slots = ()
            self._changed.notify_all()

    def gather(self, share: Share, count: int, meanwhile: Callable[[], None]) -> None:
        """Wait until so many are free, and give them to `share`. Raises what `meanwhile` raises.

        It gives back what it has until then: two that each kept one would wait for the other's.
        """
        own = share.slots
        with self._changed:
            self._gathering.append(share)
        try:
            self.put_back(share)
            while not self._gathered(share, count, own):
                meanwhile()
        finally:
            with self._changed:
                self._gathering.remove(share)
                self._changed.notify_all()

    def _gathered(self, share: Share, count: int, own: Sequence[Slot]) -> bool:
        """Whether it has them now; after a second at most."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._gathering[0] is share and len(self._free()) >= count, LOOK_SECONDS
            ):
                return False
            # Its own first, whose process may have the model in its place.
            self._give(share, sorted(self._free(), key=lambda slot: slot not in own)[:count])
            return True

    def _give(self, share: Share, slots: Sequence[Slot]) -> None:
        share.slots = tuple(slots)
        self._used.update(slots)

    def _free(self, but: Collection[Slot] = ()) -> list[Slot]:
        return [slot for slot in self.all if slot not in self._used and slot not in but]


class Share:
    """The slots that one evaluation has. A context manager: leaving it gives them back."""

    def __init__(self, of: Slots) -> None:
        self._of = of
        self.slots: tuple[Slot, ...] = ()

    @property
    def process(self) -> EvaluationProcess:
        return self.slots[0].process

    @property
    def devices(self) -> str:
        """As CUDA_VISIBLE_DEVICES lists them; "" without GPUs."""
        return ",".join(slot.device for slot in self.slots)

    @property
    def gpus(self) -> Gpus | None:
        uuids = tuple(slot.uuid for slot in self.slots if slot.uuid)
        return Gpus(uuids) if uuids else None

    @property
    def memory(self) -> tuple[int, ...]:
        """Of all GPUs that it might have, its own first; of the processor none is told."""
        own = self.slots[0]
        others = (slot for slot in self._of.all if slot is not own)
        return tuple(slot.memory_bytes for slot in (own, *others))

    def widen(self, count: int, meanwhile: Callable[[], None]) -> None:
        """Wait for so many slots, calling `meanwhile` each second; what their processes kept is let go of.

        Raises what `meanwhile` raises; then it has none.
        """
        if count > len(self.slots):
            self._of.gather(self, count, meanwhile)
            for slot in self.slots[1:]:
                slot.process.stop()

    def __enter__(self) -> Share:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._of.put_back(self)
