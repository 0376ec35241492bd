"""Comparing two results files: what may be concluded about two runs that answered the same items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evaluation.checkpoints.strictjson import JsonError, parse_object
from evaluation.errors import EvaluationError
from evaluation.statistics import (
    RESAMPLES,
    Discordance,
    Interval,
    PackedAnswers,
    differences,
    discordance,
    holm,
    mcnemar_exact,
    mean_difference,
    mean_interval,
    paired_interval,
    randomisation_test,
    wilson_interval,
)

T = TypeVar("T")

LEVEL = 0.05
_MAX_BYTES = 64 * 1024**2
# Below so many discordant items over all benchmarks, resampling them says little.
_FEW = 10


class ResultsError(EvaluationError):
    """A results file cannot be read, or two cannot be compared; the text names file and key."""

    code = "results"


@dataclass(frozen=True)
class BenchmarkResult:
    """What a results file holds of one benchmark. `data` is `official`, `demonstration` or `other`."""

    answers: PackedAnswers
    available: int
    data: str
    digest: str


@dataclass(frozen=True)
class Results:
    """A results file. `adapter` and `weights` are digests by file name, empty where there were no files."""

    path: Path
    protocol: int
    engine: str
    precision: str | None
    model: str
    weights: Mapping[str, str]
    adapter: Mapping[str, str]
    accelerator: str | None
    packages: Mapping[str, str]
    git_commit: str | None
    benchmarks: Mapping[str, BenchmarkResult]

    @classmethod
    def read(cls, path: Path) -> Results:
        """Raises ResultsError that names the key of what is missing or wrong."""
        file = _Fields(path, "", _parse(path))
        provenance = file.section("provenance")
        slugs = file.section("benchmarks")
        if not slugs.fields:
            raise file.error("benchmarks", "is empty")
        return cls(
            path=path,
            protocol=file.take("protocol", int),
            engine=file.take("engine", str),
            precision=provenance.maybe("precision", str),
            model=provenance.take("model", str),
            weights=provenance.section("model_digests").texts(),
            adapter=provenance.section("adapter_digests").texts(),
            accelerator=provenance.section("hardware").maybe("accelerator", str),
            packages=provenance.section("packages").texts(),
            git_commit=provenance.maybe("git_commit", str),
            benchmarks={slug: _benchmark(slugs.section(slug)) for slug in slugs.fields},
        )


@dataclass(frozen=True)
class BenchmarkComparison:
    """Two runs on the items of a benchmark that both have scored. `p_holm` is corrected over benchmarks."""

    benchmark: str
    pairs: Discordance
    p_value: float
    p_holm: float

    @property
    def score_a(self) -> float:
        return self.pairs.right_a / self.pairs.items

    @property
    def score_b(self) -> float:
        return self.pairs.right_b / self.pairs.items

    @property
    def interval_a(self) -> Interval:
        return wilson_interval(self.pairs.right_a, self.pairs.items)

    @property
    def interval_b(self) -> Interval:
        return wilson_interval(self.pairs.right_b, self.pairs.items)

    def as_dict(self) -> dict[str, Any]:
        return {
            "score_a": self.score_a,
            "interval_a": self.interval_a,
            "score_b": self.score_b,
            "interval_b": self.interval_b,
            "difference": self.pairs.difference,
            "items": self.pairs.items,
            "both_right": self.pairs.both,
            "only_a_right": self.pairs.only_a,
            "only_b_right": self.pairs.only_b,
            "p_value": self.p_value,
            "p_holm": self.p_holm,
        }


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same items.

    `difference`, `interval` and `p_value` are those of the averages, the last by `resamples` drawn from
    `seed`; `warnings` are what to know before drawing conclusions.
    """

    a: Results
    b: Results
    benchmarks: tuple[BenchmarkComparison, ...]
    difference: float
    interval: Interval
    p_value: float
    resamples: int
    seed: int
    warnings: tuple[str, ...]

    @property
    def average_a(self) -> tuple[float, Interval]:
        return _average([(result.pairs.right_a, result.pairs.items) for result in self.benchmarks])

    @property
    def average_b(self) -> tuple[float, Interval]:
        return _average([(result.pairs.right_b, result.pairs.items) for result in self.benchmarks])

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints. Proportions, not percent; `a` less `b`."""
        (average_a, interval_a), (average_b, interval_b) = self.average_a, self.average_b
        return {
            "a": str(self.a.path),
            "b": str(self.b.path),
            "protocol": self.a.protocol,
            "benchmarks": {result.benchmark: result.as_dict() for result in self.benchmarks},
            "average": {
                "average_a": average_a,
                "interval_a": interval_a,
                "average_b": average_b,
                "interval_b": interval_b,
                "difference": self.difference,
                "interval": self.interval,
                "p_value": self.p_value,
                "confidence": 1 - LEVEL,
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "warnings": list(self.warnings),
            "conclusions": conclusions(self),
        }


def compare(a: Results, b: Results, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Test two runs against each other. Raises ResultsError that names all that forbids it."""
    obstacles = list(_obstacles(a, b))
    if obstacles:
        raise ResultsError(f"{a.path} and {b.path} cannot be compared: {'; '.join(obstacles)}")
    pairs = {
        slug: discordance(result.answers, b.benchmarks[slug].answers) for slug, result in a.benchmarks.items()
    }
    without = [slug for slug, counts in pairs.items() if not counts.items]
    if without:
        raise ResultsError(f"no item of {', '.join(without)} is scored in both {a.path} and {b.path}")
    p_values = [mcnemar_exact(counts.only_a, counts.only_b) for counts in pairs.values()]
    compared = tuple(
        BenchmarkComparison(slug, counts, p_value, p_holm)
        for (slug, counts), p_value, p_holm in zip(pairs.items(), p_values, holm(p_values), strict=True)
    )
    strata = [differences(counts) for counts in pairs.values()]
    return Comparison(
        a,
        b,
        compared,
        difference=mean_difference(strata),
        interval=paired_interval(strata, confidence=1 - LEVEL),
        p_value=randomisation_test(strata, resamples=resamples, seed=seed),
        resamples=resamples,
        seed=seed,
        warnings=tuple(_warnings(a, b, pairs)),
    )


def conclusions(comparison: Comparison) -> list[str]:
    """What may be said, in sentences for a person; `a` and `b` as in the comparison."""
    results = comparison.benchmarks
    if not any(result.pairs.only_a or result.pairs.only_b for result in results):
        return ["Both runs are right on exactly the same items: nothing tells them apart."]
    sentences = [_on_benchmarks(results)]
    if len(results) > 1:
        sentences.insert(0, _on_average(comparison))
    sentences.append(
        "This weighs chance in which items were asked. How much another training run of the same method "
        "would differ is not known from two files."
    )
    return sentences


def _on_average(comparison: Comparison) -> str:
    difference, (low, high) = comparison.difference, comparison.interval
    start = f"Averaged over {len(comparison.benchmarks)} benchmarks,"
    span = f"{100 * low:+.2f} to {100 * high:+.2f} points"
    if low <= 0 <= high:
        return f"{start} the two cannot be told apart: a - b may lie anywhere from {span}."
    if comparison.p_value > LEVEL:
        return f"{start} the two cannot be told apart: too few items differ to trust the interval."
    better, worse = ("a", "b") if difference > 0 else ("b", "a")
    return f"{start} {better} is better than {worse}: a - b lies from {span}."


def _on_benchmarks(results: Sequence[BenchmarkComparison]) -> str:
    a_better = [r.benchmark for r in results if r.p_holm <= LEVEL and r.pairs.difference > 0]
    b_better = [r.benchmark for r in results if r.p_holm <= LEVEL and r.pairs.difference < 0]
    undecided = [r.benchmark for r in results if r.p_holm > LEVEL]
    parts = []
    if a_better:
        parts.append(f"a is better on {_listed(a_better)}")
    if b_better:
        parts.append(f"b is better on {_listed(b_better)}")
    if undecided:
        parts.append(f"no difference is shown on {_listed(undecided)}, where there still may be one")
    sentence = "; ".join(parts)
    if len(results) > 1:
        return f"By benchmark, corrected for {len(results)} tests: {sentence}."
    return f"{sentence[0].upper()}{sentence[1:]}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _average(counts: Sequence[tuple[int, int]]) -> tuple[float, Interval]:
    return sum(right / items for right, items in counts) / len(counts), mean_interval(counts)


def _obstacles(a: Results, b: Results) -> Iterator[str]:
    """What makes the items or the questions different ones."""
    if a.protocol != b.protocol:
        yield f"the protocols are {a.protocol} and {b.protocol}"
    for one, other in ((a, b), (b, a)):
        missing = [slug for slug in one.benchmarks if slug not in other.benchmarks]
        if missing:
            yield f"{other.path} has no {', '.join(missing)}"
    for slug in (slug for slug in a.benchmarks if slug in b.benchmarks):
        first, second = a.benchmarks[slug], b.benchmarks[slug]
        if first.digest != second.digest or first.available != second.available:
            yield (
                f"the data of {slug} differ (digest {first.digest[:12]} of {first.available:,} items, "
                f"{second.digest[:12]} of {second.available:,})"
            )
        elif first.answers.items != second.answers.items:
            # A limit takes the same items whenever it is the same.
            yield (
                f"of {slug} {first.answers.items:,} and {second.answers.items:,} items were asked "
                f"(of {first.available:,})"
            )


def _warnings(a: Results, b: Results, pairs: Mapping[str, Discordance]) -> Iterator[str]:
    if a.weights and a.weights == b.weights and a.adapter == b.adapter:
        yield "both files are results of the same model and adapter"
    for name, first, second in (
        ("engine", a.engine, b.engine),
        ("precision", a.precision, b.precision),
        ("accelerator", a.accelerator, b.accelerator),
        ("commit of the evaluating code", a.git_commit, b.git_commit),
    ):
        if first != second:
            yield f"the {name} differs: {first or 'none'} and {second or 'none'}"
    versions = [
        f"{name} {a.packages.get(name, 'none')} and {b.packages.get(name, 'none')}"
        for name in sorted({*a.packages, *b.packages})
        if a.packages.get(name) != b.packages.get(name)
    ]
    if versions:
        yield f"package versions differ: {', '.join(versions)}"
    for slug, counts in pairs.items():
        left_out = a.benchmarks[slug].answers.items - counts.items
        if left_out:
            yield f"{slug}: {left_out:,} items are left out, as one of the runs has no score on them"
    data = {result.data for result in a.benchmarks.values()}
    if "demonstration" in data:
        yield "the items are demonstration data: no conclusion reaches beyond them"
    if 0 < sum(counts.only_a + counts.only_b for counts in pairs.values()) < _FEW:
        yield f"fewer than {_FEW} items tell the runs apart: the interval of the average is rough"


def _parse(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ResultsError(f"{path} is too large to be a results file")
        return parse_object(path.read_bytes())
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror or error}") from error
    except JsonError as error:
        place = f", {error.place}" if error.place else ""
        raise ResultsError(f"{path}{place}: {error}") from error


def _benchmark(fields: _Fields) -> BenchmarkResult:
    attempts = fields.maybe("attempts", int)
    if attempts is not None and attempts != 1:
        raise fields.error(
            "attempts", f"is {attempts}: only runs of one answer an item can be compared item by item"
        )
    items = fields.take("n", int)
    if items < 1:
        raise fields.error("n", f"is {items}, which is no number of items")
    bits = {key: fields.take(key, str) for key in ("correct_bits", "scored_bits")}
    try:
        answers = PackedAnswers.from_base64(items, bits["correct_bits"], bits["scored_bits"])
    except ValueError as error:
        raise fields.error("correct_bits or scored_bits", f"is damaged: {error}") from error
    for key, count in (
        ("correct_count", answers.right_count),
        ("unscored", items - answers.scored_count),
    ):
        if fields.take(key, int) != count:
            raise fields.error(key, f"does not agree with the bits, which count {count}")
    return BenchmarkResult(
        answers, fields.take("available", int), fields.take("data", str), fields.take("data_digest", str)
    )


@dataclass(frozen=True)
class _Fields:
    """An object in a results file, and where it stands there."""

    path: Path
    place: str
    fields: Mapping[str, object]

    def take(self, key: str, kind: type[T]) -> T:
        """The value of a key. Raises ResultsError when it is missing or of another type."""
        value = self.maybe(key, kind)
        if value is None:
            raise self.error(key, "is missing")
        return value

    def maybe(self, key: str, kind: type[T]) -> T | None:
        """The value of a key, None where it is missing or null."""
        value = self.fields.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, f"should be of type {kind.__name__}, not {type(value).__name__}")
        # Much of this is shown on a terminal, which a file from elsewhere must not steer.
        if isinstance(value, str) and not value.isprintable():
            raise self.error(key, "holds characters that cannot be shown")
        return value

    def section(self, key: str) -> _Fields:
        """The object that a key holds."""
        value = self.take(key, dict)
        strange = [name for name in value if not name.isprintable()]
        if strange:
            raise self.error(key, f"has a key that cannot be shown: {strange[0]!r:.80}")
        return _Fields(self.path, f"{self.place}{key}.", value)

    def texts(self) -> dict[str, str]:
        """The whole object, where every value is a text."""
        return {key: self.take(key, str) for key in self.fields}

    def error(self, key: str, message: str) -> ResultsError:
        return ResultsError(f"{self.path}: `{self.place}{key}` {message}")
