"""Evaluations of checkpoints with scores and leakage, baselines trained here and studies made of them,
what retraining showed, and which rows are official.
"""

from portal.runs.models.baseline import BaselineRun, RoundMetric
from portal.runs.models.claimable import Claimable
from portal.runs.models.data_registration import DataRegistration
from portal.runs.models.dropped_answers import DroppedAnswers
from portal.runs.models.evaluation import Evaluation, Score
from portal.runs.models.leakage import Leakage
from portal.runs.models.log import LogLine
from portal.runs.models.presence import WorkerPresence
from portal.runs.models.reproduction import Reproduction
from portal.runs.models.study import Study, StudyRun
from portal.runs.models.wrong_answers import WrongAnswers

__all__ = [
    "BaselineRun",
    "Claimable",
    "DataRegistration",
    "DroppedAnswers",
    "Evaluation",
    "Leakage",
    "LogLine",
    "Reproduction",
    "RoundMetric",
    "Score",
    "Study",
    "StudyRun",
    "WorkerPresence",
    "WrongAnswers",
]
