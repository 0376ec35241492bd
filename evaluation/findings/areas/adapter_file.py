"""Finding codes of adapter_model.safetensors, as a file."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, Area, FindingKind

AREA = Area(
    "adapter-file",
    "The file adapter_model.safetensors",
    about=(
        "Whether the file is safetensors, read within bounds before anything else is done with it. A pickle "
        "is never opened, because opening one can run code."
    ),
    kinds=(
        FindingKind(
            "file.empty",
            ERROR,
            "The file is empty",
            explanation=(
                "The file has no bytes. Usually the program that saved or sent it broke off before anything "
                "was written."
            ),
            remedy=(
                "Look at the file's size on your disk. If it is empty there too, save the adapter again; "
                "then send it again."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "file.not_safetensors",
            ERROR,
            "The file is not safetensors",
            explanation=(
                "Only safetensors is read here. A pickle (adapter_model.bin) can run code when it is "
                "opened, so it never is. Other things that arrive under this name are GGUF models, "
                "archives, web pages that were saved in place of a download, and the short text that Git "
                "LFS leaves where a file should be."
            ),
            remedy=(
                "Save the adapter with model.save_pretrained(folder, safe_serialization=True) and send "
                "adapter_model.safetensors from that folder. In a clone of a repository, run git lfs pull "
                "first."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "file.sharded",
            ERROR,
            "The adapter is split into several files",
            explanation=(
                "Beside adapter_model.safetensors.index.json there are parts such as "
                "adapter_model-00001-of-00002.safetensors, as a library writes that splits large models. "
                "PEFT loads one file, and one file is submitted."
            ),
            remedy=(
                "Join the parts: load each with safetensors.torch.load_file, and save all their tensors "
                "with save_file into adapter_model.safetensors. Or save the adapter again with "
                "save_pretrained of the PEFT model."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "file.truncated",
            ERROR,
            "The file is cut off",
            explanation=(
                "The file ends before the bytes that its own header announces, so tensors are missing. "
                "Usually a copy or an upload broke off, or the disk was full when the adapter was saved."
            ),
            remedy="Compare the file's size with the original, copy or save it again, and send that.",
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "file.trailing_bytes",
            ERROR,
            "Bytes follow the last tensor",
            explanation=(
                "After the last tensor that the header describes there are more bytes. The format allows "
                "none: no library would read them, and nobody could say what they are."
            ),
            remedy="Save the adapter again with save_pretrained, and append nothing to the file.",
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "header.length",
            ERROR,
            "The length of the header is impossible",
            explanation=(
                "The first eight bytes of a safetensors file say how long its header is. Here that is "
                "nothing, more than the header of any adapter, or more than the whole file. The file is "
                "damaged, cut off, or of another format."
            ),
            remedy=(
                "Compare the file's size with the original. If it is whole, save the adapter again with "
                "save_pretrained and send that file."
            ),
            example="adapter_model.safetensors: bytes 0 to 7",
        ),
        FindingKind(
            "header.json",
            ERROR,
            "The header cannot be read",
            explanation=(
                "The header of a safetensors file is one JSON object in UTF-8. This one is malformed, or "
                "holds what strict JSON does not have, such as NaN or numbers without end."
            ),
            remedy=(
                "Save the adapter again with save_pretrained. If a script of yours writes the file, use the "
                "safetensors library for it."
            ),
            example="adapter_model.safetensors: header, line 1, column 80",
        ),
        FindingKind(
            "header.duplicate_key",
            ERROR,
            "A name stands twice in the header",
            explanation=(
                "A tensor, or another key of the header, is named twice. Programs disagree on which of the "
                "two counts, so that what is checked might not be what is loaded."
            ),
            remedy=(
                "Save the adapter again with save_pretrained. If a script of yours writes the file, give "
                "every tensor a name of its own."
            ),
            example="adapter_model.safetensors: header",
        ),
        FindingKind(
            "header.metadata",
            ERROR,
            "The metadata in the header are malformed",
            explanation=(
                "The entry __metadata__ maps texts to texts and holds nothing else. Libraries refuse a file "
                "in which it does not."
            ),
            remedy="Save the adapter with save_pretrained, or turn the values of your metadata into texts.",
            example="adapter_model.safetensors: __metadata__",
        ),
        FindingKind(
            "header.too_many_tensors",
            ERROR,
            "The header names too many tensors",
            explanation=(
                "The file names more tensors than any adapter has. It is probably a whole model, or was not "
                "written by PEFT."
            ),
            remedy="Send the adapter alone, as save_pretrained of a PEFT model writes it.",
            example="adapter_model.safetensors: header",
        ),
        FindingKind(
            "header.tensor_name",
            ERROR,
            "A tensor has an impossible name",
            explanation=(
                "The name of a tensor is empty, too long, or has characters outside printable ASCII. PEFT "
                "writes no such names, and they could mislead whoever reads them."
            ),
            remedy="Save the adapter again with save_pretrained.",
            example="adapter_model.safetensors: header",
        ),
        FindingKind(
            "header.tensor_entry",
            ERROR,
            "The entry of a tensor is malformed",
            explanation=(
                "Every tensor is described by three things: dtype, shape and data_offsets. Here one of them "
                "is missing, or there is something else beside them."
            ),
            remedy="Save the adapter again with save_pretrained.",
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "header.dtype",
            ERROR,
            "The format has no such data type",
            explanation=(
                "The header gives a tensor a data type that safetensors does not have, so its bytes cannot "
                "be understood."
            ),
            remedy="Save the adapter again with a current version of safetensors, in F32, F16 or BF16.",
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "header.shape",
            ERROR,
            "A tensor has an impossible shape",
            explanation=(
                "A shape is a short list of whole numbers, none of them negative and none beyond the size "
                "of any real tensor. This one is not."
            ),
            remedy="Save the adapter again with save_pretrained.",
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "header.offsets",
            ERROR,
            "The place of a tensor is impossible",
            explanation=(
                "The data_offsets of a tensor are two whole numbers, where its bytes begin and where they "
                "end. Here they are something else, or the end comes before the beginning."
            ),
            remedy="Save the adapter again with save_pretrained.",
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "header.tensor_size",
            ERROR,
            "The bytes of a tensor do not fit its shape",
            explanation=(
                "A tensor of this shape and data type takes another number of bytes than the header gives "
                "it, so the header does not describe what is in the file."
            ),
            remedy="Save the adapter again with save_pretrained; don't edit the header by hand.",
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "header.overlap",
            ERROR,
            "Two tensors share bytes",
            explanation=(
                "The bytes of two tensors overlap. The format forbids that: each byte belongs to one tensor."
            ),
            remedy=(
                "Save the adapter again with save_pretrained. If a script of yours writes the file, copy "
                "tensors that share memory first (tensor.clone())."
            ),
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
        FindingKind(
            "header.hole",
            ERROR,
            "Bytes between two tensors belong to neither",
            explanation=(
                "Between two tensors there are bytes that no tensor has. The format allows no gaps, since "
                "anything could stand in them."
            ),
            remedy="Save the adapter again with save_pretrained.",
            example=(
                "adapter_model.safetensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
            ),
        ),
    ),
)
