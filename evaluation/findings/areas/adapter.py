"""Finding codes of the adapter against its configuration and its base model."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, WARNING, Area, FindingKind

AREA = Area(
    "adapter",
    "The adapter against its configuration and its base model",
    about=(
        "Whether the tensors are those of a trained LoRA adapter, fit the configuration beside them, and "
        "fit the base model that was selected."
    ),
    kinds=(
        FindingKind(
            "adapter.no_lora_tensors",
            ERROR,
            "There are no LoRA tensors",
            explanation=(
                "The file has no tensor of LoRA (lora_A, lora_B), or the configuration targets none of the "
                "modules that have one. Nothing but the base model would be evaluated."
            ),
            remedy=(
                "Save the trained PEFT model with save_pretrained, and send the two files of the same save."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "adapter.unknown_tensor",
            ERROR,
            "A tensor that no LoRA adapter has",
            explanation=(
                "The tensor is not named as PEFT names those of an adapter, or belongs neither to LoRA nor "
                "to a module in modules_to_save. Loading would drop it without a word, and the scores would "
                "not be those of what you trained."
            ),
            remedy=(
                "Save the adapter with save_pretrained of the PEFT model, rather than its state dict by "
                "hand. Names of PEFT's tensors begin with base_model.model."
            ),
            example="adapter_model.safetensors: model.layers.0.self_attn.q_proj.weight",
        ),
        FindingKind(
            "adapter.base_weight",
            ERROR,
            "A weight of the base model would be overwritten",
            explanation=(
                "The file holds a whole weight of the base model that the configuration does not name in "
                "modules_to_save, and it is not the base model's own. Usually these are the embeddings, "
                "which save_pretrained adds where the vocabulary was resized."
            ),
            remedy=(
                "Save without it (save_embedding_layers=False), or name its module in modules_to_save when "
                "you train, if it was trained."
            ),
            example="adapter_model.safetensors: base_model.model.model.embed_tokens.weight",
        ),
        FindingKind(
            "adapter.duplicate_tensor",
            ERROR,
            "The same tensor stands there twice",
            explanation=(
                "One tensor stands in the file under two spellings of its name, for instance with and "
                "without the name of the adapter. Which of them is loaded would be left to chance."
            ),
            remedy="Keep one of the two, best by saving the adapter again with save_pretrained.",
            example=(
                "adapter_model.safetensors: "
                "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"
            ),
        ),
        FindingKind(
            "adapter.several_adapters",
            ERROR,
            "The file holds several adapters",
            explanation=(
                "The names of the tensors bear the names of several adapters, such as client_0 and "
                "client_1, or some bear one and others none. An evaluation needs one, and nothing tells "
                "which is meant."
            ),
            remedy=(
                "Save the one that is meant: model.save_pretrained(folder, selected_adapters=[name]). What "
                "a server saves is the aggregate, not the clients' adapters beside each other."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "adapter.spelling",
            NOTE,
            "The names bear marks of how the file was saved",
            explanation=(
                "A wrapper around the model (torch.compile, FSDP, DDP), an adapter with a name of its own, "
                "or a prefix that was cut off shows in all names of the tensors alike. They are read "
                "without it. Be warned that PEFT itself would load none of them, most often without a word."
            ),
            remedy=(
                "Nothing needs to be done here. So that others can load the file too, save with "
                "save_pretrained of the unwrapped PEFT model: model._orig_mod of a compiled one, "
                "accelerator.unwrap_model(model) of others."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "adapter.base_copy",
            WARNING + NOTE,
            "The file repeats a weight of the base model",
            explanation=(
                "Beside LoRA on an embedding or the output head, and where it believes the vocabulary "
                "resized, PEFT stores that weight of the base model too. It is a note where the tensor is "
                "the base model's own, bit for bit in the type that it is stored in, and a warning where "
                "that could not be compared yet. In both cases it is left out. One that differs is "
                "adapter.base_weight."
            ),
            remedy=(
                "Nothing needs to be done. save_pretrained(…, save_embedding_layers=False) makes a smaller "
                "file. Where it could not be compared, give the base model's folder (--base-model), or tell "
                "the operators to add the base model anew."
            ),
            example="adapter_model.safetensors: base_model.model.lm_head.weight",
        ),
        FindingKind(
            "adapter.zero_rows",
            WARNING,
            "Parts of the adapter are exactly zero",
            explanation=(
                "At least half of the rows of a lora_B, or a whole factor on some of the modules, is "
                "exactly zero. Training leaves no such zeros; a sharded save (FSDP, DeepSpeed ZeRO-3) does "
                "that wrote what one process held. The scores would be those of a part of your adapter."
            ),
            remedy=(
                "Gather the parameters before you save: accelerator.get_state_dict(model), "
                "summon_full_params, or deepspeed.zero.GatheredParameters. If these modules were left out "
                "of the training on purpose, say so in the description."
            ),
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
            ),
        ),
        FindingKind(
            "adapter.unknown_module",
            ERROR,
            "The base model has no such module",
            explanation=(
                "The adapter has LoRA on a module that is no linear layer and no embedding of the selected "
                "base model. It was trained on another model."
            ),
            remedy="Select the base model that the adapter was trained on.",
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.40.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "adapter.shape",
            ERROR,
            "A shape does not fit the rank or the base model",
            explanation=(
                "The shape of a tensor follows from the rank in the configuration and from the matrix of "
                "the base model that it adapts. This one has another shape, so the adapter cannot be "
                "loaded."
            ),
            remedy=(
                "Check r and rank_pattern in adapter_config.json, that both files are of the same save, and "
                "that the selected base model is the one that the adapter was trained on."
            ),
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "adapter.incomplete_module",
            ERROR,
            "A module lacks one of its tensors",
            explanation=(
                "A module has only a part of what belongs to it: lora_A without lora_B, DoRA without its "
                "magnitude, or a module of modules_to_save without one of its weights. The update would not "
                "be the one that was trained."
            ),
            remedy=(
                "Save the adapter again with save_pretrained, from a model that holds all of it. If clients "
                "send a part of the tensors only, put the others back before the server saves."
            ),
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
            ),
        ),
        FindingKind(
            "adapter.unexpected_magnitude",
            ERROR,
            "DoRA magnitudes in an adapter without DoRA",
            explanation=(
                "The file has the magnitude vectors of DoRA, but the configuration says use_dora false. "
                "Either the two files are not of the same run, or the configuration was written by hand."
            ),
            remedy=(
                "Send the two files of the same save. If the adapter was trained with DoRA, use_dora has to "
                "be true."
            ),
            example=(
                "adapter_model.safetensors: "
                "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"
            ),
        ),
        FindingKind(
            "adapter.dtype",
            ERROR,
            "The data type is none of an adapter",
            explanation=(
                "Adapters are stored in F32, F16 or BF16. Whole numbers and 8-bit types hold no trained "
                "update that could be loaded as it is."
            ),
            remedy=(
                "Convert the tensors to F32, F16 or BF16 before you save, for instance with "
                "model.to(torch.bfloat16)."
            ),
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "adapter.not_finite",
            ERROR,
            "Values are NaN or infinite",
            explanation=(
                "The tensor has values that are no numbers, which is what a diverged training leaves. Every "
                "answer of such a model would be empty or noise."
            ),
            remedy=(
                "Submit the checkpoint of an earlier round, or train again with a lower learning rate, "
                "clipped gradients, or in BF16 or F32 rather than F16."
            ),
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
            ),
        ),
        FindingKind(
            "adapter.untargeted_module",
            WARNING,
            "Tensors of a module that the configuration does not target",
            explanation=(
                "The file has tensors for a module that the configuration does not target. PEFT ignores "
                "them, and so does the evaluation."
            ),
            remedy=(
                "If the module was trained, send the configuration that belongs to this file. If not, "
                "nothing needs to be done."
            ),
            example="adapter_model.safetensors: base_model.model.model.layers.0.mlp.up_proj",
        ),
        FindingKind(
            "adapter.target_without_tensors",
            WARNING,
            "Targeted modules have no tensors",
            explanation=(
                "The configuration targets modules of the base model for which the file has no tensors. "
                "They stay as in the base model. If they were trained, a part of your adapter is missing."
            ),
            remedy=(
                "Save the adapter again if they were trained. If not, name in target_modules only the "
                "modules that were."
            ),
            example="adapter_config.json: target_modules",
        ),
        FindingKind(
            "adapter.full_weights",
            WARNING,
            "Whole weights are replaced",
            explanation=(
                "The modules in modules_to_save are sent whole and replace those of the base model. That is "
                "evaluated, but it is much more to communicate than a low-rank update, and the reviewer "
                "looks at it."
            ),
            remedy=(
                "Check that it is meant. If it is, say in the description why; if not, train without "
                "modules_to_save."
            ),
            example="adapter_config.json: modules_to_save",
        ),
        FindingKind(
            "adapter.no_effect",
            WARNING,
            "The adapter changes nothing",
            explanation=(
                "Every lora_B is zero. That is how LoRA begins: the scores will be those of the base model. "
                "Probably the checkpoint was saved before the first round, or the update never reached the "
                "server's model."
            ),
            remedy=(
                "Submit the checkpoint of the last round. If it is that one, look at how the server puts "
                "the aggregate back into the model."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "adapter.rank",
            WARNING,
            "The rank is higher than the matrix allows",
            explanation=(
                "The update of a matrix cannot have a higher rank than the matrix's smaller side. What goes "
                "beyond adds nothing but parameters and communication."
            ),
            remedy=(
                "Train with a rank of at most the smaller side; rank_pattern gives single modules a rank of "
                "their own."
            ),
            example="adapter_model.safetensors: base_model.model.model.layers.0.self_attn.k_proj",
        ),
    ),
)
