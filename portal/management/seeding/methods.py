"""What invented entries did: public base models, a method on one of them, and what that would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.method.card import MethodCard
from evaluation.rules.challenges import Challenge
from portal.submissions.models import Resource

STRATEGIES = ("fedavg", "fedprox", "fedadam", "fedavgm", "flexlora")
RANKS = (8, 16, 32, 64)
# Public models of several families and sizes, in billions of parameters.
MODELS = (
    ("HuggingFaceTB/SmolLM2-135M-Instruct", 0.135), ("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1.7),
    ("Qwen/Qwen2.5-0.5B-Instruct", 0.5), ("Qwen/Qwen2.5-1.5B-Instruct", 1.5),
    ("Qwen/Qwen2.5-7B-Instruct", 7.6),
    ("meta-llama/Llama-3.2-1B-Instruct", 1.2), ("meta-llama/Llama-3.2-3B-Instruct", 3.2),
    ("meta-llama/Llama-3.1-8B-Instruct", 8.0), ("google/gemma-2-2b-it", 2.6), ("google/gemma-2-9b-it", 9.2),
    ("mistralai/Mistral-7B-v0.3", 7.2), ("internlm/internlm3-8b-instruct", 8.8),
)  # fmt: skip
TARGETS = ("q_proj", "v_proj")

_Kind, _Basis = Resource.Kind, Resource.Basis


@dataclass(frozen=True)
class Method:
    """One invented method; `model` is a place in MODELS, `per_round` the clients of a round."""

    model: int
    strategy: str
    rank: int
    dora: bool
    rounds: int
    per_round: int

    @property
    def billions(self) -> float:
        return MODELS[self.model][1]

    @property
    def trained(self) -> float:
        """Trainable parameters."""
        return 4e5 * self.rank * self.billions**0.6

    @property
    def gpu_seconds(self) -> float:
        return 3600 * 0.02 * self.billions * self.rounds * self.per_round / 10

    def card(self, challenge: Challenge) -> dict[str, Any]:
        card = MethodCard(
            base_model=MODELS[self.model][0],
            static_dataset=challenge.training_sets[0],
            strategy=self.strategy,
            clients=challenge.clients,
            clients_per_round=self.per_round,
            rounds=self.rounds,
            local_steps=10,
            batch_size=16,
            sequence_length=512,
            learning_rate_max=5e-5,
            learning_rate_min=1e-6,
            peft_type="LoRA",
            use_dora=self.dora,
            rank=self.rank,
            alpha=2.0 * self.rank,
            dropout=0.075,
            target_modules=TARGETS,
            quantization=4,
            quantization_type="fp4",
            template="alpaca",
        )
        return card.to_json()

    def adapter_config(self) -> dict[str, Any]:
        """As much of an adapter's configuration as pages read."""
        return {
            "peft_type": "LORA",
            "r": self.rank,
            "lora_alpha": 2 * self.rank,
            "use_dora": self.dora,
            "target_modules": list(TARGETS),
        }

    def derived(self) -> dict[tuple[str, str], float]:
        """What would follow from configuration and tensors, by kind and basis."""
        way = 4 * self.trained * self.rounds * self.per_round
        return {
            (_Kind.COMMUNICATION_UP.value, _Basis.DERIVED.value): way,
            (_Kind.COMMUNICATION_DOWN.value, _Basis.DERIVED.value): way,
            (_Kind.TRAINABLE_PARAMETERS.value, _Basis.DERIVED.value): self.trained,
        }

    def declared(self) -> dict[tuple[str, str], float]:
        """What a team would say of the rest, by kind and basis."""
        return {
            (_Kind.CLIENT_VRAM.value, _Basis.DECLARED.value): (1.5 + 1.6 * self.billions) * 1024**3,
            (_Kind.SERVER_VRAM.value, _Basis.DECLARED.value): (0.5 + 0.1 * self.billions) * 1024**3,
            (_Kind.GPU_TIME.value, _Basis.DECLARED.value): self.gpu_seconds,
            (_Kind.WALL_TIME.value, _Basis.DECLARED.value): self.gpu_seconds / self.per_round,
        }
