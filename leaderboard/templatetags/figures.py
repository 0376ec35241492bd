"""Registers the figures' writing with the templates."""

from __future__ import annotations

from django import template

from leaderboard import figures

register = template.Library()
for _write in (
    figures.points,
    figures.percent_range,
    figures.points_range,
    figures.visible,
    figures.hours,
    figures.gigabytes,
    figures.size,
    figures.duration,
    figures.age,
    figures.amount,
    figures.carbon,
    figures.signed_points,
    figures.p_value,
    figures.subject,
    figures.adapter_kind,
    figures.billions,
):
    register.filter(_write)
