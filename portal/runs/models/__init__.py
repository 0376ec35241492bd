"""Evaluations of checkpoints with their scores, the baselines trained here, and what retraining showed."""

from portal.runs.models.baseline import BaselineRun, RoundMetric
from portal.runs.models.claimable import Claimable
from portal.runs.models.evaluation import Evaluation, Score
from portal.runs.models.reproduction import Reproduction

__all__ = ["BaselineRun", "Claimable", "Evaluation", "Reproduction", "RoundMetric", "Score"]
