"""adapter_config.json of any PEFT generation, read into one form; nothing unchecked goes on from here."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation import adapter_kinds as kinds
from evaluation.adapter_kinds import AdapterKind
from evaluation.checkpoints.base_names import Likeness, likeness
from evaluation.checkpoints.config_values import ConfigValues
from evaluation.checkpoints.foreign_files import JSON_TEXT, foreign_kind
from evaluation.checkpoints.strictjson import JsonError, parse_object
from evaluation.findings import Finding, FindingCollector, excerpt

ADAPTER_CONFIG_FILE = "adapter_config.json"
MAX_SIZE = 1024**2

# Options whose effect on inference is not carried over: with any of them set the scores would be wrong.
_UNSUPPORTED = (
    "alora_invocation_tokens", "arrow_config", "enable_lora", "ensure_weight_tying", "kasa_config",
    "layer_replication", "lora_bias", "megatron_config", "monteclora_config", "target_parameters",
    "trainable_token_indices", "use_bdlora", "use_qalora",
)  # fmt: skip
_WHY_NOT = {
    "target_parameters": "it names fused weights of the loaded model, in an order of its own; adapters on "
    "the experts' own matrices (target_modules) are evaluated",
}
# Options of training alone, and those that loading sets anew.
_IGNORED = {
    "corda_config", "eva_config", "inference_mode", "loftq_config", "lora_ga_config", "megatron_core",
    "merge_weights", "qalora_group_size", "runtime_config", "velora_config",
}  # fmt: skip
_REMOTE_CODE = ("auto_map", "base_model_class", "parent_library", "trust_remote_code")
# Packages whose classes PEFT and unsloth name in `auto_mapping`; the evaluation loads by the base model
# alone.
_LIBRARIES = ("transformers", "peft", "unsloth")
_HUB_CODE = "transformers_modules"
# These initialisations change the base model's own weights; the adapter is relative to the changed ones.
_MUTATING_INITS = ("corda", "loftq", "lora_ga", "olora", "pissa")
_SEND_AGAIN = "Send the adapter_config.json that PEFT wrote beside the tensors."
_CONVERT = "save_pretrained(…, path_initial_model_for_weight_conversion=…)"


@dataclass(frozen=True)
class AdapterConfig:
    """An adapter's configuration whose every value has been checked.

    `target_modules` and `exclude_modules` are names, or one regular expression (a str), as in PEFT;
    the keys of `rank_pattern` and `alpha_pattern` are regular expressions too. They come from a
    stranger: match them with `evaluation.checkpoints.patterns` only.
    """

    kind: AdapterKind
    task_type: str | None
    base_model_name_or_path: str | None
    revision: str | None
    peft_version: str | None
    r: int
    alpha: float
    dropout: float
    bias: str
    use_rslora: bool
    fan_in_fan_out: bool
    target_modules: tuple[str, ...] | str | None
    exclude_modules: tuple[str, ...] | str | None
    modules_to_save: tuple[str, ...]
    layers_to_transform: tuple[int, ...]
    layers_pattern: tuple[str, ...]
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]


def inspect_adapter_config(
    text: str | bytes,
    *,
    base_hub_id: str | None,
    base_revision: str | None = None,
    base_aliases: Sequence[str] = (),
    name: str = ADAPTER_CONFIG_FILE,
) -> tuple[AdapterConfig | None, tuple[Finding, ...]]:
    """Parse and check an adapter_config.json; the configuration is None exactly when a finding is an error.

    `base_hub_id` is the base model selected on submission, at commit `base_revision` if that is known, with
    the other names that it has; None skips the comparison.
    """
    findings = FindingCollector()
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    document = _document(raw, name, findings)
    if document is None:
        return None, findings.collected()
    values = ConfigValues(document, name, findings)
    _check_remote_code(values)
    _check_base_model(values, base_hub_id, base_aliases)
    if not _is_evaluated(values):
        return None, findings.collected()
    _check_method(values)
    config = _read(values)
    _check_revision(values, config.revision, base_revision)
    _note_unknown_keys(values)
    return (None if findings.has_errors else config), findings.collected()


def _document(raw: bytes, name: str, findings: FindingCollector) -> Mapping[str, object] | None:
    """The JSON object; None and an error where the file is none."""
    if len(raw) > MAX_SIZE:
        message = f"The file is over the limit of {MAX_SIZE:,} bytes. Upload PEFT's adapter_config.json."
        findings.error("adapter_config.too_large", message, name)
        return None
    if not raw.strip():
        findings.error("file.empty", "The file is empty. Upload it again.", name)
        return None
    if kind := foreign_kind(raw, but=JSON_TEXT):
        findings.error("adapter_config.json", f"This is {kind}. {_SEND_AGAIN}", name)
        return None
    if raw.startswith(codecs.BOM_UTF8):
        message = "The file begins with a byte order mark, at which PEFT stops. Save it without one."
        findings.note("adapter_config.byte_order_mark", message, name)
    try:
        document = parse_object(raw.removeprefix(codecs.BOM_UTF8))
    except JsonError as error:
        place = f"{name}: {error.place}" if error.place else name
        findings.error("adapter_config.json", f"The file cannot be read: {error}.", place)
        return None
    if isinstance(document.get("weight_map"), dict):
        message = f"This is the index of a sharded model, not a configuration. {_SEND_AGAIN}"
        findings.error("adapter_config.json", message, name)
        return None
    return document


def _read(values: ConfigValues) -> AdapterConfig:
    settings = {key: values.flag(key) for kind in kinds.KINDS.values() for key in kind.settings}
    return AdapterConfig(
        kind=kinds.of_settings(values.text("peft_type") or "", settings) or kinds.LORA,
        task_type=values.text("task_type"),
        base_model_name_or_path=values.text("base_model_name_or_path"),
        revision=values.text("revision"),
        peft_version=values.text("peft_version"),
        r=values.positive_integer("r"),
        alpha=values.positive_number("lora_alpha"),
        dropout=values.fraction("lora_dropout"),
        bias=values.text("bias") or "none",
        use_rslora=values.flag("use_rslora"),
        fan_in_fan_out=values.flag("fan_in_fan_out"),
        target_modules=values.names_or_pattern("target_modules"),
        exclude_modules=values.names_or_pattern("exclude_modules"),
        modules_to_save=values.plain_names("modules_to_save"),
        layers_to_transform=values.layer_numbers("layers_to_transform"),
        layers_pattern=values.plain_names("layers_pattern"),
        rank_pattern=values.integer_map("rank_pattern"),
        alpha_pattern=values.number_map("alpha_pattern"),
    )


def _is_evaluated(values: ConfigValues) -> bool:
    """Whether the adapter is of a type that is evaluated; the keys of others say nothing of it."""
    peft_type = values.text("peft_type")
    if values.is_wrong("peft_type"):
        pass  # which has been said
    elif peft_type is None:
        values.error("adapter_config.missing", "peft_type", 'The key is missing; a LoRA adapter has "LORA".')
    elif peft_type.upper() not in {kind.peft_type for kind in kinds.KINDS.values()}:
        titles = " or ".join(kind.title for kind in kinds.KINDS.values())
        types = " or ".join(dict.fromkeys(f'"{kind.peft_type}"' for kind in kinds.KINDS.values()))
        message = (
            f'"{excerpt(peft_type)}" is not evaluated here. Submit a {titles} adapter (peft_type {types}).'
        )
        values.error("adapter_config.peft_type", "peft_type", message)
        return False
    return True


def _check_method(values: ConfigValues) -> None:
    """LoRA for causal language models, in a variant that is evaluated rightly."""
    task_type = values.text("task_type") or _task_of_class(values)
    if values.is_wrong("task_type"):
        pass
    elif task_type is None:
        message = "No task type is given; CAUSAL_LM is assumed. Set task_type when you save the adapter."
        values.warning("adapter_config.task_type", "task_type", message)
    elif task_type != "CAUSAL_LM":
        message = f'The adapter is for "{excerpt(task_type)}"; only CAUSAL_LM is evaluated.'
        values.error("adapter_config.task_type", "task_type", message)
    for key in _UNSUPPORTED:
        if values.raw(key):
            why = _WHY_NOT.get(key, "the scores would not be those of your adapter")
            message = f"{key} is not supported: {why}. Train without it."
            values.error("adapter_config.unsupported", key, message)
    bias = values.text("bias")
    if bias not in (None, "none"):
        message = 'Trained biases overwrite those of the base model. Train with bias="none".'
        values.error("adapter_config.unsupported", "bias", message)
    init = values.raw("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(_MUTATING_INITS):
        message = f'"{excerpt(init)}" changes the base model itself. Convert to plain LoRA with {_CONVERT}.'
        values.error("adapter_config.unsupported", "init_lora_weights", message)
    if values.names_or_pattern("target_modules") in (None, ()) and not values.is_wrong("target_modules"):
        message = "No target modules are named; the modules found in the file are used."
        values.warning("adapter_config.target_modules", "target_modules", message)


def _check_remote_code(values: ConfigValues) -> None:
    for key in _REMOTE_CODE:
        if values.raw(key):
            message = "The file asks for code from elsewhere; that is never run here. Remove the key."
            values.error("adapter_config.remote_code", key, message)
    _check_auto_mapping(values)


def _check_auto_mapping(values: ConfigValues) -> None:
    """PEFT notes the model's class there where no task type is set, and unsloth always does."""
    key, code = "auto_mapping", "adapter_config.auto_mapping"
    mapping = values.raw(key)
    if not mapping:
        return
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    package = library.partition(".")[0] if isinstance(library, str) else ""
    if package in _LIBRARIES:
        named = excerpt(str(mapping.get("base_model_class")), 60) if isinstance(mapping, dict) else ""
        message = (
            f"The key names the base model's class ({named}). It asks for no code, and is not used here."
        )
        values.note(code, key, message)
    elif package == _HUB_CODE:
        message = (
            "The base model was loaded with code of its own from the hub (trust_remote_code). It is "
            "evaluated with the class that transformers has for it, which the reviewer looks at."
        )
        values.warning(code, key, message)
    else:
        message = (
            "The file asks for code from elsewhere; that is never run here. Remove the key. Save the "
            "adapter with task_type CAUSAL_LM."
        )
        values.error("adapter_config.remote_code", key, message)


def _task_of_class(values: ConfigValues) -> str | None:
    """The task type that the class in `auto_mapping` tells of, where the file gives none."""
    mapping = values.raw("auto_mapping")
    named = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    if not isinstance(named, str):
        return None
    if named.endswith(("ForCausalLM", "LMHeadModel")):
        return "CAUSAL_LM"
    return excerpt(named, 60) if "For" in named else None


def _check_base_model(values: ConfigValues, hub_id: str | None, aliases: Sequence[str]) -> None:
    key, code = "base_model_name_or_path", "adapter_config.base_model"
    given = values.text(key)
    if hub_id is None or values.is_wrong(key):
        return
    if not given:
        values.warning(code, key, f"No base model is named; {hub_id} is assumed. Set it to {hub_id}.")
        return
    shown = f'"{excerpt(given)}"'
    match likeness(given, hub_id, aliases):
        case Likeness.COPY:
            values.note(code, key, f"{shown} is taken to be a local copy of {hub_id}.")
        case Likeness.TWIN:
            message = (
                f"{shown} is taken to be {hub_id} under another name, as mirrors and quantised copies have. "
                "If it is another model, select that one."
            )
            values.warning(code, key, message)
        case Likeness.SILENT:
            message = f"{shown} does not show that the base model is {hub_id}. Set the key to {hub_id}."
            values.warning(code, key, message)
        case Likeness.OTHER:
            odd = "" if given.isascii() else " (it has characters outside ASCII)"
            message = (
                f"The adapter was made for {shown}{odd}, but {hub_id} is selected. Select that base model; "
                f"if it is a copy of {hub_id} under another name, set the key to {hub_id}."
            )
            values.error(code, key, message)


def _check_revision(values: ConfigValues, given: str | None, wanted: str | None) -> None:
    if given and wanted and given not in ("main", wanted):
        message = f'The adapter names revision "{excerpt(given)}"; it is evaluated on {wanted}.'
        values.warning("adapter_config.revision", "revision", message)


def _note_unknown_keys(values: ConfigValues) -> None:
    known = {*values.asked, *_UNSUPPORTED, *_IGNORED, *_REMOTE_CODE}
    unknown = sorted(values.document.keys() - known)
    if unknown:
        shown = ", ".join(excerpt(key, 40) for key in unknown[:20])
        more = f" and {len(unknown) - 20:,} more" if len(unknown) > 20 else ""
        values.note(
            "adapter_config.unknown_keys",
            "",
            f"These keys are not known here and are ignored: {shown}{more}.",
        )
