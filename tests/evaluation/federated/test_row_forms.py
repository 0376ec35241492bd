"""A training row to the byte, its loss mask to the token, and the order of rows: the public apps' own."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.data.training import TrainingRow
from evaluation.errors import DataError, ModelError
from evaluation.federated import training
from evaluation.federated.config import FederatedConfig
from evaluation.federated.encoding import IGNORED, Tokens, batches, encode, response_marker
from evaluation.federated.local_model import local_model
from evaluation.method.row_form import BOTH, RowForm, columns_of

SENTENCE = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
ROWS = {
    "general-nlp": TrainingRow("Name a colour.", "Not red.", "Blue, for example."),
    "finance": TrainingRow("What is the sentiment of this news?", "Profit fell.", "negative"),
    "medical": TrainingRow("Answer this question truthfully", "What is scurvy?", "A lack of vitamin C."),
    "code": TrainingRow("Write a loop.", "", "for i in range(3):\n    print(i)"),
}
# To the byte, the blank that code's empty input leaves behind the instruction included.
TEXTS = {
    "general-nlp": f"{SENTENCE}\n### Instruction:\nName a colour.\n### Response: Blue, for example.",
    "finance": f"{SENTENCE}\n### Instruction:\nWhat is the sentiment of this news? Profit fell.\n"
    "### Response: negative",
    "medical": f"{SENTENCE}\n### Instruction:\nWhat is scurvy?\n### Response: A lack of vitamin C.",
    "code": f"{SENTENCE}\n### Instruction:\nWrite a loop. \n### Response: for i in range(3):\n    print(i)",
}


@pytest.fixture(scope="module")
def byte_pairs() -> Any:
    """A tokenizer of the kind that GPT-2, Llama 3 and Qwen have, which pads with its end token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS.values(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")


@pytest.fixture(scope="module")
def pieces() -> Any:
    """One of the kind that Llama 2 and Mistral have: words behind a mark, and a blank put before a text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    characters = sorted({*"".join(TEXTS.values()), *"abcdefghijklmnopqrstuvwxyz"} - {" ", "\n"})
    vocabulary = ["<unk>", "</s>", "<0x0A>", "▁", *characters, "##", "###"]
    merges = [("#", "#"), ("##", "#")]
    model = models.BPE(
        vocab={piece: number for number, piece in enumerate(vocabulary)},
        merges=merges,
        unk_token="<unk>",
        byte_fallback=True,
    )
    made = Tokenizer(model)
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens([AddedToken("</s>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", unk_token="<unk>")


def form_of(challenge: str, **changes: Any) -> RowForm:
    return replace(RowForm("alpaca", columns_of(challenge)), **changes)


@pytest.mark.parametrize("challenge", ROWS)
def test_a_row_of_each_challenge_is_that_of_the_public_apps_to_the_byte(challenge: str) -> None:
    row = ROWS[challenge]
    assert form_of(challenge).prompt(row.instruction, row.input) + row.output == TEXTS[challenge]


def test_the_paper_made_the_instruction_of_both_columns_in_all_challenges() -> None:
    prompt = RowForm("alpaca", BOTH).prompt("Answer this question truthfully", "What is scurvy?")
    assert "\nAnswer this question truthfully What is scurvy?\n" in prompt


@pytest.mark.parametrize("kind", ["byte_pairs", "pieces"])
@pytest.mark.parametrize("challenge", ROWS)
def test_loss_is_on_the_tokens_after_the_heading_of_the_response_alone(
    challenge: str, kind: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(kind)
    row = encode(ROWS[challenge], form_of(challenge), tokenizer, 512)
    assert list(row.ids) == tokenizer(TEXTS[challenge])["input_ids"]
    learnt = [token for token, label in zip(row.ids, row.labels, strict=True) if label != IGNORED]
    assert list(row.labels) == [IGNORED] * (len(row) - len(learnt)) + learnt
    assert tokenizer.decode(learnt) == f" {ROWS[challenge].output}"
    assert (row.learnt, row.tail) == (len(learnt), len(learnt))


def test_a_long_text_is_cut_on_the_right_and_without_a_response_nothing_is_learnt(byte_pairs: Any) -> None:
    whole = encode(ROWS["code"], form_of("code"), byte_pairs, 512)
    cut = encode(ROWS["code"], form_of("code"), byte_pairs, len(whole) - 3)
    assert (cut.ids, cut.labels) == (whole.ids[:-3], whole.labels[:-3])
    assert encode(ROWS["code"], form_of("code"), byte_pairs, 20).learnt == 0


def test_a_response_that_holds_the_heading_is_learnt_from_its_last_one_on(byte_pairs: Any) -> None:
    row = encode(TrainingRow("Say it.", "", "so\n### Response: yes"), form_of("general-nlp"), byte_pairs, 512)
    assert byte_pairs.decode(row.ids[-row.learnt :]) == " yes"


def test_an_end_token_within_a_text_is_masked_as_padding_is_unless_it_is_learnt(byte_pairs: Any) -> None:
    end, row = byte_pairs.eos_token_id, TrainingRow("Say it.", "", "yes<end>no")
    plain = encode(row, form_of("general-nlp"), byte_pairs, 512)
    assert end in plain.ids and end not in plain.labels
    taught = encode(row, form_of("general-nlp", learn_end=True), byte_pairs, 512)
    assert taught.ids == (*plain.ids, end)
    assert taught.labels.count(end) == 2


def test_a_tokenizer_to_which_the_heading_is_one_token_is_refused_in_words(byte_pairs: Any) -> None:
    class Whole:
        eos_token_id = 0

        def encode(self, text: str, **_options: bool) -> list[int]:
            return [len(text)]

    with pytest.raises(ModelError, match="use the template fingpt"):
        response_marker(Whole())
    assert byte_pairs.decode(response_marker(byte_pairs)).endswith(" Response:")


def test_fingpts_form_is_that_of_the_finance_prompts_and_can_teach_the_end(config: FederatedConfig) -> None:
    form = replace(config, template="fingpt", instruction_columns=("input",), learn_end_token=True).form
    assert (
        form.prompt("What is it?", "A sentence.") == "Instruction: What is it?\nInput: A sentence.\nAnswer: "
    )
    assert form.prompt("Say yes.", "") == "Instruction: Say yes.\nAnswer: "
    tokenizer = local_model(config).tokenizer
    row = encode(TrainingRow("the price is", "up", "buy"), form, tokenizer, 32)
    assert list(row.ids[: -row.tail]) == tokenizer(form.prompt("the price is", "up"))["input_ids"]
    assert row.labels[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(row.labels[-row.tail : -1]) == "buy"


@given(st.integers(0, 30), st.integers(1, 30), st.integers(8, 24))
def test_a_long_row_in_fingpts_form_keeps_the_end_of_its_prompt_and_the_start_of_its_answer(
    prompt: int, answer: int, length: int
) -> None:
    class Letters:
        eos_token_id = 0

        def __call__(self, text: str, **_options: bool) -> dict[str, list[int]]:
            return {"input_ids": [ord(letter) for letter in text]}

    form = RowForm("fingpt", learn_end=True)
    tokens = encode(TrainingRow("p" * prompt, "", "a" * answer), form, Letters(), length)
    whole = [ord(letter) for letter in form.prompt("p" * prompt, "")]
    assert len(tokens) == min(length, len(whole) + answer + 1)
    asked = list(tokens.ids[: -tokens.tail])
    assert asked == whole[len(whole) - len(asked) :]
    assert tokens.learnt == tokens.tail >= min(answer + 1, length // 2)


def lengths(count: int) -> list[Tokens]:
    return [Tokens((1,) * (row + 2), (IGNORED,) * (row + 1) + (1,)) for row in range(count)]


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 6), st.booleans(), st.booleans())
def test_batches_have_the_asked_size_and_use_all_rows_evenly(
    count: int, size: int, steps: int, anew: bool, by_length: bool
) -> None:
    rows = lengths(count)
    drawn = batches(run_of(size, anew=anew, by_length=by_length), rows, steps, "7/0/1")
    assert [len(batch) for batch in drawn] == [size] * steps
    times = [sum(batch.count(row) for batch in drawn) for row in rows]
    assert max(times) - min(times) <= 1


def test_the_same_rows_come_in_the_trainers_order_in_every_round_unless_drawn_anew() -> None:
    sampling = import_module("accelerate.data_loader")  # which has no types

    rows = lengths(7)
    sampler = sampling.SeedableRandomSampler(rows, data_seed=42)
    passes = [place for _ in range(2) for place in sampler]
    one, other = (batches(run_of(7, anew=False), rows, 2, f"42/0/{number}") for number in (1, 2))
    assert one == other
    assert [row for batch in one for row in batch] == [rows[place] for place in passes]
    anew = [batches(run_of(7, anew=True), rows, 2, f"42/0/{number}") for number in (1, 2)]
    assert anew[0] != anew[1]


def test_grouped_batches_hold_rows_of_like_length_in_any_order() -> None:
    drawn = batches(run_of(2, anew=False, by_length=True), lengths(8), 4, "42/0/1")
    assert sorted(max(map(len, batch)) - min(map(len, batch)) for batch in drawn) == [1, 1, 1, 1]


def test_a_client_without_anything_to_learn_is_refused_in_words(config: FederatedConfig) -> None:
    with pytest.raises(DataError, match="none of the client's 4 rows has a response within 8 tokens"):
        training.tokenised(replace(config, sequence_length=8), 0)


def run_of(size: int, *, anew: bool, by_length: bool = False) -> Any:
    """As much of a run as draws rows."""
    from types import SimpleNamespace

    return SimpleNamespace(batch_size=size, draw_anew=anew, group_by_length=by_length, seed=42)
