"""A base model small enough to train in milliseconds, rows for it, and a grid that needs no network."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

# What these libraries deprecate in each other while they are imported is not this project's to mend.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import flwr.app
    import flwr.clientapp
    import flwr.serverapp.strategy  # noqa: F401
    import torch

from evaluation.federated.config import FederatedConfig

WORDS = (
    "Instruction",
    "Input",
    "Answer",
    ":",
    "sell",
    "buy",
    "hold",
    "up",
    "down",
    "flat",
    "the",
    "price",
    "is",
)
ANSWERS = {"up": "buy", "down": "sell", "flat": "hold"}


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base_model(tmp_path_factory.mktemp("models") / "tiny-llama")


def make_base_model(folder: Path, width: int = 16) -> Path:
    """A folder with a random Llama of a few thousand weights and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: position for position, word in enumerate(("<unk>", "</s>", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>").save_pretrained(
        folder
    )
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            eos_token_id=1,
            bos_token_id=None,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten training rows with something to learn, in prompts of different lengths."""
    path = tmp_path_factory.mktemp("rows") / "finance.jsonl"
    moves = [tuple(ANSWERS)[i % 3] for i in range(10)]
    rows = [
        {
            "instruction": "the price is",
            "input": " ".join(["the"] * (i % 4) + [move]),
            "output": ANSWERS[move],
        }
        for i, move in enumerate(moves)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take longer than the tiny model's sums. A run sets its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def config(base_model: Path, rows_file: Path) -> FederatedConfig:
    """Two rounds of two out of three clients, which hold 4, 3 and 3 rows."""
    return FederatedConfig(
        challenge="finance",
        strategy="fedavg",
        model=base_model,
        base_model_id="example/tiny-llama",
        train_data=rows_file,
        clients=3,
        clients_per_round=2,
        rounds=2,
        local_steps=2,
        batch_size=2,
        sequence_length=32,
        learning_rate=0.01,
        learning_rate_min=0.001,
        rank=2,
        alpha=4,
        target_modules=("q_proj", "v_proj"),
        precision="fp32",
        seed=7,
        threads=1,
    )
