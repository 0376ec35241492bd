"""How figures are written: percentages, sizes, durations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from django.utils import timezone

from evaluation import adapter_kinds
from evaluation.energy import JOULES_PER_KWH, carbon_grams
from evaluation.method.communication import GB, MB

# What a figure is where nothing is known; templates turn an attribute of None into "".
Unknown = None | Literal[""]


def points(fraction: float | Unknown) -> float | None:
    """A fraction in per cent."""
    return None if fraction is None or fraction == "" else 100 * fraction


def percent(fraction: float | Unknown) -> str:
    """A fraction in per cent with two decimals; nothing where it is not known."""
    return "" if fraction is None or fraction == "" else f"{100 * fraction:.2f}"


def percent_range(interval: tuple[float, float] | None) -> str:
    """An interval of fractions in per cent with one decimal: 61.2–78.0."""
    return "" if interval is None else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


def signed_points(fraction: float | Unknown) -> str | None:
    """A difference of fractions in percentage points, with its sign."""
    if fraction is None or fraction == "":
        return None
    return f"{100 * fraction:+.2f}".replace("-", "\N{MINUS SIGN}")


def visible(text: str) -> str:
    """A text with its line breaks written as in programs."""
    return text.replace("\n", "\\n")


def points_range(interval: tuple[float, float]) -> str:
    """The ends of a difference's interval in points, like -1.20 to +0.40."""
    return f"{signed_points(interval[0])} to {signed_points(interval[1])}"


def hours(seconds: float | Unknown) -> str | None:
    """Seconds as hours with enough digits for short ones."""
    if seconds is None or seconds == "":
        return None
    value = seconds / 3600
    if value == 0:
        return "0"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def gigabytes(value: float | Unknown) -> str | None:
    """Bytes as GB = 1024³ bytes, as the public board counts, with enough digits for small ones."""
    if value is None or value == "":
        return None
    size = value / GB
    if size == 0:
        return "0"
    return f"{size:.1f}" if size >= 10 else f"{size:.2f}" if size >= 0.1 else f"{size:.4f}"


def size(value: float | Unknown) -> str:
    """Bytes in the unit that reads best; units are powers of 1024."""
    if value is None or value == "":
        return "–"
    for unit, factor in (("GB", GB), ("MB", MB), ("KB", 1024)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B"


def duration(seconds: float | Unknown) -> str:
    """Seconds in words of at most two units."""
    if seconds is None or seconds == "":
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def age(since: datetime | Unknown) -> str:
    """How long ago something was, in its largest unit: 3 days, 5 h, 12 min."""
    if since is None or isinstance(since, str):
        return "–"
    seconds = max(0.0, (timezone.now() - since).total_seconds())
    days = int(seconds // 86_400)
    if days >= 2:
        return f"{days} days"
    return f"{seconds // 3600:.0f} h" if seconds >= 3600 else f"{seconds // 60:.0f} min"


def kilowatt_hours(joules: float | None) -> str:
    return "" if joules is None else f"{joules / JOULES_PER_KWH:.3g}"


def carbon(joules: float) -> str:
    """What the energy emits by the grid that it came from: 0.3 to 7.1 g, or kg."""
    low, high = carbon_grams(joules)
    if high >= 1000:
        return f"{low / 1000:.3g} to {high / 1000:.3g} kg"
    return f"{low:.3g} to {high:.3g} g"


def amount(value: float, unit: str) -> str:
    """A value in SI units as a person reads it."""
    if unit == "B":
        return size(value)
    if unit == "s":
        return duration(value)
    if unit == "J":
        return f"{kilowatt_hours(value)} kWh"
    return f"{value:,.0f}"


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def subject(name: str) -> str:
    """An MMLU subject as people write it: high school physics."""
    return name.replace("_", " ")


def adapter_kind(config: Mapping[str, object]) -> str:
    """The kind of the adapter of a stored adapter_config.json, like DoRA."""
    kind = adapter_kinds.of_settings(str(config["peft_type"]), config)
    return kind.title if kind else str(config["peft_type"])


def billions(parameters: int | None) -> str:
    """A parameter count as people say it: 135M, 7.2B; nothing where it is not known."""
    if parameters is None:
        return ""
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def large(value: float | None) -> str:
    """A large number with a letter for its size: 13.6M."""
    if value is None:
        return ""
    for letter, factor in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f}{letter}"
    return f"{value:.0f}"
