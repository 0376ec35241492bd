"""The keys under which apps keep each value: regular expressions for `Entry.key`, the usual one first.

Keys are compared with `_` for `-` and in lower case. FlowerTune's template says `model.lora.peft-lora-r`
where others write `lora.rank`; expressions are as wide as the meaning stays clear and no wider.
"""

from __future__ import annotations

_MODEL = r"(?:model|base_model|llm)\."
_LORA = r"(?:model\.)?(?:lora|peft|adapter|lora_config|peft_config|lora_args|dora)\."
_TRAIN = r"(?:train|training|client|local|finetune|fit)\.(?:training_arguments\.|training_args\.|args\.)?"
_ARGUMENTS = r"(?:(?:train|training)\.)?(?:training_arguments|training_args)\."
_STRATEGY = r"(?:strategy|server|federated|federation|fl)\."
_PRIVACY = r"(?:strategy\.)?(?:dp|privacy|differential_privacy|dp_sgd|local_dp|central_dp)\."


def _lora(name: str) -> tuple[str, ...]:
    """peft-lora-r, lora-r or peft-r anywhere; r or peft-r in a table of LoRA's."""
    return (rf"(?:[\w.]+\.)?(?:peft_lora|lora|peft)_{name}", rf"{_LORA}(?:peft_|lora_)?{name}")


BASE_MODEL = (
    rf"{_MODEL}name",
    rf"{_MODEL}(?:name_or_path|model_name|model_name_or_path|id|hub_id|model_id|base|base_model|pretrained)",
    r"base_model(?:_name|_id|_name_or_path)?|model_name(?:_or_path)?|model_id|model",
)
QUANTIZATION = (
    rf"{_MODEL}(?:quantization|quantisation|quant|quantization_bits|load_in|bits)",
    r"quantization|quantisation|quantization_bits",
)
QUANTIZATION_TYPE = (
    r"model\.quantization_type",
    rf"(?:{_MODEL})?(?:quantization\.)?(?:bnb_4bit_)?quant(?:ization)?_type",
)
LOAD_IN_4BIT = (rf"(?:{_MODEL})?(?:quantization\.)?load_in_4_?bit",)
LOAD_IN_8BIT = (rf"(?:{_MODEL})?(?:quantization\.)?load_in_8_?bit",)

RANK = _lora("r(?:ank)?")
ALPHA = _lora("alpha")
DROPOUT = _lora("dropout")
USE_DORA = (
    rf"{_LORA}peft_use_dora",
    r"(?:[\w.]+\.)?(?:peft_|lora_)?(?:use|enable|with)_dora",
    rf"(?:{_LORA}|{_MODEL})?dora(?:\.enabled?)?",
)
TARGET_MODULES = (
    rf"{_LORA}modules",
    *_lora("target_modules"),
    rf"{_LORA}(?:targets?|target_layers)",
    rf"(?:{_MODEL}|{_LORA})?(?:target_modules|lora_modules|lora_targets?)",
)
PEFT_TYPE = (rf"{_LORA}(?:peft_)?(?:type|method|name)", r"(?:model\.)?peft_(?:type|method)|(?:model\.)?peft")

ROUNDS = (
    r"num_server_rounds",
    rf"(?:{_STRATEGY})?(?:num_server_rounds|num_rounds|n_rounds|server_rounds|rounds|total_rounds)",
)
FRACTION = (
    r"strategy\.fraction_(?:train|fit)",
    rf"(?:{_STRATEGY})?(?:fraction_(?:train|fit|clients)|client_fraction|(?:client_)?sampl(?:e|ing)_(?:fraction|rate)|fraction)",
)
MIN_CLIENTS = (rf"(?:{_STRATEGY})?min_(?:train|fit)_(?:nodes|clients)",)
CLIENTS_PER_ROUND = (rf"(?:{_STRATEGY})?(?:num_)?(?:sampled_)?(?:clients|nodes)_per_round",)
CLIENTS = (
    rf"(?:static\.)?(?:{_STRATEGY})?(?:num_supernodes|num_clients|n_clients|total_clients|clients|num_partitions)",
)

STRATEGY = (
    r"strategy\.name",
    r"strategy\.(?:strategy|type|_target_|target|class|class_name|method|algorithm|aggregation)",
    r"strategy(?:_name|_type|_class)?|aggregation(?:_strategy|_method)?|(?:server|federated|fl)\.strategy|fl_strategy|fl_algorithm",
)
# use_flexlora, strategy.use-fedprox, enable-ffalora: the group is the strategy's name.
STRATEGY_FLAG = r"(?:[\w.]+\.)?(?:use|enable|with)_(?P<name>{names})"
STRATEGY_OPTION = r"strategy\.[\w.]{1,80}"

LOCAL_STEPS = (
    r"train\.training_arguments\.max_steps",
    rf"(?:{_TRAIN}|{_ARGUMENTS})(?:max_steps|local_steps|steps|num_steps)|local_steps|max_steps",
)
LOCAL_EPOCHS = (
    r"train\.training_arguments\.num_train_epochs",
    rf"(?:{_TRAIN}|{_ARGUMENTS})(?:num_train_epochs|num_epochs|local_epochs|epochs)|(?:num_)?local_epochs|num_epochs|epochs",
)
BATCH_SIZE = (
    r"train\.training_arguments\.per_device_train_batch_size",
    rf"(?:{_TRAIN}|{_ARGUMENTS})(?:per_device_train_batch_size|train_batch_size|batch_size|batch)|(?:train_)?batch_size",
)
ACCUMULATION = (
    rf"(?:{_TRAIN}|{_ARGUMENTS})(?:gradient_accumulation_steps|grad_accum(?:ulation)?_steps|gradient_accumulation)",
)
SEQUENCE_LENGTH = (
    r"train\.seq_length",
    rf"(?:{_TRAIN})?(?:max_seq_length|max_seq_len|seq_len|seq_length|sequence_length|max_length|cutoff_len)",
)
OPTIMIZER = (rf"(?:{_TRAIN}|{_ARGUMENTS})(?:optim|optimizer|optimiser)",)
RATE_MAX = (
    r"train\.learning_rate_max",
    rf"(?:{_TRAIN})?(?:learning_rate_max|max_learning_rate|lr_max|max_lr)",
)
RATE_MIN = (
    r"train\.learning_rate_min",
    rf"(?:{_TRAIN})?(?:learning_rate_min|min_learning_rate|lr_min|min_lr)",
)
RATE = (rf"(?:{_TRAIN}|{_ARGUMENTS})?(?:learning_rate|lr)",)

TEMPLATE = (r"train\.template",)
INSTRUCTION_COLUMNS = (r"train\.instruction_columns",)
LEARN_END_TOKEN = (r"train\.learn_end_token",)
DRAW_ANEW = (r"train\.draw_anew",)
GROUP_BY_LENGTH = (r"train\.group_by_length", rf"{_ARGUMENTS}group_by_length")
# How clients differ and what they send packed, by the words that stand before the value for people.
DIFFERING = {
    "ranks": r"devices\.ranks",
    "local steps": r"devices\.steps",
    "speeds": r"devices\.speeds",
    "deadline": r"devices\.deadline",
    "drop-out": r"devices\.drop_out",
    "poisoned clients": r"devices\.poisoned",
    "updates as": r"compression\.kind",
}
TRAINING_ROWS = (r"train\.data_name",)

STATIC_DATASET = (r"static\.dataset\.(?:name|id|path|hub_id)", r"static\.dataset(?:_name|_id)?")
EDITABLE_DATASET = (r"dataset\.(?:name|id|path|hub_id)", r"(?:train\.)?dataset(?:_name|_id)?")
STATIC = r"static\.[\w.]+"

NOISE_MULTIPLIER = (rf"{_PRIVACY}(?:noise_multiplier|noise|sigma)", r"(?:[\w.]+\.)?(?:dp_)?noise_multiplier")
CLIPPING_NORM = (
    rf"{_PRIVACY}(?:clipping_norm|clip_norm|max_grad_norm|clip|clipping)",
    r"(?:[\w.]+\.)?(?:dp_)?clipping_norm",
)
EPSILON = (rf"{_PRIVACY}(?:target_)?epsilon", r"(?:dp_|target_)epsilon")
DELTA = (rf"{_PRIVACY}(?:target_)?delta", r"(?:dp_|target_)delta")
USE_PRIVACY = (rf"{_PRIVACY}(?:enabled?|use|on)", r"(?:[\w.]+\.)?(?:use|enable)_(?:dp|differential_privacy)")

# What says nothing about the method, and settings of Hugging Face's TrainingArguments not on the card.
IGNORED = (
    r"(?:train|training)\.training_(?:arguments|args)\.[\w.]+",
    r"model\.(?:gradient_checkpointing|attn|attn_implementation|torch_dtype|dtype|revision|path|use_fast_tokenizer)",
    r"train\.(?:save_every_round|dynamic_data_seed|seed|threads|data|data_digest|padding_side|canaries|evaluate_split|validation_split[\w]*)",
    r"(?:strategy\.)?fraction_evaluate|strategy\.min_(?:evaluate|available)_(?:nodes|clients)",
    r"train\.learning_rate_schedule|privacy\.(?:clipping_mode|target_quantile|quantile_rate)",
    r"partition\.(?:kind|alpha|column|labels)|evaluate\.(?:(?:own_)?held_out_rows|(?:keep_)?every_rounds)",
    r"compression\.top_k",
    r"challenge|task|task\.name|seed|run_name|run_id|output|output_dir|save_path|state|events|log_level",
    r"(?:use_)?wandb(?:\.[\w.]+)?|wandb_[\w.]+|hf_[\w.]+",
)
