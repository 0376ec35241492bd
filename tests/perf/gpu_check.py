"""What the engine does on a GPU, on random models: `scripts/gpu-check`. Needs torch and transformers alone.

Models of the shapes of Llama and Gemma, of about 1 and 7 billion parameters, are made on the device, so that
nothing is fetched. Their answers mean nothing; their arithmetic, memory and speed are those of trained ones.
Each part prints what it found and goes on where another failed. `--small` does all of it with tiny models in
seconds, on a CPU too, to try the check itself.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import platform
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from evaluation.benchmarks.samples import Decoding  # noqa: E402 - from this repository, wherever it is called
from evaluation.engines.batches import Prompt  # noqa: E402
from evaluation.engines.decoding import Decoder, Ending  # noqa: E402
from evaluation.engines.forward import Forward  # noqa: E402
from evaluation.engines.limits import Limits, useful  # noqa: E402
from evaluation.engines.memory import Needs, memory_of  # noqa: E402

LIMIT_SECONDS = 450.0
_GIB = 1024**3
# Random weights give nearly equal logits; so much larger, answers are told apart by more than rounding.
_SPREAD = 3.0
_FP32_AGREEMENT = 0.95


@dataclass(frozen=True)
class Workload:
    """What is asked: prompts of `shortest` to `longest` tokens behind `shared` ones, `budget` tokens each.

    `peer_items` of them are also asked one call an item.
    """

    name: str
    items: int
    peer_items: int
    shared: int
    shortest: int
    longest: int
    budget: int

    def prompts(self, vocabulary: int) -> list[Prompt]:
        draw = random.Random(0)
        shared = [draw.randrange(3, vocabulary) for _ in range(self.shared)]
        lengths = [draw.randint(self.shortest, self.longest) for _ in range(self.items)]
        return [
            Prompt(f"{i:05}", (*shared, *(draw.randrange(3, vocabulary) for _ in range(length))), self.budget)
            for i, length in enumerate(lengths)
        ]


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    models: tuple[tuple[str, Callable[[], Any]], ...]
    letters: Workload
    answers: Workload
    training_rows: int
    training_tokens: int
    training_steps: int


def _llama(**sizes: Any) -> Any:
    return transformers.LlamaConfig(max_position_embeddings=4_096, tie_word_embeddings=False, **sizes)


def _gemma(**sizes: Any) -> Any:
    config = transformers.Gemma2Config(max_position_embeddings=4_096, sliding_window=4_096, **sizes)
    config._attn_implementation = "eager"  # the only one here that honours the soft caps of its config
    return config


FULL = Scale(
    models=(
        (
            "Llama 1B",
            lambda: _llama(
                vocab_size=32_000,
                hidden_size=2_048,
                intermediate_size=8_192,
                num_hidden_layers=16,
                num_attention_heads=32,
                num_key_value_heads=8,
            ),
        ),
        (
            "Gemma 1B",
            lambda: _gemma(
                vocab_size=256_000,
                hidden_size=1_536,
                intermediate_size=6_144,
                num_hidden_layers=18,
                num_attention_heads=8,
                num_key_value_heads=4,
                head_dim=256,
            ),
        ),
        (
            "Llama 7B",
            lambda: _llama(
                vocab_size=32_000,
                hidden_size=4_096,
                intermediate_size=11_008,
                num_hidden_layers=32,
                num_attention_heads=32,
                num_key_value_heads=32,
            ),
        ),
        (
            "Gemma 7B",
            lambda: _gemma(
                vocab_size=256_000,
                hidden_size=3_584,
                intermediate_size=14_336,
                num_hidden_layers=30,
                num_attention_heads=16,
                num_key_value_heads=8,
                head_dim=256,
            ),
        ),
    ),
    letters=Workload("one letter", 512, 32, shared=40, shortest=60, longest=250, budget=1),
    answers=Workload("answers", 192, 4, shared=40, shortest=60, longest=150, budget=128),
    training_rows=16,
    training_tokens=512,
    training_steps=5,
)
_TINY = {
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
SMALL = Scale(
    models=(("tiny Llama", lambda: _llama(**_TINY)), ("tiny Gemma", lambda: _gemma(**_TINY, head_dim=8))),
    letters=Workload("one letter", 12, 4, shared=16, shortest=5, longest=30, budget=1),
    answers=Workload("answers", 6, 2, shared=16, shortest=5, longest=20, budget=4),
    training_rows=2,
    training_tokens=16,
    training_steps=2,
)


class FailedCheckError(Exception):
    """A part came to its end and found what must not be."""


class Check:
    """Conducts the parts on one device and prints what they find."""

    def __init__(self, scale: Scale, device: torch.device) -> None:
        self.scale = scale
        self.device = device
        self.memory = memory_of(device)
        self.failed: list[str] = []
        self._began = time.monotonic()

    def run(self, part: str, call: Callable[[], None]) -> None:
        """Conduct a part; whatever it raises, the others follow."""
        if time.monotonic() - self._began > LIMIT_SECONDS:
            self.failed.append(f"{part} (no time was left)")
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - each part reports, and none keeps the others from it
            self.failed.append(part)
            print(f"FAILED {part}: {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, FailedCheckError):
                traceback.print_exc()
        self.forget()

    def forget(self) -> None:
        """Give back what a part left."""
        gc.collect()
        self.memory.release()

    def say(self, line: str) -> None:
        print(f"[{time.monotonic() - self._began:5.0f} s] {line}", flush=True)

    def model(self, config: Any, dtype: torch.dtype) -> Any:
        """A random model on the device, the same for every call."""
        torch.manual_seed(0)
        with self.device:
            model = transformers.AutoModelForCausalLM.from_config(
                config, dtype=dtype, attn_implementation=getattr(config, "_attn_implementation", None)
            )
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(_SPREAD)
        return model.eval()

    def decoder(self, model: Any, limits: Limits | None = None) -> Decoder:
        needs = Needs.of(model.config, model.dtype)
        fitting = useful(self.device).fitting(self.memory.free_bytes(), needs)
        return Decoder(
            Forward(model, pad=0),
            Decoding(max_new_tokens=1),
            Ending(frozenset(), (), str),
            limits or fitting,
            memory=self.memory,
            needed=lambda row: f"{len(row.tokens)} tokens",
        )

    def answered(
        self, model: Any, prompts: Sequence[Prompt], limits: Limits | None = None
    ) -> dict[str, Prompt]:
        return {row.key: row for ended in self.decoder(model, limits).run(prompts) for row in ended}

    @contextmanager
    def timed(self) -> Iterator[list[float]]:
        """The block's seconds and the most memory allocated within it, once it is over."""
        found: list[float] = []
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        yield found
        if cuda:
            torch.cuda.synchronize()
        found += [time.perf_counter() - start, torch.cuda.max_memory_allocated() / _GIB if cuda else 0.0]


def one_call_an_item(model: Any, prompts: Sequence[Prompt]) -> dict[str, tuple[int, ...]]:
    """What `generate` answers, as the public procedure asks."""
    answers = {}
    for row in prompts:
        ids = torch.tensor([row.tokens], device=model.device)
        with torch.inference_mode():
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=row.budget,
                min_new_tokens=row.budget,
                do_sample=False,
                pad_token_id=0,
            )
        answers[row.key] = tuple(output[0, len(row.tokens) :].tolist())
    return answers


def speed(check: Check, model: Any, workload: Workload) -> None:
    """Items a second of the engine and of one call an item, and how many answers of the two are equal."""
    prompts = workload.prompts(model.config.vocab_size)
    check.answered(model, prompts[:8])
    one_call_an_item(model, prompts[:1])
    with check.timed() as here:
        answers = check.answered(model, prompts)
    with check.timed() as peer:
        expected = one_call_an_item(model, prompts[: workload.peer_items])
    if len(answers) != len(prompts):
        raise FailedCheckError(f"{len(answers)} of {len(prompts)} prompts were answered")
    rate, peer_rate = len(prompts) / here[0], len(expected) / peer[0]
    same = sum(answers[key].answer == answer for key, answer in expected.items())
    check.say(
        f"  {workload.name}: {rate:,.1f} items a second, one call an item {peer_rate:,.1f}: "
        f"{rate / peer_rate:.1f} times; peak {here[1]:.1f} GiB; {same} of {len(expected)} answers equal"
    )


def precisions(check: Check, config: Any) -> None:
    """First tokens of one model in several precisions, and fp32 against one call an item."""
    workload = replace(check.scale.letters, items=min(128, check.scale.letters.items))
    prompts = workload.prompts(config.vocab_size)
    exact: dict[str, Prompt] = {}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        model = check.model(config, torch.float32).to(dtype)
        answers = check.answered(model, prompts)
        exact = exact or answers
        same = sum(answers[row.key].answer == exact[row.key].answer for row in prompts)
        check.say(f"  {str(dtype).removeprefix('torch.')}: {same} of {len(prompts)} letters as in float32")
        if dtype is torch.float32:
            expected = one_call_an_item(model, prompts[: workload.peer_items])
            alike = sum(answers[key].answer == answer for key, answer in expected.items())
            check.say(f"  float32, engine against one call an item: {alike} of {len(expected)} letters equal")
            if alike < _FP32_AGREEMENT * len(expected):
                raise FailedCheckError("in float32 the engine and generate disagree by more than rounding")
        del model
        check.forget()


def out_of_memory(check: Check, model: Any) -> None:
    """With too little memory for its batches the engine halves them, and answers everything."""
    workload = replace(check.scale.answers, items=min(64, check.scale.answers.items))
    prompts = workload.prompts(model.config.vocab_size)
    limits = useful(check.device)
    failures = 0
    with _too_little(check, model) as told:
        answers = check.answered(model, prompts, limits)
        failures = told()
    if any(len(answers[row.key].answer) != row.budget for row in prompts):
        raise FailedCheckError("not every prompt has its answer after memory ran out")
    if not failures:
        raise FailedCheckError("memory did not run out: the engine took less than it was given")
    check.say(f"  memory ran out {failures} times, all {len(prompts)} prompts were answered")


@contextmanager
def _too_little(check: Check, model: Any) -> Iterator[Callable[[], int]]:
    """Room for a few rows only: on a GPU by the allocator's own limit, on a CPU by refusing larger batches.

    What it yields counts how often memory ran out.
    """
    refused = 0
    if check.device.type == "cuda":
        needs = Needs.of(model.config, model.dtype)
        longest = check.scale.answers.shared + check.scale.answers.longest + check.scale.answers.budget
        room = 4 * needs.sequence(longest) + _GIB // 8  # and what the products' library takes
        check.forget()
        total = torch.cuda.get_device_properties(check.device).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + room) / total)
        before = torch.cuda.memory_stats()["num_ooms"]
        try:
            yield lambda: int(torch.cuda.memory_stats()["num_ooms"]) - before
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return

    def refuse(_module: Any, arguments: tuple[Any, ...], _options: dict[str, Any]) -> None:
        nonlocal refused
        if arguments[0].shape[0] > 2:
            refused += 1
            raise torch.OutOfMemoryError("refused by the check")

    hook = model.register_forward_pre_hook(refuse, with_kwargs=True)
    try:
        yield lambda: refused
    finally:
        hook.remove()


def training(check: Check, model: Any) -> None:
    """Steps a second of LoRA on all attention projections, with gradient checkpointing."""
    scale = check.scale
    if importlib.util.find_spec("peft"):
        import peft

        what = "LoRA of rank 32 on the attention"
        targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
        trained = peft.get_peft_model(model, peft.LoraConfig(r=32, lora_alpha=64, target_modules=targets))
        trained.enable_input_require_grads()
    else:
        what, trained = "the last layer's attention, as peft is not installed,", model
        model.requires_grad_(False)
        model.model.layers[-1].self_attn.requires_grad_(True)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    trained.train()
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    ids = torch.randint(
        3, model.config.vocab_size, (scale.training_rows, scale.training_tokens), device=check.device
    )

    def step() -> float:
        loss = trained(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    step()
    with check.timed() as spent:
        losses = [step() for _ in range(scale.training_steps)]
    if not all(map(torch.isfinite, torch.tensor(losses))):
        raise FailedCheckError(f"the loss is not finite: {losses}")
    count = sum(parameter.numel() for parameter in parameters)
    check.say(
        f"  training {what} ({count / 1e6:,.1f} million parameters), {scale.training_rows} rows of "
        f"{scale.training_tokens} tokens: {scale.training_steps / spent[0]:.2f} steps a second, "
        f"peak {spent[1]:.1f} GiB"
    )


def check_model(check: Check, name: str, config: Any) -> None:
    """All parts that share one model in bf16."""
    held: dict[str, Any] = {}

    def build() -> None:
        with check.timed() as spent:
            held["model"] = check.model(config, torch.bfloat16)
        count = sum(parameter.numel() for parameter in held["model"].parameters())
        check.say(
            f"{name}: {count / 1e9:.2f} billion parameters in bf16, {spent[1]:.1f} GiB, {spent[0]:.1f} s"
        )

    check.run(f"{name}: building", build)
    if model := held.get("model"):
        check.run(f"{name}: letters", lambda: speed(check, model, check.scale.letters))
        check.run(f"{name}: answers", lambda: speed(check, model, check.scale.answers))
        check.run(f"{name}: out of memory", lambda: out_of_memory(check, model))
        check.run(f"{name}: training", lambda: training(check, model))
    held.clear()
    model = None
    check.forget()


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 when a part failed or there is no GPU for models of full size."""
    parser = argparse.ArgumentParser(prog="scripts/gpu-check", description=__doc__)
    parser.add_argument(
        "--small", action="store_true", help="tiny models, on a CPU too: does the check work?"
    )
    asked = parser.parse_args(arguments)
    if not asked.small and not torch.cuda.is_available():
        print("torch finds no CUDA device; --small tries the check itself on a CPU", file=sys.stderr)
        return 1
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if asked.small:
        torch.set_num_threads(1)  # more would wait for each other longer than they compute
    check = Check(SMALL if asked.small else FULL, device)
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    check.say(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {what}, "
        f"{check.memory.free_bytes() / _GIB:.0f} GiB free"
    )
    for name, config in check.scale.models:
        check_model(check, name, config())
        if name.endswith("1B") or asked.small:
            check.run(f"{name}: precisions", lambda config=config: precisions(check, config()))  # type: ignore[misc]
    for part in check.failed:
        print(f"failed: {part}")
    check.say("all parts passed" if not check.failed else f"{len(check.failed)} parts failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
