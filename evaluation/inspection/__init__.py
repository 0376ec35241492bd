"""Every check of a submission before it is evaluated."""

from evaluation.inspection.base_model import KnownBase
from evaluation.inspection.material import Material, MaterialFile
from evaluation.inspection.submission import Inspection, Known, inspect

__all__ = ["Inspection", "Known", "KnownBase", "Material", "MaterialFile", "inspect"]
