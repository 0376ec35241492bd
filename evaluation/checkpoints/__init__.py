"""Inspection of uploaded adapters: safetensors and adapter_config.json, without any model library.

Nothing in a file is believed before it is checked, no pickle is ever loaded and no code from a
submission is ever run. All checks return findings (`evaluation.findings`) instead of raising.
"""

from evaluation.checkpoints.adapter import AdapterSummary, inspect_adapter, normalised_adapter_config
from evaluation.checkpoints.adapter_config import ADAPTER_CONFIG_FILE, AdapterConfig, inspect_adapter_config
from evaluation.checkpoints.base_model import BaseModelTensors, base_model_tensors
from evaluation.checkpoints.fit import AdapterModule
from evaluation.checkpoints.header import ADAPTER_FILE, SafetensorsHeader, TensorEntry, read_header
from evaluation.checkpoints.tensor_names import canonical_name

__all__ = [
    "ADAPTER_CONFIG_FILE",
    "ADAPTER_FILE",
    "AdapterConfig",
    "AdapterModule",
    "AdapterSummary",
    "BaseModelTensors",
    "SafetensorsHeader",
    "TensorEntry",
    "base_model_tensors",
    "canonical_name",
    "inspect_adapter",
    "inspect_adapter_config",
    "normalised_adapter_config",
    "read_header",
]
