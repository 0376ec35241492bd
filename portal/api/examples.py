"""Examples of requests and answers, as the documentation page shows them."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

_DRAFT = {
    "challenge": "finance",
    "base_model": "mistralai/Mistral-7B-v0.3",
    "method": "FedAvg, rank 16",
    "description": "LoRA rank 16 on all linear layers, 100 rounds.",
    "paper_url": "https://example.org/paper",
    "code_url": "https://example.org/code",
    "training_data": "The challenge's training set alone, as the configuration names it.",
    "not_trained_on_test_items": True,
    "resources": [{"kind": "communication", "value": 241591910}],
    "declared_scores": {"fpb": "44.55", "fiqa": "62.50", "tfns": "28.77"},
}

LIST = [
    OpenApiExample(
        "Two published submissions of a challenge",
        value={
            "id": 7,
            "url": "https://example.org/submissions/7/",
            "status": "published",
            "challenge": "finance",
            "kind": "community",
            "method": "FedAvg, rank 16",
            "team": "Example team",
            "team_id": 3,
            "base_model": "mistralai/Mistral-7B-v0.3",
            "checkpoint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "origin": "",
            "description": "",
            "paper_url": "",
            "code_url": "",
            "training_data": "The challenge's training set alone, as the configuration names it.",
            "not_trained_on_test_items": True,
            "created_at": "2026-11-20T09:30:00Z",
            "edited_at": "2026-11-20T09:30:00Z",
            "sent_at": "2026-11-20T09:31:00Z",
            "status_changed_at": "2026-11-21T08:00:00Z",
            "published_at": "2026-11-21T08:00:00Z",
        },
        response_only=True,
        status_codes=["200"],
    )
]
NEW = [
    OpenApiExample(
        "An adapter that was uploaded before",
        value={
            **_DRAFT,
            "adapter_upload": "4b4bd1a6-7c2c-4c5b-9d7c-2b0d7f8c2f11",
            "adapter_config": '{"peft_type": "LORA", "r": 16, "lora_alpha": 32, "…": "…"}',
            "pyproject": "[tool.flwr.app.config]\nnum-server-rounds = 100\n",
        },
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "From the hub",
        value={**_DRAFT, "repository": "example/adapter", "revision": "main", "subfolder": "peft_100"},
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "A draft without files",
        value={**_DRAFT, "draft": True},
        request_only=True,
        media_type="application/json",
    ),
]
CHANGES = [
    OpenApiExample(
        "Another name and another base model",
        value={"method": "FedAvg, rank 16, all layers", "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct"},
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "A newer adapter",
        value={"adapter_upload": "4b4bd1a6-7c2c-4c5b-9d7c-2b0d7f8c2f11"},
        request_only=True,
        media_type="application/json",
    ),
]
