"""Evaluation of federated fine-tuned language models: usable alone, without the site."""

import logging

# On processors with AVX512-BF16 bitsandbytes warns, wherever it is imported first, that a kernel is not
# installed which would multiply packed 4-bit weights. `evaluation.precision` never lets it pack them.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(
    lambda record: "gemm_4bit_forward" not in str(record.msg)
)
