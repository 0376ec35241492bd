"""How many parameters an adapter has by its configuration and its base model, where its tensors cannot be
read.
"""

from __future__ import annotations

import math

from evaluation.checkpoints import AdapterConfig, BaseModelTensors
from evaluation.checkpoints.base_model import is_embedding
from evaluation.checkpoints.fit import is_saved
from evaluation.checkpoints.patterns import PatternError
from evaluation.checkpoints.targets import by_module, targeted_modules


def configured_parameters(config: AdapterConfig, base: BaseModelTensors) -> int | None:
    """The number of parameters; None where the configuration does not say on which modules there is LoRA."""
    if not config.target_modules:
        return None
    try:
        modules = sorted(targeted_modules(config, base.matrix_modules))
        ranks = by_module(config.rank_pattern, config.r, modules)
    except PatternError:
        return None
    matrices = ((module, base.matrix(module)) for module in modules)
    adapted = sum(
        config.kind.parameters(ranks[module], matrix, embedding=is_embedding(module))
        for module, matrix in matrices
        if matrix is not None
    )
    saved = sum(
        math.prod(shape) for name, shape in base.weights.items() if is_saved(name, config.modules_to_save)
    )
    return adapted + saved or None
