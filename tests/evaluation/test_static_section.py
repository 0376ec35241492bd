"""What stands in the static section of a configuration beside the template's."""

from __future__ import annotations

import pytest

from evaluation.flowerconfig.static_section import static_section
from evaluation.rules.challenges import CHALLENGES

SETS = CHALLENGES["finance"].training_sets
APP = "[tool.flwr.app.config]\nnum-server-rounds = 8\n"


@pytest.mark.parametrize(
    ("section", "found"),
    [
        (f'static.dataset.name = "{SETS[0]}"', [("static.dataset.name", SETS[0], False, 3)]),
        (
            f'static.dataset.name = "{SETS[-1].upper()}"',
            [("static.dataset.name", SETS[-1].upper(), False, 3)],
        ),
        ('static.dataset.name = "other/set"', [("static.dataset.name", "other/set", True, 3)]),
        ("", [("static.dataset.name", "", True, None)]),
        (
            f'[tool.flwr.app.config.static]\ndataset.name = "{SETS[0]}"\nnum-clients = 5',
            [("static.num_clients", "5", True, 5), ("static.dataset.name", SETS[0], False, 4)],
        ),
    ],
)
def test_what_differs_comes_first_with_its_line(section: str, found: list[object]) -> None:
    settings = static_section(APP + section, SETS)
    assert [(s.key, s.here, s.differs, s.line) for s in settings] == found


def test_of_no_flower_app_nothing_is_said() -> None:
    assert static_section("[project]\nname = 'x'", SETS) == static_section("no toml", SETS) == ()
