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
        f"---\n{FOREIGN}---\n# A model\n".replace("\n", "\r\n"),
        "\ufeff---\nlicense: mit\n---\n# A model\n",
        "\ufeff# A model\r\nwith both\nkinds of lines\r\n",
        "---\nlicense: mit\r\ntags: [a]\nmodel-index: []\n---\r\n# A model\n",
        "---\nan end is missing\n",
    ],
)
def test_a_second_call_changes_nothing_and_all_else_stays(readme: str) -> None:
    once = with_results(readme, index(), PAGE)
    assert with_results(once, index(), PAGE) == once != readme
    assert "model-index" in front(once)
    lines = readme.removeprefix("\ufeff").splitlines(keepends=True)
    own = [line for line in lines if not line.startswith(("model-index", " ", "- "))]
    rest = iter(once.removeprefix("\ufeff").splitlines(keepends=True))
    assert all(line in rest for line in own), "a line is lost, changed or moved"
    assert once.startswith("\ufeff") == readme.startswith("\ufeff") and once.count("\ufeff") <= 1


def test_results_of_other_places_stay_and_new_figures_replace_the_old() -> None:
    card = with_results(f"---\n{FOREIGN}---\n# A model\n", index(70.0), PAGE)
    card = with_results(card, index(71.5), PAGE)
    [model] = front(card)["model-index"]
    assert [result["metrics"][0]["value"] for result in model["results"]] == [1, 71.5]
    assert model["name"] == "mine" and "# kept comment" in card and "tags: [lora]   # and this one" in card


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no YAML at line"),
        ("- a", "no mapping"),
        ("{model-index: [], a: 1}", "does not edit"),
        ("model-index:\n- name: a # mine\n  results: []", "comments, which would be lost"),
        ("model-index: of mine", "not as the hub reads it"),
        ("model-index:\n- name: a\n  results: many", "not as the hub reads it"),
        ("model-index: []\nmodel-index:\n- name: a\n  results: []", "does not edit"),
        ("'model-index': []", "does not edit"),
    ],
)
def test_a_front_matter_that_is_not_understood_is_left_alone(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        with_results(f"---\n{text}\n---\n", index(), PAGE)
