"""Completions that were made elsewhere, joined to a benchmark's items: one answer or several to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.benchmarks.samples import Sample
from evaluation.data import Dataset
from evaluation.engines.completion_files import Answer, read_answers
from evaluation.errors import DataError
from evaluation.running.score import attempt_key

_FENCE = "```"


@dataclass(frozen=True)
class GivenCompletions:
    """The texts by the key of each attempt, `attempts` an item, and what is odd about them."""

    texts: Mapping[str, str]
    attempts: int
    warnings: tuple[str, ...]


def read_given(path: Path, dataset: Dataset) -> GivenCompletions:
    """Read a file of completions for a benchmark. Raises DataError, also for ids that it does not have."""
    answers = read_answers(path)
    samples = {sample.key: sample for sample in dataset.samples}
    by_item: dict[str, list[str]] = {}
    strange: list[str] = []
    for answer in answers:
        sample = _sample(answer, dataset.samples, samples)
        if sample is None:
            strange.append(answer.key or answer.place)
            continue
        by_item.setdefault(sample.key, []).extend(_texts(answer, sample))
    slug = dataset.benchmark.slug
    if strange:
        raise DataError(
            f"{path} has {len(strange)} ids that {slug} does not have in these data, first: {min(strange)!r}"
        )
    attempts = _attempts(path, by_item, answers, is_program=dataset.benchmark.language is not None)
    texts = {
        attempt_key(samples[key], attempt, attempts): text
        for key, given in by_item.items()
        for attempt, text in enumerate(given)
    }
    return GivenCompletions(texts, attempts, tuple(_warnings(by_item, samples, dataset)))


def _sample(answer: Answer, ordered: Sequence[Sample], samples: Mapping[str, Sample]) -> Sample | None:
    """The item that is answered. Some harnesses put the benchmark's name before an item's number."""
    if answer.key is None:
        return ordered[answer.position] if answer.position < len(ordered) else None
    return samples.get(answer.key) or samples.get(answer.key.rpartition("/")[2])


def _texts(answer: Answer, sample: Sample) -> list[str]:
    """The answers alone: a whole program begins with the prompt, which the protocol puts before it itself."""
    if answer.follows_line and _runs_on(sample):
        return [text if text.startswith("\n") else f"\n{text}" for text in answer.texts]
    if not answer.is_whole:
        return list(answer.texts)
    return [
        text.lstrip().removeprefix(sample.prompt) if _repeats(text, sample) else text for text in answer.texts
    ]


def _repeats(text: str, sample: Sample) -> bool:
    return bool(sample.prompt) and text.lstrip().startswith(sample.prompt.rstrip())


def _runs_on(sample: Sample) -> bool:
    """Whether what follows the prompt stands in its last line."""
    return bool(sample.prompt) and not sample.prompt.endswith("\n")


def _attempts(
    path: Path, by_item: Mapping[str, Sequence[str]], answers: Sequence[Answer], *, is_program: bool
) -> int:
    """How many answers each item has: one, or the same number of programs. Raises DataError."""
    counts = {len(given) for given in by_item.values()}
    if counts <= {1}:
        return 1
    seen: set[str | None] = set()
    for answer in answers:
        if answer.key is not None and answer.key in seen and (not is_program or len(counts) > 1):
            raise DataError(f"{answer.place}: the id {answer.key!r} stands twice")
        seen.add(answer.key)
    if not is_program:
        raise DataError(f"{path}: several completions an item are for programs (pass@k)")
    if len(counts) > 1:
        raise DataError(f"{path}: items have {min(counts)} to {max(counts)} completions; all need as many")
    return counts.pop()


def _warnings(
    by_item: Mapping[str, Sequence[str]], samples: Mapping[str, Sample], dataset: Dataset
) -> list[str]:
    """What most completions have in common that the protocol does not expect in a program."""
    given = [(samples[key], text) for key, texts in by_item.items() for text in texts]
    if dataset.benchmark.language is None or not given:
        return []
    fenced = sum(text.lstrip().startswith(_FENCE) for _, text in given)
    repeated = sum(_repeats(text, sample) for sample, text in given)
    indented = sum(text[:1] in (" ", "\t") and _runs_on(sample) for sample, text in given)
    shares = (
        (fenced, f"begin with a code fence ({_FENCE})", "send the code without fences"),
        (repeated, "repeat the prompt", "send what follows the prompt"),
        (indented, "begin with an indented line, in the prompt's last line", "begin them with a line break"),
    )
    read = (
        "A completion is put behind its prompt as it is, and ends at the first of the benchmark's stop "
        "strings, so that these hardly run"
    )
    return [
        f"{count:,} of {len(given):,} completions {what}. {read}: {advice}."
        for count, what, advice in shares
        if 2 * count >= len(given)
    ]
