"""A client's own work: its share of the rows, their tokens, and the loss it follows."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluation.errors import DataError
from evaluation.federated import data, local_model, training
from evaluation.federated.config import FederatedConfig


def test_a_row_is_written_as_in_fingpt() -> None:
    row = data.Row("What is it?", "A sentence.", "positive")
    assert row.prompt == "Instruction: What is it?\nInput: A sentence.\nAnswer: "
    assert data.Row("Say yes.", "", "yes").prompt == "Instruction: Say yes.\nAnswer: "


def test_tokens_end_with_the_end_token_and_start_as_an_evaluation_prompt(config: FederatedConfig) -> None:
    tokenizer = local_model.local_model(config).tokenizer
    row = data.Row("the price is", "up", "buy")
    tokens = data.encode(row, tokenizer, 32)
    assert list(tokens.prompt) == tokenizer(row.prompt)["input_ids"]
    assert tokens.answer[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(tokens.answer[:-1]) == "buy"


@given(st.integers(0, 30), st.integers(1, 30), st.integers(8, 24))
def test_a_long_row_keeps_the_end_of_its_prompt_and_the_start_of_its_answer(
    prompt: int, answer: int, length: int
) -> None:
    class Letters:
        eos_token_id = 0

        def __call__(self, text: str, **_options: bool) -> dict[str, list[int]]:
            return {"input_ids": [ord(letter) for letter in text]}

    row = data.Row("p" * prompt, "", "a" * answer)
    tokens = data.encode(row, Letters(), length)
    whole = [ord(letter) for letter in row.prompt]
    assert len(tokens) == min(length, len(whole) + answer + 1)
    assert list(tokens.prompt) == whole[len(whole) - len(tokens.prompt) :]
    assert len(tokens.answer) >= min(answer + 1, length // 2)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 6))
def test_batches_have_the_asked_size_and_use_all_rows_evenly(rows: int, size: int, steps: int) -> None:
    tokens = [data.Tokens((1,) * (row + 1), (2,)) for row in range(rows)]
    drawn = data.batches(tokens, size, steps, random.Random(0))
    assert [len(batch) for batch in drawn] == [size] * steps
    times = [sum(batch.count(row) for batch in drawn) for row in tokens]
    assert max(times) - min(times) <= 1


def test_the_loss_is_that_of_the_whole_sequences_on_answer_tokens(config: FederatedConfig) -> None:
    """Left padding and projecting the last positions only change the cost, not the value."""
    local, batch = local_model.local_model(config), training.tokenised(config, 0)
    assert len({len(row) for row in batch}) > 1
    total, count = torch.tensor(0.0), 0
    for row in batch:
        ids = torch.tensor([row.prompt + row.answer])
        logits = local.model(input_ids=ids).logits[0, len(row.prompt) - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(row.answer), reduction="sum").detach()
        count += len(row.answer)
    torch.testing.assert_close(
        training.answer_loss(local, batch).detach(), total / count, rtol=1e-5, atol=1e-6
    )


def test_the_base_model_is_loaded_once_and_only_lora_weights_train(config: FederatedConfig) -> None:
    local = local_model.local_model(config)
    assert local_model.local_model(replace(config, rounds=9, seed=1)).model is local.model
    trainable = {name for name, p in local.model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_client_computes_with_the_run_s_threads_and_not_the_process_s(
    threads: int, config: FederatedConfig
) -> None:
    config = replace(config, threads=threads, held_out=2, evaluate_every=1)
    torch.set_num_threads(2)
    arrays = training.train(config, 0, training.Work(1, 0.01), {}).arrays
    assert torch.get_num_threads() == threads
    torch.set_num_threads(2)
    training.held_out_loss(config, arrays)
    assert torch.get_num_threads() == threads


def test_rows_are_digested_by_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text('{"instruction": "i", "input": "", "output": "o"}\n')
    other.write_text('{"output": "o", "instruction": "i", "note": 1}\n\n')
    assert data.read(one).digest == data.read(other).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("{", "line 1: not JSON"),
        ('{"instruction": "i", "input": "", "output": "o"}\n[]', "line 2: not a JSON object"),
        ('{"input": "", "output": "o"}', "line 1, column 'instruction': expected text"),
        ('{"instruction": "i", "input": 3, "output": "o"}', "column 'input': expected text, found 3"),
        ('{"instruction": "i", "output": ""}', "there is no answer to learn"),
    ],
)
def test_malformed_rows_are_refused_with_their_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        data.read(path)


def test_each_challenge_has_demonstration_rows() -> None:
    for challenge in ("general-nlp", "finance", "medical", "code"):
        assert data.read(data.locate(None, challenge)).demonstration
