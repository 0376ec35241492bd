"""`compare`: what may be compared, what is warned of, what is concluded, which files are refused."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest

from evaluation.__main__ import main
from evaluation.commands.status import Status
from evaluation.running.comparison import Comparison, Results, ResultsError, compare, conclusions
from evaluation.statistics import mcnemar_exact

Content = dict[str, Any]


def bits(flags: Sequence[bool]) -> str:
    return base64.b64encode(numpy.packbits(numpy.array(flags, dtype=bool)).tobytes()).decode()


def benchmark(right: Sequence[bool], unscored: Sequence[int] = ()) -> Content:
    scored = [i not in unscored for i in range(len(right))]
    right = [flag and seen for flag, seen in zip(right, scored, strict=True)]
    return {
        "n": len(right),
        "available": len(right),
        "correct_count": sum(right),
        "unscored": len(unscored),
        "data": "official",
        "data_digest": "d1" * 32,
        "correct_bits": bits(right),
        "scored_bits": bits(scored),
    }


def content(**benchmarks: Content) -> Content:
    return {
        "protocol": 1,
        "engine": "transformers",
        "benchmarks": benchmarks,
        "provenance": {
            "precision": "nf4",
            "model": "owner/base@0123",
            "model_digests": {"model.safetensors": "aa"},
            "adapter_digests": {},
            "hardware": {"accelerator": None},
            "packages": {"torch": "2.13.0"},
            "git_commit": None,
        },
    }


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[bool], list[bool]]:
    """The right answers of two runs, mixed up so that no byte is all ones."""
    rows = [(True, True)] * both + [(True, False)] * only_a + [(False, True)] * only_b
    rows += [(False, False)] * neither
    numpy.random.default_rng(0).shuffle(rows)
    return [bool(a) for a, _ in rows], [bool(b) for _, b in rows]


FPB_A, FPB_B = answers(300, 90, 40, 170)
TFNS_A, TFNS_B = answers(500, 61, 60, 379)
A = content(fpb=benchmark(FPB_A), tfns=benchmark(TFNS_A))
B = content(fpb=benchmark(FPB_B), tfns=benchmark(TFNS_B))
B["provenance"]["adapter_digests"] = {"adapter_model.safetensors": "bb"}


@pytest.fixture
def results(tmp_path: Path) -> Callable[[str, Content], Results]:
    def write(name: str, data: Content) -> Results:
        (tmp_path / name).write_text(json.dumps(data), encoding="utf-8")
        return Results.read(tmp_path / name)

    return write


@pytest.fixture
def comparison(results: Callable[[str, Content], Results]) -> Comparison:
    return compare(results("a.json", A), results("b.json", B))


def changed(data: Content, *path: str, to: object) -> Content:
    """A copy with one value replaced."""
    copied = copy.deepcopy(data)
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return copied


def test_each_benchmark_has_its_exact_test_and_the_correction(comparison: Comparison) -> None:
    fpb, tfns = comparison.benchmarks
    assert (fpb.pairs.items, fpb.pairs.both, fpb.pairs.only_a, fpb.pairs.only_b) == (600, 300, 90, 40)
    assert (fpb.score_a, fpb.score_b) == (390 / 600, 340 / 600)
    assert fpb.p_value == mcnemar_exact(90, 40)
    assert (fpb.p_holm, tfns.p_holm) == (2 * fpb.p_value, tfns.p_value)
    assert fpb.interval_a[0] < fpb.score_a < fpb.interval_a[1]


def test_the_averages_difference_has_an_interval(comparison: Comparison) -> None:
    difference = (50 / 600 + 1 / 1_000) / 2
    assert comparison.difference == pytest.approx(difference)
    assert comparison.average_a[0] - comparison.average_b[0] == pytest.approx(difference)
    low, high = comparison.interval
    assert 0 < low < difference < high
    assert comparison.p_value < 0.01


def test_the_conclusion_is_said_in_words(comparison: Comparison) -> None:
    on_average, by_benchmark, limits = conclusions(comparison)
    assert on_average.startswith("Averaged over 2 benchmarks, a is better than b")
    assert "a is better on fpb; no difference is shown on tfns" in by_benchmark
    assert "another training run" in limits
    assert comparison.warnings == ()


def test_the_other_way_round_everything_is_mirrored(
    comparison: Comparison, results: Callable[[str, Content], Results]
) -> None:
    mirrored = compare(results("b.json", B), results("a.json", A))
    low, high = comparison.interval
    assert mirrored.interval == pytest.approx((-high, -low))
    assert [r.p_holm for r in mirrored.benchmarks] == [r.p_holm for r in comparison.benchmarks]
    assert "b is better than a" in conclusions(mirrored)[0]


def test_runs_that_cannot_be_told_apart_are_not_called_equal(
    results: Callable[[str, Content], Results],
) -> None:
    a, b = (
        results("a.json", content(tfns=benchmark(TFNS_A))),
        results("b.json", content(tfns=benchmark(TFNS_B))),
    )
    first, _ = conclusions(compare(a, b))
    assert first == "No difference is shown on tfns, where there still may be one."
    assert "exactly the same items" in conclusions(compare(a, a))[0]


def test_a_handful_of_items_is_no_proof(results: Callable[[str, Content], Results]) -> None:
    (first_a, first_b), (second_a, second_b) = answers(10, 3, 0, 7), answers(10, 2, 0, 8)
    a = content(fpb=benchmark(first_a), tfns=benchmark(second_a))
    b = content(fpb=benchmark(first_b), tfns=benchmark(second_b))
    compared = compare(results("a.json", a), results("b.json", b))
    assert compared.interval[0] > 0
    assert compared.p_value > 0.05
    assert "cannot be told apart: too few items differ" in conclusions(compared)[0]


def test_items_that_one_run_has_not_scored_are_left_out_and_told(
    results: Callable[[str, Content], Results],
) -> None:
    a = results("a.json", content(fpb=benchmark(FPB_A, unscored=[0, 1])))
    b = results("b.json", content(fpb=benchmark(FPB_B, unscored=[1, 2])))
    compared = compare(a, b)
    assert compared.benchmarks[0].pairs.items == 597
    assert "fpb: 3 items are left out, as one of the runs has no score on them" in compared.warnings


@pytest.mark.parametrize(
    ("path", "value", "warning"),
    [
        (["engine"], "vllm", "the engine differs: transformers and vllm"),
        (["provenance", "precision"], "bf16", "the precision differs: nf4 and bf16"),
        (
            ["provenance", "hardware", "accelerator"],
            "NVIDIA L4",
            "the accelerator differs: none and NVIDIA L4",
        ),
        (["provenance", "packages"], {"torch": "2.12.0", "peft": "1"}, "peft none and 1, torch 2.13.0 and"),
        (["provenance", "git_commit"], "c0ffee", "commit of the evaluating code differs: none and c0ffee"),
        (["provenance", "adapter_digests"], {}, "the same model and adapter"),
    ],
)
def test_differences_worth_knowing_are_warnings(
    path: list[str], value: object, warning: str, results: Callable[[str, Content], Results]
) -> None:
    compared = compare(results("a.json", A), results("b.json", changed(B, *path, to=value)))
    assert warning in compared.warnings[0]


def test_demonstration_data_and_few_differing_items_are_warned_of(
    results: Callable[[str, Content], Results],
) -> None:
    right, other = answers(20, 3, 1, 16)
    a, b = content(fpb=benchmark(right)), content(fpb=benchmark(other))
    a["benchmarks"]["fpb"]["data"] = b["benchmarks"]["fpb"]["data"] = "demonstration"
    b["provenance"]["adapter_digests"] = {"adapter_model.safetensors": "bb"}
    demonstration, rough = compare(results("a.json", a), results("b.json", b)).warnings
    assert "demonstration data" in demonstration
    assert "fewer than 10 items tell the runs apart" in rough


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["protocol"], 2, "the protocols are 1 and 2"),
        (
            ["benchmarks", "fpb", "data_digest"],
            "ee" * 32,
            "the data of fpb differ (digest d1d1d1d1d1d1 of 600",
        ),
        (["benchmarks", "fpb", "available"], 1_212, "the data of fpb differ"),
        (["benchmarks"], {"fpb": B["benchmarks"]["fpb"]}, "b.json has no tfns"),
        (["benchmarks"], {**B["benchmarks"], "fiqa": B["benchmarks"]["fpb"]}, "a.json has no fiqa"),
        (
            ["benchmarks", "fpb"],
            {**benchmark(FPB_B[:300]), "available": 600},
            "of fpb 600 and 300 items were",
        ),
    ],
)
def test_what_forbids_a_comparison_is_named(
    path: list[str], value: object, message: str, results: Callable[[str, Content], Results]
) -> None:
    a, b = results("a.json", A), results("b.json", changed(B, *path, to=value))
    with pytest.raises(ResultsError, match="cannot be compared") as raised:
        compare(a, b)
    assert message in str(raised.value)


def test_everything_that_forbids_it_is_named_at_once(results: Callable[[str, Content], Results]) -> None:
    b = changed(changed(B, "protocol", to=2), "benchmarks", "fpb", "data_digest", to="ee")
    with pytest.raises(ResultsError, match="the protocols are 1 and 2; the data of fpb differ"):
        compare(results("a.json", A), results("b.json", b))


def test_runs_without_an_item_in_common_are_refused(results: Callable[[str, Content], Results]) -> None:
    a = content(fpb=benchmark([True, False], unscored=[0]))
    b = content(fpb=benchmark([True, False], unscored=[1]))
    with pytest.raises(ResultsError, match="no item of fpb is scored in both"):
        compare(results("a.json", a), results("b.json", b))


FPB = ["benchmarks", "fpb"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["protocol"], None, "`protocol` is missing"),
        (["protocol"], "1", "`protocol` should be of type int, not str"),
        (["provenance"], None, "`provenance` is missing"),
        (["provenance", "packages"], {"torch": 2}, "`provenance.packages.torch` should be of type str"),
        (["benchmarks"], {}, "`benchmarks` is empty"),
        (["benchmarks"], {"\x1b[2J": {}}, r"`benchmarks` has a key that cannot be shown: '\x1b[2J'"),
        (["provenance", "model"], "\x1b[2J", "`provenance.model` holds characters that cannot be shown"),
        ([*FPB, "n"], 0, "`benchmarks.fpb.n` is 0"),
        ([*FPB, "n"], True, "`benchmarks.fpb.n` should be of type int, not bool"),
        ([*FPB, "correct_bits"], None, "`benchmarks.fpb.correct_bits` is missing"),
        ([*FPB, "scored_bits"], "AA=A", "is damaged: not base64"),
        ([*FPB, "correct_bits"], "AAAA", "is damaged: 600 items take 75 bytes of bits, not 3"),
        ([*FPB, "correct_count"], 1, "`benchmarks.fpb.correct_count` does not agree with the bits"),
        ([*FPB, "unscored"], 1, "`benchmarks.fpb.unscored` does not agree with the bits"),
        ([*FPB, "attempts"], 5, "`benchmarks.fpb.attempts` is 5: only runs of one answer an item"),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_key(
    path: list[str], value: object, message: str, results: Callable[[str, Content], Results]
) -> None:
    with pytest.raises(ResultsError) as raised:
        results("damaged.json", changed(A, *path, to=value))
    assert "damaged.json" in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"protocol": NaN}', "[" * 100_000])
def test_what_is_no_results_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ResultsError, match=r"other\.json"):
        Results.read(tmp_path / "other.json")
    with pytest.raises(ResultsError, match=r"nowhere\.json cannot be read"):
        Results.read(tmp_path / "nowhere.json")


def test_the_command_prints_both_tests_within_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(json.dumps(A))
    Path("b.json").write_text(json.dumps(B))
    assert main(["compare", "a.json", "b.json"]) == Status.DONE
    shown = capsys.readouterr()
    assert shown.err == ""
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "fpb                      65.00 [61.10, 68.71]     56.67 [52.67, 60.58]    +8.33" in shown.out
    assert "fpb                        600     300      90      40    <0.001    <0.001" in shown.out
    assert "(paired randomisation test); 9,999 resamples" in " ".join(shown.out.split())
    assert main(["compare", "a.json", "b.json", "--json", "--seed", "3"]) == Status.DONE
    printed = json.loads(capsys.readouterr().out)
    assert printed["benchmarks"]["fpb"]["only_a_right"] == 90
    assert (printed["average"]["seed"], printed["average"]["resamples"]) == (3, 9_999)
    assert len(printed["conclusions"]) == 3


def test_the_command_fails_with_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert main(["compare", str(tmp_path / "a.json"), "b.json"]) == Status.FAILED
    shown = capsys.readouterr()
    assert (shown.out, shown.err.startswith("error: ")) == ("", True)
