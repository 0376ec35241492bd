"""How sure a score is, and what may be said about two: pure functions, light to import.

`proportions` has the intervals of scores, `packed` the right answers of a run as bits, `paired` the tests of
two runs on the same items, `multiplicity` the correction for many tests, `ranks` the ranks that entries of a
board may have, from `significant` pairs by `holm_limits`, and `settled` what the next build need not compare
again. The web process reads this package: numpy is imported by the functions that need it, scipy
and statsmodels by the tests alone, which hold the closed forms here against theirs.
"""

from __future__ import annotations

from evaluation.statistics.multiplicity import holm
from evaluation.statistics.packed import Discordance, PackedAnswers, discordance
from evaluation.statistics.paired import (
    RESAMPLES,
    Differences,
    differences,
    interval_of_answers,
    mcnemar_exact,
    mean_difference,
    paired_interval,
    randomisation_test,
)
from evaluation.statistics.proportions import (
    Interval,
    attempts_interval,
    binomial_stderr,
    combined_interval,
    mean_and_stderr,
    mean_interval,
    pass_at_k,
    possible_score,
    wilson_interval,
)
from evaluation.statistics.ranks import RankRange, rank_ranges, ranked
from evaluation.statistics.settled import Settled, name_of

__all__ = [
    "RESAMPLES",
    "Differences",
    "Discordance",
    "Interval",
    "PackedAnswers",
    "RankRange",
    "Settled",
    "attempts_interval",
    "binomial_stderr",
    "combined_interval",
    "differences",
    "discordance",
    "holm",
    "interval_of_answers",
    "mcnemar_exact",
    "mean_and_stderr",
    "mean_difference",
    "mean_interval",
    "name_of",
    "paired_interval",
    "pass_at_k",
    "possible_score",
    "randomisation_test",
    "rank_ranges",
    "ranked",
    "wilson_interval",
]
