"""The static section of a configuration beside the template's: what entries of a challenge share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.findings import FindingCollector, excerpt
from evaluation.flowerconfig import fields
from evaluation.flowerconfig.document import CONFIG_FILE, parse_document
from evaluation.flowerconfig.layouts import app_layout

MAX_SHOWN = 40
_LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True)
class StaticSetting:
    """A key of the section: its value in the file and in the template, "" where it is not there.

    `differs` is false of another name that the challenge knows its data set by. `line` counts from 1; None
    where the file does not have the key.
    """

    key: str
    here: str
    template: str
    differs: bool
    line: int | None


def static_section(text: str, training_sets: Sequence[str]) -> tuple[StaticSetting, ...]:
    """What the file has in the section or lacks there, what differs first.

    `training_sets` are the names that the section may give its data set, the template's first.

    Empty of a text that is no Flower app's configuration.
    """
    findings = FindingCollector()
    document = parse_document(text.encode(), CONFIG_FILE, findings)
    layout = app_layout(document) if document else None
    if document is None or layout is None:
        return ()
    wanted, known = training_sets[0], {name.casefold() for name in training_sets}
    found = [entry for entry in layout.config or () if re.fullmatch(fields.STATIC, entry.key)]
    settings = [
        StaticSetting(
            key=entry.key,
            here=excerpt(str(entry.value), _LONGEST_VALUE),
            template=wanted if _is_dataset(entry.key) else "",
            differs=not _is_dataset(entry.key) or str(entry.value).casefold() not in known,
            line=document.line(entry.path),
        )
        for entry in found[:MAX_SHOWN]
    ]
    if not any(_is_dataset(entry.key) for entry in found):
        settings.insert(0, StaticSetting("static.dataset.name", "", wanted, True, None))
    return tuple(sorted(settings, key=lambda setting: not setting.differs))


def _is_dataset(key: str) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in fields.STATIC_DATASET)
