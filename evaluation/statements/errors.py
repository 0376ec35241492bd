"""What may be wrong with a statement, a key or a proof before anything is compared."""

from __future__ import annotations

from evaluation.errors import EvaluationError


class StatementError(EvaluationError):
    """A document has not the form that it should have; the text says which part."""

    code = "statement"


class MissingPackageError(EvaluationError):
    """The package that signatures are made and checked with is not installed."""

    code = "missing_package"
