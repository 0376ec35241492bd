"""vLLM as its own documentation uses it offline, in a process of its own: prompts in, texts and seconds out.

`python -m tests.perf.raw_vllm` reads a JSON object on stdin: `model`, `dtype`, `adapter` (a folder or null),
`logprobs` (of how many tokens to tell the log probability where an answer begins, or null), and `sets` of
prompts with the limit of tokens for each.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # vLLM prints
    job = json.load(sys.stdin)
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    lora = LoRARequest("adapter", 1, job["adapter"]) if job["adapter"] else None
    options = {"enable_lora": True, "max_lora_rank": 64} if lora else {}
    llm = LLM(model=job["model"], dtype=job["dtype"], generation_config="vllm", max_model_len=2048, **options)
    result: list[dict[str, Any]] = []
    for prompts in job["sets"]:
        texts = [prompt for prompt, _ in prompts]
        sampling = [
            SamplingParams(temperature=0, max_tokens=limit, logprobs=job["logprobs"]) for _, limit in prompts
        ]
        llm.generate(texts[:2], sampling[:2], use_tqdm=False, lora_request=lora)
        llm.reset_prefix_cache()
        start = time.perf_counter()
        outputs = [
            output.outputs[0] for output in llm.generate(texts, sampling, use_tqdm=False, lora_request=lora)
        ]
        result.append(
            {
                "seconds": time.perf_counter() - start,
                "texts": [output.text for output in outputs],
                "logprobs": [
                    {token: found.logprob for token, found in output.logprobs[0].items()}
                    for output in outputs
                    if output.logprobs
                ],
            }
        )
    json.dump(result, answers)
    answers.close()


if __name__ == "__main__":
    main()
