"""What a run sends: derived, declared, logged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.findings import Finding, FindingCollector, Severity
from evaluation.flowerconfig import inspect_app_config
from evaluation.inspection.communication_log import (
    MAX_SIZE,
    CommunicationLog,
    parse_amount,
    parse_communication_log,
)
from evaluation.method.card import MethodCard
from evaluation.method.communication import (
    GB,
    MB,
    Communication,
    adapter_parameters,
    check_budget,
    check_declared,
    derive,
    size_text,
)
from evaluation.rules import of
from evaluation.rules.challenges import get
from tests.evaluation.adapters import SMOLLM2
from tests.work import lines_run

BASELINE = Communication(13_631_488, clients_per_round=2, rounds=200)


def found(declared: float, derived: Communication = BASELINE, tensors: int = 0) -> list[Finding]:
    findings = FindingCollector()
    check_declared(declared, derived, "form", findings, tensors=tensors)
    return list(findings.collected())


def test_a_base_models_parameters_are_counted_once() -> None:
    assert SMOLLM2.parameters == 134_515_008


def test_communication_is_parameters_times_clients_rounds_and_directions() -> None:
    assert BASELINE.total_bytes == 13_631_488 * 4 * 2 * 200 * 2
    assert (BASELINE.up_bytes, BASELINE.down_bytes) == (BASELINE.total_bytes // 2,) * 2
    assert Communication(1, 1, 1, bytes_per_parameter=2).total_bytes == 4


@pytest.mark.parametrize("strategy", ["ffalora", "rolora", "fedex", "flora"])
def test_what_does_not_send_the_saved_adapter_is_not_derived_from_it(strategy: str) -> None:
    assert derive(MethodCard(strategy=strategy, rounds=3, clients_per_round=2), 10) is None
    assert derive(MethodCard(strategy="flexlora", rounds=3, clients_per_round=2), 10) is not None


def test_a_card_without_rounds_or_clients_derives_nothing() -> None:
    assert derive(MethodCard(rounds=1, clients_per_round=2), 10) == Communication(10, 2, 1)
    assert derive(MethodCard(rounds=1), 10) is None
    assert derive(MethodCard(clients_per_round=1), 10) is None
    assert derive(MethodCard(rounds=1, clients_per_round=2), None) is None


def test_a_real_configuration_derives_the_boards_figure(shared: Path) -> None:
    text = (shared / "configs" / "tioi_smollm2_135m_instruct_general_nlp.toml").read_bytes()
    card, _ = inspect_app_config(text, of("general-nlp"))
    assert card is not None
    parameters = adapter_parameters(card, SMOLLM2)
    assert parameters == 460_800
    derived = derive(card, parameters)
    assert derived is not None and round(derived.total_bytes / MB) == 703
    assert found(0.7 * GB, derived) == []  # as the public board has it
    assert [finding.code for finding in found(0.9 * GB, derived)] == ["communication.differs"]


@pytest.mark.parametrize(
    ("targets", "dora", "parameters"),
    [
        (None, False, 460_800),
        (("q_proj", "v_proj"), False, 460_800),
        (("q_proj", "v_proj"), True, 460_800 + 30 * (576 + 192)),
        (("q_proj", "k_proj", "v_proj", "o_proj"), None, 921_600),
        (("all-linear",), False, 2_442_240),
        ((r".*\.(q|v)_proj",), False, 460_800),
        (("c_attn",), False, None),
        (("(",), False, None),
    ],
)
def test_the_adapters_size_follows_from_rank_and_targets(
    targets: tuple[str, ...] | None, dora: bool | None, parameters: int | None
) -> None:
    assert (
        adapter_parameters(MethodCard(rank=8, target_modules=targets, use_dora=dora), SMOLLM2) == parameters
    )


def test_without_a_rank_the_size_cannot_be_told() -> None:
    assert adapter_parameters(MethodCard(), SMOLLM2) is None


@pytest.mark.parametrize(
    "declared",
    [BASELINE.total_bytes, 40.7 * GB, int(40.6 * GB), BASELINE.total_bytes + 128 * 128 * 800, 41_600 * MB],
)
def test_figures_agree_up_to_framing_and_rounding(declared: float) -> None:
    assert found(declared) == []


@pytest.mark.parametrize(
    ("declared", "hint"),
    [
        (BASELINE.total_bytes / 2, "both directions"),
        (BASELINE.total_bytes * 2, "each direction once"),
        (BASELINE.total_bytes / 1.073741824 + 3, "1024³"),
        (BASELINE.total_bytes * 1.048576 + 3, "1024²"),
        (123456789, "Check the number"),
        (0, "Check the number"),
    ],
)
def test_a_figure_that_differs_is_a_warning_that_says_why(declared: float, hint: str) -> None:
    (finding,) = found(declared)
    assert (finding.code, finding.severity) == ("communication.differs", Severity.WARNING)
    assert hint in finding.message


@pytest.mark.parametrize("declared", [float("nan"), float("inf"), -1.0])
def test_what_is_no_amount_is_an_error(declared: float) -> None:
    assert [finding.code for finding in found(declared)] == ["communication.value"]


def test_one_decimal_of_a_gigabyte_is_allowed_for_only_where_it_is_one() -> None:
    small = Communication(1_843_200, 2, 8)  # 225 MB, 0.22 GB
    assert found(0.2 * GB, small) == []
    assert found(210 * MB, small) != []


def test_the_framing_of_many_small_tensors_is_allowed_for_exactly() -> None:
    tiny = Communication(parameters=1_000, clients_per_round=2, rounds=10)
    with_framing = tiny.total_bytes + 128 * 60 * 40
    assert found(with_framing, tiny, tensors=60) == []
    assert found(with_framing, tiny) != []


def test_the_budget_is_200_000_mebibytes() -> None:
    def codes(total: float) -> list[str]:
        findings = FindingCollector()
        check_budget(total, get("code").communication_budget_bytes, "pyproject.toml", findings)
        return [finding.code for finding in findings.collected()]

    assert codes(200_000 * MB) == []
    assert codes(200_000 * MB + 1) == ["communication.budget"]


def line(used: float, added: float) -> str:
    return f"Communication budget: used {used:.2f} MB (+{added:.2f} MB this round) / 200,000 MB"


def log_of(text: str | bytes) -> tuple[CommunicationLog | None, list[str]]:
    content = text.encode() if isinstance(text, str) else text
    log, findings = parse_communication_log(content)
    return log, [finding.code for finding in findings]


LINES = [line(104.05 * (number + 1), 104.05) for number in range(20)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\n".join(LINES), id="a line a message"),
        pytest.param("".join(LINES), id="glued"),
        pytest.param("\r\n".join(LINES), id="CRLF"),
        pytest.param("\n".join(f"\x1b[92mINFO \x1b[0m:   {each}\nINFO :  [ROUND 1/10]" for each in LINES),
                     id="flwr run"),
        pytest.param("\n".join(each for each in LINES for _ in range(2)), id="two handlers"),
        pytest.param("99%|█████▉| GPU memory used 17 GB\n" + "\n".join(LINES) + "\n52.02 MB",
                     id="among others"),
        pytest.param("\n".join(LINES).lower(), id="lower case"),
    ],
)  # fmt: skip
def test_logs_are_read_in_the_forms_that_people_have(text: str) -> None:
    log, codes = log_of(text)
    assert codes == []
    assert log is not None
    assert log.total_bytes == pytest.approx(2081 * MB)
    assert len(log.messages) == 20
    assert log.messages[3] == pytest.approx(104.05 * MB)


def test_bytes_that_are_no_text_are_passed_over() -> None:
    assert log_of(b"\xff\x00\xfe" + LINES[0].encode() + b"\x80")[0] is not None


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("2.9 GB", 2.9 * GB),
        ("3.66GB", 3.66 * GB),
        ("50 Rounds, 3.00 GiB", 3 * GB),
        ("36406 MB", 36_406 * MB),
        ("#### Communication Cost\n\n36,406 MB\n", 36_406 * MB),
        ("#### Communication budget: used 1040.31 MB (last round)", 1040.31 * MB),
        ("Total: 104,5 MB of a limit of 200,000 MB", 104.5 * MB),
        ("used 3 MB / 200,000 MB", 3 * MB),
        ("1 TB", 1024 * GB),
    ],
)
def test_a_single_total_is_read_without_the_limit_beside_it(text: str, total: float) -> None:
    log, codes = log_of(text)
    assert codes == []
    assert log is not None and log.total_bytes == pytest.approx(total)
    assert parse_amount(f" {text} ") in (None, pytest.approx(total))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("46228 Megabytes", 46228 * MB),
        ("46,228 MB", 46228 * MB),
        ("46 228 MB", 46228 * MB),
        ("46\u202f228 MB", 46228 * MB),
        ("46'228 MB", 46228 * MB),
        ("1.046.228,5 MB", 1046228.5 * MB),
        ("46.228,5 MB", 46228.5 * MB),
        ("46.228 MB", 46.228 * MB),  # a point alone stands before decimals
        ("45.1 GB", 45.1 * GB),
        ("45,1 GB", 45.1 * GB),
        ("~45.1 gigabytes", 45.1 * GB),
        ("45.1GiB", 45.1 * GB),
        ("1 terabyte", 1024 * GB),
        ("12 kibibytes", 12 * 1024),
        ("1 byte", 1),
        ("45.1", 45.1 * GB),  # in the unit that was asked for
        ("46,228", 46228 * GB),
        ("", None),
        ("many MB", None),
        ("-3 GB", None),
        ("3 gibberish", None),
        ("3 Gb/s", None),
    ],
)
def test_an_amount_is_read_as_people_write_it(text: str, amount: float | None) -> None:
    assert parse_amount(text, unit="GB") == (None if amount is None else pytest.approx(amount))


def test_a_point_between_thousands_is_named_as_the_mistake() -> None:
    (finding,) = found(BASELINE.total_bytes / 1000)
    assert "A thousandth of it" in finding.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "communication.log"),
        ("nothing here", "communication.log"),
        ("1 MB, 2 MB", "communication.log"),
        ("5 MB " + "x" * 5000, "communication.log"),
        ("Communication budget: used nan MB (+nan MB this round)", "communication.log_value"),
        (LINES[0] + "\nCommunication budget: used 1.2.3 MB", "communication.log_value"),
        ("x" * (MAX_SIZE + 1), "communication.log_too_large"),
    ],
)
def test_what_is_no_log_is_one_error(text: str, code: str) -> None:
    log, codes = log_of(text)
    assert log is None
    assert codes == [code]


def test_a_log_of_several_runs_counts_the_last_and_warns() -> None:
    text = "\n".join([*LINES[:5], *LINES])
    log, codes = log_of(text)
    assert codes == ["communication.log_restarted"]
    assert log is not None and log.total_bytes == pytest.approx(2081 * MB)
    assert [round(run / MB) for run in log.runs] == [520, 2081]


def test_missing_lines_are_noted_and_the_counter_holds() -> None:
    log, codes = log_of("\n".join(LINES[:4] + LINES[7:]))
    assert codes == ["communication.log_gaps"]
    assert log is not None and log.total_bytes == pytest.approx(2081 * MB)


def test_the_lines_of_a_long_log_take_no_more_work_each_than_those_of_a_short_one() -> None:
    short, long = ("\n".join(line(number, 1) for number in range(2, 2 + n)) for n in (2_000, 20_000))
    log, _ = log_of(long)
    assert log is not None and len(log.messages) == 20_000
    assert lines_run(lambda: log_of(long)) < 11 * lines_run(lambda: log_of(short))


@given(text=st.text(alphabet="Communication budget: used 19.,MGB(+)/\n", max_size=200))
def test_any_text_ends_in_a_log_or_a_finding(text: str) -> None:
    log, codes = log_of(text)
    assert (log is None) == bool(set(codes) - {"communication.log_gaps", "communication.log_restarted"})


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1536, "1.50 KB"), (703 * MB, "703.00 MB"), (40.7 * GB, "40.70 GB")]
)
def test_sizes_are_shown_in_the_boards_units(count: float, text: str) -> None:
    assert size_text(count) == text
