"""Finding codes of adapter_config.json."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, WARNING, Area, FindingKind

AREA = Area(
    "adapter-config",
    "The file adapter_config.json",
    about=(
        "How PEFT would load the adapter. Only LoRA and DoRA for causal language models are evaluated, and "
        "only options whose effect is carried over to the evaluation."
    ),
    kinds=(
        FindingKind(
            "adapter_config.json",
            ERROR,
            "The file is no valid JSON",
            explanation=(
                "The file has to be one JSON object in UTF-8. What programs read in different ways is "
                "refused too: NaN, Infinity, a key that stands twice."
            ),
            remedy=(
                "Send the adapter_config.json that PEFT wrote. If it was edited, the message says what is "
                "wrong, and the location where."
            ),
            example="adapter_config.json: line 3, column 5",
        ),
        FindingKind(
            "adapter_config.byte_order_mark",
            NOTE,
            "The file begins with a byte order mark",
            explanation=(
                "Some editors put an invisible mark at the beginning of a UTF-8 file. It is passed over "
                "here, but PEFT stops at it, so that others cannot load the adapter."
            ),
            remedy="Save the file as UTF-8 without a byte order mark.",
            example="adapter_config.json",
        ),
        FindingKind(
            "adapter_config.too_large",
            ERROR,
            "The file is too large",
            explanation=(
                "The file is larger than any configuration that PEFT writes. Probably another file was "
                "chosen."
            ),
            remedy="Choose the adapter_config.json that lies beside adapter_model.safetensors.",
            example="adapter_config.json",
        ),
        FindingKind(
            "adapter_config.type",
            ERROR,
            "A value has the wrong type or is out of range",
            explanation=(
                "A value is not of the type that PEFT has for this key, or outside what makes sense for it. "
                "The adapter could not be loaded, or would be loaded wrongly."
            ),
            remedy=(
                "Send the file that PEFT wrote. If a script changed it, write the value as the message says."
            ),
            example="adapter_config.json: lora_alpha",
        ),
        FindingKind(
            "adapter_config.missing",
            ERROR,
            "A needed key is missing",
            explanation=(
                "Without this key the adapter cannot be loaded as it was trained. Every LoRA configuration "
                "that PEFT writes has it."
            ),
            remedy="Send the adapter_config.json that PEFT wrote when the adapter was saved.",
            example="adapter_config.json: r",
        ),
        FindingKind(
            "adapter_config.unknown_keys",
            NOTE,
            "Unknown keys are ignored",
            explanation=(
                "The file has keys that are not known here, mostly of a newer PEFT or of another program. "
                "The adapter is evaluated as if they were not there."
            ),
            remedy=(
                "Nothing needs to be done, unless one of the keys changes what the adapter computes: then "
                "train without it."
            ),
            example="adapter_config.json",
        ),
        FindingKind(
            "adapter_config.peft_type",
            ERROR,
            "The adapter is not LoRA",
            explanation=(
                'Only LoRA and DoRA adapters are evaluated; both have the peft_type "LORA". Other kinds, '
                "such as prompt tuning or IA³, are loaded in other ways."
            ),
            remedy="Train and submit a LoRA or DoRA adapter.",
            example="adapter_config.json: peft_type",
        ),
        FindingKind(
            "adapter_config.task_type",
            ERROR + WARNING,
            "The task type is not CAUSAL_LM",
            explanation=(
                "The benchmarks ask a causal language model. It is a warning where the file gives no task "
                "type, since CAUSAL_LM is assumed then, and an error where it gives another one."
            ),
            remedy='Set task_type="CAUSAL_LM" in the LoraConfig with which you train, so that PEFT saves it.',
            example="adapter_config.json: task_type",
        ),
        FindingKind(
            "adapter_config.remote_code",
            ERROR,
            "The file asks for code from elsewhere",
            explanation=(
                "With this key, such as auto_map or trust_remote_code, a library would import or download "
                "code to load the adapter. No code of a submission is ever run here."
            ),
            remedy=(
                "Remove the key. What cannot be loaded without its own code cannot be evaluated. An "
                "auto_mapping is taken where it names a class of transformers."
            ),
            example="adapter_config.json: auto_map",
        ),
        FindingKind(
            "adapter_config.auto_mapping",
            WARNING + NOTE,
            "The file names the base model's class",
            explanation=(
                "PEFT writes auto_mapping where no task type is set, and unsloth always does. It names a "
                "class of transformers, asks for no code, and is not used here, so that it is a note. It is "
                "a warning where the class came from the base model's repository (trust_remote_code): the "
                "evaluation uses the class that transformers has for the model, and runs no other."
            ),
            remedy="Nothing needs to be done. With task_type CAUSAL_LM in the LoraConfig PEFT leaves the key "
            "out.",
            example="adapter_config.json: auto_mapping",
        ),
        FindingKind(
            "adapter_config.unsupported",
            ERROR,
            "An option that would be evaluated wrongly",
            explanation=(
                "The file uses a variant or option of LoRA whose effect is not carried over to the "
                "evaluation, such as trained biases, replicated layers, or an initialisation that changes "
                "the base model itself (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA). The scores would not be those "
                "of your adapter, so it is refused."
            ),
            remedy=(
                "Train without the option. An adapter whose initialisation changed the base model can be "
                "converted to plain LoRA with save_pretrained(…, "
                "path_initial_model_for_weight_conversion=…)."
            ),
            example="adapter_config.json: init_lora_weights",
        ),
        FindingKind(
            "adapter_config.base_model",
            ERROR + WARNING + NOTE,
            "The base model is another one, or cannot be told",
            explanation=(
                "An adapter only means something on the base model that it was trained on. It is an error "
                "where the file names another model of the hub than the selected one; a warning where it "
                "names a repository of the same name, such as a mirror or a quantised copy, or none, or "
                "something that does not tell; and a note where a local path is taken for a copy of the "
                "selected model. Other names that the operators know of the selected model are that model. "
                "Whether the tensors fit its weights is checked in any case."
            ),
            remedy=(
                "Select the base model that the adapter was trained on. If the file has a local path or "
                "another name, set base_model_name_or_path to the hub id of that model. If your base model "
                "is on no list, ask for it: the form leads to the page for that."
            ),
            example="adapter_config.json: base_model_name_or_path",
        ),
        FindingKind(
            "adapter_config.revision",
            WARNING,
            "The base model's revision is another one",
            explanation=(
                "The adapter names another revision of the base model than the one on which all submissions "
                "are evaluated. If their weights differ, so do the scores."
            ),
            remedy=(
                "Compare the two revisions on the hub. If only texts changed, nothing needs to be done; if "
                "weights changed, train on the revision that is evaluated."
            ),
            example="adapter_config.json: revision",
        ),
        FindingKind(
            "adapter_config.target_modules",
            WARNING,
            "No target modules are named",
            explanation=(
                "The file does not say on which modules there is LoRA. The modules that are found in the "
                "adapter's tensors are taken, so tensors that are missing go unnoticed."
            ),
            remedy="Send the adapter_config.json that PEFT wrote when the adapter was saved; it names them.",
            example="adapter_config.json: target_modules",
        ),
        FindingKind(
            "adapter_config.pattern",
            ERROR,
            "A regular expression cannot be used",
            explanation=(
                "Keys such as target_modules, rank_pattern and alpha_pattern may hold regular expressions. "
                "One is malformed, too long, refers back to a group, or takes too many steps to match."
            ),
            remedy="Name the modules in a list, or write a simpler expression.",
            example="adapter_config.json",
        ),
    ),
)
