"""Which stored adapters have an update like a checkpoint's: by all sketches first, then by a few files."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, cast

from django.db.models import Q, QuerySet

from evaluation.errors import CheckpointError
from evaluation.resemblance.factors import AdapterFactors, scales
from evaluation.resemblance.mixtures import likely_parts
from evaluation.resemblance.results import Comparison, Mixture
from evaluation.resemblance.sketches import SIGNIFICANT, VERSION, Sketch, estimate, sketch
from evaluation.resemblance.updates import compare, mixture
from portal.outages.causes import StorageError, storage_access
from portal.review.resemblance.report import EXACT, Likeness
from portal.submissions.models import AdapterSketch, Checkpoint, Submission

# How these were chosen, docs/reviewing.md says.
NEAR = 0.98
MERGED = 0.99
RELATED = 0.3
# Of a merge, what its parts explain beyond the best of them alone.
_GAIN = 0.01
# Those most alike by their sketches: so many files are read, and so many may be parts of a merge.
_COMPARED = 8
_POOL = 24
# Of the own team's not more than these, so that others' are always among the former.
_OF_TEAM = 3
_ROWS = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Alike:
    """A stored checkpoint that is like another; `weight` is what it has in a merge."""

    checkpoint: int
    likeness: Likeness
    update: Comparison | None
    weight: float | None = None


@dataclass(frozen=True)
class AdapterSearch:
    """What a search among `compared` adapters came to, the closest first; `remarks` say what it left out."""

    compared: int
    alike: tuple[Alike, ...]
    merge: Mixture | None
    remarks: tuple[str, ...]


def without_sketch() -> QuerySet[Checkpoint]:
    """Checkpoints of submissions that have none yet of this version; what trainings kept is no entry."""
    lacking = Checkpoint.objects.filter(~Q(sketch__version=VERSION) | Q(sketch=None))
    return lacking.filter(pk__in=Submission.objects.values("checkpoint")).order_by("pk")


def keep_sketch(checkpoint: Checkpoint) -> AdapterSketch:
    """Read a checkpoint and store its sketch, or why there is none. Raises StorageError."""
    content, problem = b"", ""
    try:
        with ExitStack() as files:
            content = sketch(_opened(checkpoint, files)).to_bytes()
    except CheckpointError as error:
        problem = str(error)[:400]
        logger.warning("checkpoint %s has no sketch: %s", checkpoint.pk, problem)
    stored, _ = AdapterSketch.objects.update_or_create(
        checkpoint=checkpoint, defaults={"version": VERSION, "content": content, "problem": problem}
    )
    return stored


def search(checkpoint: Checkpoint, *, of_team: Set[int] = frozenset()) -> AdapterSearch:
    """Compare a checkpoint with all others. Raises StorageError.

    `of_team` are those that its own team alone sent: some of them are compared at most, so that a team that
    sends many alike does not crowd out whose they are.
    """
    equal = _equal(checkpoint)
    kept = AdapterSketch.objects.filter(checkpoint=checkpoint, version=VERSION).first()
    kept = kept or keep_sketch(checkpoint)
    if kept.problem:
        return AdapterSearch(0, equal, None, (f"Its update was not compared: {kept.problem}.",))
    own = Sketch.from_bytes(kept.content)
    known = {each.checkpoint for each in equal} | {checkpoint.pk}
    pool, compared = _most_alike(own, without=known, few_of=of_team)
    alike, merge, remarks = _by_files(checkpoint, own, pool)
    if own.others:
        remarks.append(
            f"{own.others:,} of its tensors are not compared: magnitudes of DoRA, whole weights, or what is "
            "not loaded."
        )
    return AdapterSearch(compared, (*equal, *alike), merge, tuple(remarks))


def first_submissions(checkpoints: Sequence[int], but: Submission) -> dict[int, Submission]:
    """Of each checkpoint the submission that was sent with it first."""
    found = Submission.objects.filter(checkpoint__in=checkpoints).exclude(pk=but.pk)
    return {
        each.checkpoint_id: each
        for each in found.order_by("-sent_at", "-pk")
        if each.checkpoint_id is not None
    }


def of_team_alone(team: int) -> frozenset[int]:
    """The checkpoints that no other team submitted."""
    others = Submission.objects.exclude(team=team).exclude(checkpoint=None).values("checkpoint")
    own = Submission.objects.filter(team=team).exclude(checkpoint=None).exclude(checkpoint__in=others)
    return frozenset(own.order_by().values_list("checkpoint", flat=True))


def _equal(checkpoint: Checkpoint) -> tuple[Alike, ...]:
    """Those of the same file or the same tensors, the checkpoint itself among them."""
    found = Checkpoint.objects.filter(tensors_digest=checkpoint.tensors_digest).order_by("pk")
    return tuple(
        Alike(each.pk, Likeness.FILE if each.sha256 == checkpoint.sha256 else Likeness.TENSORS, None)
        for each in found
    )


def _most_alike(own: Sketch, *, without: Set[int], few_of: Set[int]) -> tuple[list[tuple[int, Sketch]], int]:
    """The checkpoints most like it beyond chance, the best first, and how many were compared.

    Sketches come in batches and only the best are kept, so that memory does not grow with their number.
    """
    rows = AdapterSketch.objects.filter(version=VERSION, problem="").exclude(checkpoint__in=without)
    count = itertools.count()  # decides between equals, so that sketches are never ordered
    best: list[tuple[float, int, int, Sketch]] = []
    of_few: list[tuple[float, int, int, Sketch]] = []
    compared = 0
    for pk, content in rows.values_list("checkpoint", "content").iterator(chunk_size=_ROWS):
        compared += 1
        other = Sketch.from_bytes(content)
        found = estimate(own, other)
        if found and found.strength >= SIGNIFICANT:
            kept, most = (of_few, _OF_TEAM) if pk in few_of else (best, _POOL)
            heapq.heappush(kept, (found.strength, next(count), pk, other))
            if len(kept) > most:
                heapq.heappop(kept)
    in_order = sorted([*best, *of_few], key=lambda each: -each[0])
    return [(pk, other) for _, _, pk, other in in_order], compared


def _by_files(
    checkpoint: Checkpoint, own: Sketch, pool: list[tuple[int, Sketch]]
) -> tuple[list[Alike], Mixture | None, list[str]]:
    """What the files say of those that the sketches found."""
    parts = [pool[position][0] for position in likely_parts(own, [other for _, other in pool])]
    wanted = list(dict.fromkeys([*[pk for pk, _ in pool[:_COMPARED]], *parts]))
    with ExitStack() as files:
        remarks: list[str] = []
        opened = dict(_readable(wanted, files, remarks))
        adapter = _opened(checkpoint, files)
        updates = dict(zip(opened, compare(adapter, list(opened.values())), strict=True))
        parts = [pk for pk in parts if pk in opened]
        found = mixture(adapter, [opened[pk] for pk in parts], enough=MERGED) if len(parts) > 1 else None
    best = max((update.cosine**2 for update in updates.values() if update.cosine), default=0.0)
    merge = found if found and found.explained >= MERGED and found.explained - best >= _GAIN else None
    weights = dict(zip(parts, merge.weights, strict=True)) if merge else {}
    alike = [
        Alike(pk, likeness, update, weights.get(pk))
        for pk, update in updates.items()
        if (likeness := likeness_of(update, is_part=pk in weights))
    ]
    order = list(Likeness)
    return sorted(alike, key=lambda each: order.index(each.likeness)), merge, remarks


def likeness_of(update: Comparison, *, is_part: bool) -> Likeness | None:
    """What to call it; None where they have no more in common than trainings on the same data may have."""
    cosines = [abs(value) for value in (update.cosine, update.median) if value is not None]
    if not cosines:
        return None
    if max(cosines) >= EXACT:
        return Likeness.UPDATE
    if max(cosines) >= NEAR:
        return Likeness.NEAR
    if update.within is not None and update.within >= NEAR:
        return Likeness.RANKS
    if is_part:
        return Likeness.PART
    return Likeness.RELATED if max(*cosines, update.within or 0.0) >= RELATED else None


def _readable(
    wanted: list[int], files: ExitStack, remarks: list[str]
) -> Iterator[tuple[int, AdapterFactors]]:
    """The adapters that can be read; of the others a remark."""
    known = Checkpoint.objects.in_bulk(wanted)
    for pk in wanted:
        try:
            yield pk, _opened(known[pk], files)
        except CheckpointError as error:
            remarks.append(f"One that is alike by its sketch could not be read: {error}.")


def _opened(checkpoint: Checkpoint, files: ExitStack) -> AdapterFactors:
    """Raises CheckpointError where the file is gone or damaged, StorageError where the storage is away."""
    try:
        with storage_access():
            file = files.enter_context(checkpoint.file.open("rb"))
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise CheckpointError("the stored adapter is gone") from error
        raise
    return AdapterFactors(
        cast(BinaryIO, file), checkpoint.size, scales(checkpoint.adapter_config, checkpoint.summary)
    )
