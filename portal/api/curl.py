"""An operation of the API as a command for a shell that runs as it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

SITE = "https://SITE"
"""In place of the reader's address of the site."""
_ADAPTER = "adapter_model.safetensors"
# Names that every site has, and numbers that one changes.
_IN_PATHS = {
    "slug": "finance",
    "challenge": "finance",
    "benchmark": "fpb",
    "code": "adapter.shape",
    "hub_id": "HuggingFaceTB/SmolLM2-135M-Instruct",
}
_HEADERS = {
    "Tus-Resumable": "1.0.0",
    "Upload-Length": f"$(stat -c %s {_ADAPTER})",
    "Upload-Offset": "0",
    "Idempotency-Key": "$(uuidgen)",
}
_METADATA = {"challenge": "finance", "base_model": "organisation/name", "method": "FedAvg, rank 16"}
_FILES = ("adapter_config=@adapter_config.json", "pyproject=@pyproject.toml")
_BODIES: Mapping[str, Mapping[str, Any]] = {
    "baseline_runs_create": {
        "challenge": "finance",
        "base_model": "organisation/name",
        "method": "FedAvg, 4 clients",
        "preset": "cpu-one",
    },
    "submissions_partial_update": {"method": "FedAvg, rank 16, all layers"},
}


def command(path: str, method: str, operation: Mapping[str, Any], *, needs_token: bool) -> str:
    """The command, in lines that are continued. SITE stands in it, and TOKEN where one is needed."""
    words = ["curl --fail-with-body"]
    if method not in ("get", "post"):
        words.append(f"-X {method.upper()}")
    if needs_token:
        words.append('-H "Authorization: Bearer $TOKEN"')
    headers = (p for p in operation.get("parameters", ()) if p["in"] == "header" and p["name"] in _HEADERS)
    words += [
        f'-H "{header["name"]}: {_HEADERS[header["name"]]}"'
        for header in headers
        if header.get("required") or header["name"] == "Idempotency-Key"
    ]
    words += _body(operation) or (["-X POST"] if method == "post" else [])
    words.append(f'"{SITE}{_filled(path, operation)}"')
    return " \\\n  ".join(words)


def _body(operation: Mapping[str, Any]) -> list[str]:
    media = operation.get("requestBody", {}).get("content", {})
    if operation["operationId"] == "uploads_create":
        return ["-X POST --include"]
    if "application/offset+octet-stream" in media:
        return ['-H "Content-Type: application/offset+octet-stream"', f"--data-binary @{_ADAPTER}"]
    if (body := _BODIES.get(operation["operationId"])) is not None:
        return ['-H "Content-Type: application/json"', f"-d '{json.dumps(body)}'"]
    if "multipart/form-data" in media:
        files = (f"adapter_model=@{_ADAPTER}", *_FILES)
        return [*(f"-F {file}" for file in files), f"-F 'metadata={json.dumps(_METADATA)}'"]
    return []


def _filled(path: str, operation: Mapping[str, Any]) -> str:
    """The path with values: those of the table, and 1 for a number, which the reader changes."""
    parameters = operation.get("parameters", ())
    for name in (parameter["name"] for parameter in parameters if parameter["in"] == "path"):
        is_uuid = any(p["name"] == name and p["schema"].get("format") == "uuid" for p in parameters)
        path = path.replace(f"{{{name}}}", "$UPLOAD" if is_uuid else _IN_PATHS.get(name, "1"))
    required = {p["name"]: "" for p in parameters if p["in"] == "query" and p.get("required")}
    return f"{path}?{urlencode(required)}" if required else path
