"""A server on loopback that speaks S3, and the settings that an operator makes for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from portal.environment import Environment

SETTINGS: dict[str, Any] = {
    "s3_region": "us-east-1",
    "s3_access_key_id": "key",
    "s3_secret_access_key": "secret",
    "s3_addressing_style": "path",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """Its address. Whoever needs it is skipped without the packages of the extra s3."""
    for package in ("boto3", "storages"):
        pytest.importorskip(package, reason="needs the extra s3")
    moto_server = pytest.importorskip("moto.server", reason="needs moto")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def environment(endpoint: str, bucket: str) -> Environment:
    """Of a site that keeps its files in that bucket."""
    return Environment(s3_bucket=bucket, s3_endpoint_url=endpoint, **SETTINGS)
