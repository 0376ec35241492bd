"""What joules mean: kilowatt-hours, points gained for each, and carbon by the grid that they came from."""

from __future__ import annotations

JOULES_PER_KWH = 3.6e6

GRID_INTENSITIES = (30.0, 713.0)
"""Grams of CO2 equivalents for a kilowatt-hour: Norway's and India's mean of 2023, by Ember (July 2024).

Most national grids lie between. Where a machine stands is not known here, so one figure would be invented.
"""


def carbon_grams(joules: float) -> tuple[float, float]:
    """From what a clean grid emits for so much energy to what a coal-fired one does, in grams of CO2e."""
    kilowatt_hours = joules / JOULES_PER_KWH
    low, high = GRID_INTENSITIES
    return kilowatt_hours * low, kilowatt_hours * high


def points_per_kilowatt_hour(gain: float, joules: float) -> float | None:
    """Percentage points that a training gained, `gain` a fraction, for each kWh; None where it took none."""
    return 100 * gain * JOULES_PER_KWH / joules if joules > 0 else None
