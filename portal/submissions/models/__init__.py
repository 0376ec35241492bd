"""What people submit: checkpoints on listed base models, with what was found in them and what they cost."""

from portal.submissions.models.checkpoint import BaseModel, Checkpoint
from portal.submissions.models.details import DeclaredScore, Finding, Resource
from portal.submissions.models.hub_fetch import HubFetch
from portal.submissions.models.model_request import BaseModelRequest
from portal.submissions.models.resemblance import AdapterSketch, ResemblanceReport
from portal.submissions.models.submission import Submission, SubmissionQuerySet

__all__ = [
    "AdapterSketch",
    "BaseModel",
    "BaseModelRequest",
    "Checkpoint",
    "DeclaredScore",
    "Finding",
    "HubFetch",
    "ResemblanceReport",
    "Resource",
    "Submission",
    "SubmissionQuerySet",
]
