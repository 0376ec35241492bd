"""`card`: results in a model's README.md, all else of it as it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flowertune.errors import UsageError
from flowertune.model_card import with_results

PAGE = "https://board.example.org/entries/12/"
FOREIGN = """\
# kept comment
license: apache-2.0
model-index:
# of another place
- name: mine
  results:
  - task: {type: text-generation}
    dataset: {type: a/b, name: B}
    metrics:
    - {type: accuracy, value: 1}
    source: {name: elsewhere, url: "https://other.example.org"}

tags: [lora]   # and this one
"""


def index(value: float = 70.0) -> str:
    result = {
        "task": {"type": "text-generation"},
        "dataset": {"type": "c/d", "name": "D"},
        "metrics": [{"type": "accuracy", "value": value}],
        "source": {"name": "FlowerTune", "url": PAGE},
    }
    return yaml.safe_dump({"model-index": [{"name": "FedAvg", "results": [result]}]}, sort_keys=False)


def front(readme: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(readme.split("---")[1])
    return loaded


@pytest.mark.parametrize(
    "readme",
    [
        "",
        "# A model\n\n---\nnot front matter\n",
        "---\nlicense: mit # mine\n---\n# A model\n",
        "---\r\nlicense: mit\r\n---\r\n# A model\r\n",
        "---\n---\n",
        f"---\n{FOREIGN}---\n# A model\n",
    ],
)
def test_a_second_call_changes_nothing_and_all_else_stays(readme: str) -> None:
    once = with_results(readme, index(), PAGE)
    assert with_results(once, index(), PAGE) == once != readme
    assert "model-index" in front(once)
    for line in readme.splitlines():
        assert (
            "model-index" in line or "source" in line or line.startswith((" ", "-", "# of")) or line in once
        )
    assert once.count("\r\n") in (0, once.count("\n"))


def test_results_of_other_places_stay_and_new_figures_replace_the_old() -> None:
    card = with_results(f"---\n{FOREIGN}---\n# A model\n", index(70.0), PAGE)
    card = with_results(card, index(71.5), PAGE)
    [model] = front(card)["model-index"]
    assert [result["metrics"][0]["value"] for result in model["results"]] == [1, 71.5]
    assert model["name"] == "mine" and "# kept comment" in card and "tags: [lora]   # and this one" in card


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "no YAML at line"), ("- a", "no mapping"), ("{model-index: [], a: 1}", "does not edit")],
)
def test_a_front_matter_that_is_not_understood_is_left_alone(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        with_results(f"---\n{text}\n---\n", index(), PAGE)
