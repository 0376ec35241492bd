"""The four challenges: what a submission to each trains on and its rules. What it is evaluated on is the
protocol's.

Facts: FlowerTune LLM Leaderboard, described in PAPER. Light to import: the web process reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evaluation.names import lookup

PAPER = "2506.02961"
"""The benchmark's paper on arXiv."""
# The rules say 200,000 MB a run with MB = 1024² bytes, both directions together, adapter tensors only.
COMMUNICATION_BUDGET_BYTES = 200_000 * 1024**2


@dataclass(frozen=True)
class TrainingSet:
    """What a challenge trains on: a data set of the hub whose rows have instruction, input and output.

    `hub_id` is where it is fetched from. The same rows have other names: `also` ones that today's rules allow
    as well, `former` ones of earlier templates, or upstream of them.
    """

    hub_id: str
    also: tuple[str, ...] = ()
    former: tuple[str, ...] = ()


@dataclass(frozen=True)
class Challenge:
    """One domain of the board.

    `clients` is the fixed number of SuperNodes, `baseline_clients_per_round` what the baseline samples.
    """

    slug: str
    title: str
    summary: str
    training_set: TrainingSet
    clients: int
    baseline_clients_per_round: int
    communication_budget_bytes: int = COMMUNICATION_BUDGET_BYTES

    @property
    def training_sets(self) -> tuple[str, ...]:
        """The hub ids allowed in the static part of a Flower app's config, preferred first."""
        return (self.training_set.hub_id, *self.training_set.also)

    @property
    def former_training_sets(self) -> tuple[str, ...]:
        """Other names of the same rows, taken with a note."""
        return self.training_set.former


_IN_BOARD_ORDER = (
    Challenge(
        slug="general-nlp",
        title="General NLP",
        summary="Instruction tuning for broad knowledge, tested on groups of MMLU subjects.",
        training_set=TrainingSet("flwrlabs/alpaca-gpt4", also=("vicgalle/alpaca-gpt4",)),
        clients=20,
        baseline_clients_per_round=2,
    ),
    Challenge(
        slug="finance",
        title="Finance",
        summary="Sentiment of financial news and posts, tested on sentiment data sets.",
        training_set=TrainingSet("flwrlabs/fingpt-sentiment-train", also=("FinGPT/fingpt-sentiment-train",)),
        clients=50,
        baseline_clients_per_round=5,
    ),
    Challenge(
        slug="medical",
        title="Medical",
        summary="Medical knowledge from flashcards, tested on medical question sets.",
        training_set=TrainingSet(
            "flwrlabs/medical-meadow-medical-flashcards",
            also=("medalpaca/medical_meadow_medical_flashcards",),
        ),
        clients=20,
        baseline_clients_per_round=2,
    ),
    Challenge(
        slug="code",
        title="Code",
        summary="Code generation in Python, JavaScript and C++, tested by running what is generated.",
        training_set=TrainingSet(
            "flwrlabs/code-alpaca-20k",
            former=("lucasmccabe-lmi/CodeAlpaca-20k", "sahil2801/CodeAlpaca-20k"),
        ),
        clients=10,
        baseline_clients_per_round=2,
    ),
)

CHALLENGES: Mapping[str, Challenge] = MappingProxyType({c.slug: c for c in _IN_BOARD_ORDER})


def get(slug: str) -> Challenge:
    """Return the challenge; raise UnknownNameError with suggestions when there is none."""
    return lookup("challenge", slug, CHALLENGES)
