"""A study's plan as somebody wrote it: what is made of it, and all that is wrong said at once."""

from __future__ import annotations

import pytest

from evaluation.federated import study

PLAN = """
title = "x"
preset = "cpu-one"
base_models = ["a/b", "a/c"]
challenges = ["finance"]
strategies = ["fedavg", "fedprox"]
adapters = ["lora"]
seeds = [1, 2]
"""


def problems(text: str) -> str:
    with pytest.raises(study.PlanError) as refusal:
        study.read(text)
    return "\n".join(refusal.value.problems)


def test_every_kind_of_partition_reaches_its_runs_and_has_a_name_to_exclude_it_by() -> None:
    plan = study.read(
        PLAN
        + 'partitions = ["iid", { kind = "dirichlet", alpha = 0.5, column = "output" }, '
        + '{ kind = "label", column = "output", labels = 2 }, '
        + '{ kind = "label", column = "output", labels = 3 }]\n'
        + '[[exclude]]\npartition = "label 3 output"\nstrategy = "fedprox"\n'
    )
    names = [cell.partition_name for cell in plan.cells if cell.base_model == "a/b"]
    of_fedavg = ["iid", "dirichlet 0.5 output", "label 2 output", "label 3 output"]
    assert names == [*of_fedavg, *of_fedavg[:3]]
    labelled = next(cell for cell in plan.cells if cell.partition_name == "label 3 output")
    assert plan.config(labelled, 1).partition.labels == 3


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('partitions = ["iid", { kind = "iid" }]', "iid is there twice"),
        ('partitions = [{ kind = "label", column = "output", labels = "2" }]', 'labels cannot be "2"'),
        ('partitions = [{ kind = "dirichlet", column = "output", alpha = true }]', "alpha cannot be true"),
        ("partitions = []", "partitions must be a list"),
        ("partitions = [3]", "3 is no partition"),
        ("[strategy_options]\nfedavg = 3", "strategy_options.fedavg must be a table"),
        ('[target_modules]\n"a/b" = "q_proj"', "target_modules.a/b must be a list"),
        ('[target_modules]\n"a/b" = []', "target_modules.a/b must be a list"),
        ("[settings]\nstrategy_options = {}", "settings.strategy_options has a table of its own"),
        ('[settings]\nmodel = "/etc/passwd"', "settings.model is decided by the plan's lists"),
        ('[[exclude]]\nstrategy = "fedadam"', "'fedadam' is no strategy of the plan"),
        ("[[exclude]]\nstrategy = 3", "3 is no strategy of the plan"),
        ('include = "/etc/passwd"', "include is no part of a plan"),
        ("x = " + "[" * 5_000 + "]" * 5_000, "too deep"),
    ],
)
def test_what_cannot_be_meant_is_named(more: str, problem: str) -> None:
    assert problem in problems(f"{PLAN}{more}\n")


@pytest.mark.parametrize(
    ("was", "becomes", "problem"),
    [
        ('"x"', r'"a\nb"', "title must be a text"),
        ('"a/b"', r'"a/b\u0000"', "is no name"),
        ('"a/b"', '" "', "is no name"),
        ("[1, 2]", "[]", "seeds must be a list"),
        ("[1, 2]", "[1, 1.0]", "1.0 is no seed"),
        ("[1, 2]", "[true]", "True is no seed"),
        ('["a/b", "a/c"]', str([f"a/{n}" for n in range(30_000)]), "its lists make 60,000 cells"),
        ('["a/b", "a/c"]', str([f"a/{n}" for n in range(2_000)]), "it has 8,000 runs"),
    ],
)
def test_values_that_no_run_could_have_are_refused(was: str, becomes: str, problem: str) -> None:
    assert problem in problems(PLAN.replace(was, becomes))


def test_a_plan_from_a_windows_editor_is_read() -> None:
    assert study.read("\ufeff" + PLAN.replace("\n", "\r\n")).runs == 8


def test_a_stored_plan_is_read_though_its_settings_are_gone() -> None:
    text = PLAN.replace("cpu-one", "a-former-preset") + "[settings]\na_former_setting = 3\n"
    assert "a-former-preset" in problems(text)
    assert len(study.stored(text).cells) == 4


def test_the_papers_plan_can_run() -> None:
    plan = study.read(study.named("paper"))
    assert len(plan.base_models) == 26 and len(plan.cells) == 26 * 4 * 5
    config = plan.config(plan.cells[0], 42)
    assert (config.rounds, config.rank, config.alpha, config.dropout) == (15, 32, 64, 0.075)
    assert (config.adapter, config.precision, config.clients, config.clients_per_round) == (
        "dora",
        "fp4",
        20,
        4,
    )
