"""A submission's configuration beside its challenge's template: what differs first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.flowerconfig.static_section import StaticSetting, static_section
from evaluation.method.card import MethodCard
from evaluation.rules.challenges import Challenge
from leaderboard.entry.facts import Setting, settings_diff
from leaderboard.review.findings import FileLine, FindingRow, file_lines


@dataclass(frozen=True)
class Configuration:
    """`static` are the keys of the static section, those that differ first; `differing` the other settings
    that differ from the template, `alike` the rest; `lines` the file as it was sent."""

    static: tuple[StaticSetting, ...]
    differing: tuple[Setting, ...]
    alike: tuple[Setting, ...]
    lines: tuple[FileLine, ...]

    @property
    def static_changed(self) -> bool:
        return any(setting.differs for setting in self.static)


def configuration_of(
    text: str, card: MethodCard | None, challenge: Challenge, findings: Sequence[FindingRow]
) -> Configuration | None:
    """None where none was sent."""
    if not text:
        return None
    static = static_section(text, challenge.training_sets)
    settings = settings_diff(card, challenge) if card else []
    shared = {setting.line for setting in static if setting.line is not None}
    return Configuration(
        static=static,
        differing=tuple(setting for setting in settings if setting.differs),
        alike=tuple(setting for setting in settings if not setting.differs),
        lines=tuple(file_lines(text, findings, shared)),
    )
