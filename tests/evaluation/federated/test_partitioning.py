"""The split of the rows: disjoint, complete, reproducible, and skewed as asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.data.training import TrainingRow
from evaluation.errors import DataError
from evaluation.federated import data
from evaluation.federated.config import FederatedConfig, Partition
from evaluation.federated.partitioning import OTHER_VALUES, SHOWN_VALUES, bars, shares, split
from tests.profiles import examples

SUBJECTS = ("law", "physics", "history")


def rows_of(count: int, subjects: tuple[str, ...] = SUBJECTS) -> data.TrainingData:
    rows = tuple(
        TrainingRow("i", str(n), "yes" if n % 2 else "no", (("subject", subjects[n % len(subjects)]),))
        for n in range(count)
    )
    return data.TrainingData("rows", rows, "", demonstration=False)


def run_with(clients: int, partition: Partition, *, held_out: int = 0, seed: int = 1) -> FederatedConfig:
    return FederatedConfig(
        challenge="finance", strategy="fedavg", model=Path("m"), base_model_id="m", train_data=Path("d"),
        clients=clients, clients_per_round=1, rounds=1, local_steps=1, batch_size=1, sequence_length=8,
        learning_rate=0.3, learning_rate_min=0.1, rank=1, alpha=1, target_modules=("q",), precision="bf16",
        seed=seed, partition=partition, held_out=held_out,
    )  # fmt: skip


KINDS = (
    Partition(),
    Partition("dirichlet", 0.7, "output"),
    Partition("dirichlet", 5.0, "subject"),
    Partition("size", 0.4),
    Partition("natural", column="subject"),
)


@settings(max_examples=examples(60))
@given(
    st.sampled_from(KINDS), st.integers(1, 3), st.integers(30, 90), st.integers(0, 12), st.integers(0, 2**31)
)
def test_a_split_is_disjoint_complete_reproducible_and_leaves_no_client_without_rows(
    partition: Partition, clients: int, count: int, held_out: int, seed: int
) -> None:
    rows = rows_of(count)
    config = run_with(clients, partition, held_out=held_out, seed=seed)
    division = split(config, rows)
    assert len(division.clients) == clients
    assert all(division.clients)
    assert len(division.held_out) == held_out
    everything = [*division.held_out, *(row for client in division.clients for row in client)]
    assert sorted(everything) == list(range(count))
    assert split(replace(config, rounds=9), rows_of(count)) == division


@pytest.mark.parametrize(("count", "clients"), [(10, 3), (7, 7), (100, 6)])
def test_equal_parts_differ_by_one_row_at_most_and_by_seed(count: int, clients: int) -> None:
    config = run_with(clients, Partition())
    parts = split(config, rows_of(count)).clients
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert parts != split(replace(config, seed=2), rows_of(count)).clients


def test_a_small_alpha_makes_labels_uneven_and_a_large_one_even() -> None:
    def share_of_yes(alpha: float) -> list[float]:
        config = run_with(4, Partition("dirichlet", alpha, "output"))
        rows = rows_of(400)
        picture = shares(split(config, rows), rows, "output")
        assert picture.values == ("no", "yes")
        return [yes / (no + yes) for no, yes in picture.counts]

    uneven, even = share_of_yes(0.2), share_of_yes(1000.0)
    assert max(uneven) - min(uneven) > 0.4
    assert max(even) - min(even) < 0.1


def test_a_small_alpha_makes_sizes_uneven_whatever_the_labels() -> None:
    rows = rows_of(400)
    sizes = shares(split(run_with(5, Partition("size", 0.3)), rows), rows, None).rows
    assert max(sizes) > 3 * min(sizes)
    near = shares(split(run_with(5, Partition("size", 1000.0)), rows), rows, None).rows
    assert max(near) < 1.3 * min(near)


def test_natural_groups_stay_together() -> None:
    rows = rows_of(60, ("a", "b", "c", "d", "e"))
    division = split(run_with(2, Partition("natural", column="subject")), rows)
    subjects = [{dict(rows.rows[row].others)["subject"] for row in client} for client in division.clients]
    assert subjects[0].isdisjoint(subjects[1])
    assert sorted(map(len, subjects)) == [2, 3]


@pytest.mark.parametrize(
    ("partition", "clients", "held_out", "message"),
    [
        (Partition(), 31, 0, "31 clients cannot share the 30 rows$"),
        (Partition(), 30, 1, "cannot share the 30 rows but the 1 held out"),
        (Partition("natural", column="subject"), 4, 0, "'subject' has 3 values, too few for 4 clients"),
        (Partition("dirichlet", 0.001, "output"), 9, 0, "left one of 9 clients without rows"),
        (Partition("dirichlet", 1.0, "topic"), 2, 0, "30 of 30 rows have no column 'topic'"),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    partition: Partition, clients: int, held_out: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        split(run_with(clients, partition, held_out=held_out), rows_of(30))


def test_further_columns_of_a_file_can_decide(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"instruction": "i", "output": "o", "year": 1999}\n{"instruction": "i", "output": "o", "year": 2001}'
    )
    assert data.read(path).column("year") == ("1999", "2001")


def test_rows_are_told_from_others_by_the_column_that_decides() -> None:
    rows, others = rows_of(12), rows_of(12, ("law", "physics"))
    assert rows.identity(None) == others.identity(None) == others.identity("output")
    assert rows.identity("subject") != others.identity("subject")


def test_the_picture_counts_rows_by_client_and_value_and_joins_rare_values() -> None:
    rows = rows_of(90, tuple(f"s{number:02}" for number in range(30)))
    division = split(run_with(3, Partition(), held_out=6), rows)
    picture = shares(division, rows, "subject")
    assert len(picture.values) == SHOWN_VALUES
    assert picture.values[-1] == OTHER_VALUES
    assert picture.rows == (28, 28, 28)
    lines = bars(picture)
    assert lines[0] == "rows a client, by subject"
    assert lines[1].split()[:3] == ["0", "28", "█" * 40]
    assert lines[-1].split() == ["kept", "6", "rows", "held", "out,", "never", "trained", "on"]


def test_by_label_each_client_holds_so_many_values_and_all_rows_are_shared(
    config: FederatedConfig, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"instruction": "i", "output": f"{number % 5}"}) + "\n" for number in range(50))
    )
    config = replace(config, train_data=rows, clients=10, partition=Partition("label", None, "output", 2))
    found = data.read(rows)
    division = split(config, found)
    values = found.column("output")
    assert {len({values[row] for row in part}) for part in division.clients} == {2}
    assert sorted(row for part in division.clients for row in part) == list(range(50))
    with pytest.raises(DataError, match="2 clients with 2 values each cannot hold the 5 values"):
        split(replace(config, clients=2), found)


def test_a_folder_of_challenges_gives_one_client_a_domain(config: FederatedConfig, tmp_path: Path) -> None:
    for name, count in (("finance", 3), ("medical", 5), ("general_nlp", 4)):
        line = json.dumps({"instruction": name, "output": "yes"}) + "\n"
        (tmp_path / f"{name}.jsonl").write_text(line * count)
    assert data.locate(tmp_path, "finance").name == "finance.jsonl"
    folder = data.locate(tmp_path, "finance", data.DOMAIN)
    config = replace(config, train_data=folder, clients=3, partition=Partition("natural", None, data.DOMAIN))
    found = data.read(folder)
    division = split(config, found)
    domains = found.column(data.DOMAIN)
    assert sorted(len(part) for part in division.clients) == [3, 4, 5]
    assert all(len({domains[row] for row in part}) == 1 for part in division.clients)
