"""Data: reading rows from files or the hub, choosing a benchmark's test items, telling official data from
other, and the challenges' training sets.

A data folder holds `mmlu.jsonl`, `fpb.jsonl` …, one JSON object a line with the columns of the benchmark, or
the same rows as `mmlu.parquet` ….
"""

from evaluation.data.adoption import Candidate, candidate
from evaluation.data.dataset import SMOKE_RUN_ITEMS, DataKind, Dataset, load
from evaluation.data.inventory import Holding, describe, export
from evaluation.data.register import Given, OtherRowsError, Register, RegisterFile
from evaluation.data.sources import DEMONSTRATION, DEMONSTRATION_FOLDER
from evaluation.data.split import quarter

__all__ = [
    "DEMONSTRATION",
    "DEMONSTRATION_FOLDER",
    "SMOKE_RUN_ITEMS",
    "Candidate",
    "DataKind",
    "Dataset",
    "Given",
    "Holding",
    "OtherRowsError",
    "Register",
    "RegisterFile",
    "candidate",
    "describe",
    "export",
    "load",
    "quarter",
]
