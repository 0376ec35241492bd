"""What a reader asks of a run's scores on the way: the best within a budget, the cost to a target."""

from __future__ import annotations

from django import forms

from portal.baselines.benchmark_curve import Answers, BenchmarkCurve, answers


class BudgetForm(forms.Form):
    """Both are optional, and asked by the page's address."""

    within = forms.FloatField(
        required=False,
        min_value=0,
        label="Best score within, in GB",
        help_text="Sent in both directions.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    reach = forms.FloatField(
        required=False,
        min_value=0,
        max_value=100,
        label="Cost to reach, in %",
        help_text="Of the mean over the benchmarks.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    def answers(self, curve: BenchmarkCurve) -> Answers | None:
        """None where nothing was asked, or nothing that could be."""
        if not self.is_valid():
            return None
        asked = self.cleaned_data
        if asked["within"] is None and asked["reach"] is None:
            return None
        return answers(curve, within=asked["within"], reach=asked["reach"])
