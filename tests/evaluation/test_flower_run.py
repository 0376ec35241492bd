"""What Flower recorded of a run: read, held against what is derived, and the app's bundle against it."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evaluation.inspection.flower_run import parse_flower_run, recorded
from evaluation.method.communication import GB
from evaluation.statements import ed25519
from tests.evaluation.test_inspect import BASE, VALID, codes, look, save_adapter


def run(**changes: Any) -> dict[str, Any]:
    """A row as flwr 1.32 writes it."""
    return {
        "run-id": "12345678901234567890",
        "federation": "@example/federation",
        "fab-id": "example/medical",
        "fab-name": "medical",
        "fab-version": "1.0.0",
        "fab-hash": "ab" * 32,
        "status": "finished:completed",
        "status-details": "",
        "elapsed": 7200.5,
        "pending-at": "2026-11-20 09:30:00Z",
        "starting-at": "2026-11-20 09:30:01Z",
        "running-at": "2026-11-20 09:30:02Z",
        "finished-at": "2026-11-20 11:30:02Z",
        "network-traffic": {
            "inbound-bytes": GB,
            "outbound-bytes": 2 * GB,
            "total-bytes": 3 * GB,
        },
        "compute-time": {
            "serverapp-seconds": 3600.0,
            "clientapp-seconds": 36000.0,
            "total-seconds": 39600.0,
        },
        **changes,
    }


def listed(*runs: dict[str, Any]) -> bytes:
    return json.dumps({"success": True, "runs": list(runs)}).encode()


def test_a_run_says_its_app_its_bundle_and_what_it_took() -> None:
    assert (read := recorded(listed(run()).decode()))
    assert dict(read.rows()) == {
        "Flower app": f"@example/medical==1.0.0, bundle sha256:{'ab' * 32}",
        "Run": "12345678901234567890, finished:completed",
        "Network traffic": "3.00 GB at the SuperLink (1.00 GB in, 2.00 GB out)",
        "Compute time": "clients 10.00 h, server 1.00 h",
    }


def signed_by(key: str, at: int, bundle: bytes = bytes.fromhex("ab" * 32)) -> dict[str, str]:
    """As Flower's SuperLink keeps what `flwr app review` signed."""
    signature = ed25519.sign(ed25519.new_private_key(), at.to_bytes(8, "big") + bundle)
    text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    return {key: json.dumps({"signature": text, "signed_at": at})}


def test_who_signed_the_bundle_on_flower_hub_is_named() -> None:
    column = json.dumps(
        {"valid_license": "Valid", **signed_by("fpk_b", 1_790_000_000), **signed_by("fpk_a", 1)}
    )
    content = json.dumps({"runs": [run()], "verifications": column}).encode()
    read, findings = parse_flower_run(content)
    assert read and findings == ()
    assert dict(read.rows())["Signed on Flower Hub"] == "key fpk_a, 1970-01-01; key fpk_b, 2026-09-21"
    without = json.dumps({"runs": [run(**{"fab-hash": ""})], "verifications": column}).encode()
    read, _ = parse_flower_run(without)
    assert read and read.signers == ()


@pytest.mark.parametrize(
    "given",
    [
        "no JSON",
        ["fpk_a"],
        {"fpk_a": "{}"},
        {"fpk_a": {"signature": "AAAA", "signed_at": 1}},
        {"fpk_a": {"signature": "A" * 86, "signed_at": -1}},
        {"fpk_a": {"signature": "A" * 86, "signed_at": 10**15}},
        {"fpk_a": {"signature": "A" * 86, "signed_at": True}},
    ],
)
def test_a_signature_that_cannot_be_read_is_told_and_left_out(given: Any) -> None:
    read, findings = parse_flower_run(json.dumps({"runs": [run()], "verifications": given}).encode())
    assert read and read.signers == ()
    assert [finding.code for finding in findings] == ["flower_run.signatures"]


def test_of_several_runs_the_one_that_completed_is_taken() -> None:
    failed = run(**{"run-id": "1", "status": "finished:failed"})
    taken, findings = parse_flower_run(listed(failed, run()))
    assert taken and taken.run_id == "12345678901234567890" and not findings
    taken, findings = parse_flower_run(listed(run(), run(**{"run-id": "2"})))
    assert taken is None and [finding.code for finding in findings] == ["flower_run.several"]
    taken, findings = parse_flower_run(listed(failed))
    assert taken and [finding.code for finding in findings] == ["flower_run.not_completed"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"runs": {}}', b'{"runs": [3]}', b"\xff", b'{"success": false}']
)
def test_anything_else_is_an_error(content: bytes) -> None:
    taken, findings = parse_flower_run(content)
    assert taken is None and [finding.code for finding in findings] == ["flower_run.unreadable"]


def test_fields_of_other_kinds_are_not_known() -> None:
    odd = run(**{"fab-hash": 7, "elapsed": -1, "network-traffic": [], "compute-time": {"x": 1}, "fab-id": ""})
    taken, _ = parse_flower_run(listed(odd))
    assert taken and taken.total_bytes is None and taken.elapsed is None and taken.bundle == ""
    assert [label for label, _ in taken.rows()] == ["Run"]


class TestInAFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "pyproject.toml").write_text(VALID)
        save_adapter(tmp_path / "peft_100")
        return tmp_path

    def test_its_traffic_is_held_against_the_derived(self, folder: Path) -> None:
        derived = look(folder, BASE).communication
        assert derived
        for factor, expected in ((1.0, False), (3.0, True)):
            traffic = {"inbound-bytes": factor * derived.total_bytes, "outbound-bytes": 0}
            (folder / "flwr_run.json").write_bytes(listed(run(**{"network-traffic": traffic})))
            inspection = look(folder, BASE)
            assert inspection.flower_run
            assert ("communication.differs" in codes(inspection)) is expected

    def test_the_bundle_is_that_of_the_run_and_set_as_the_configuration(self, folder: Path) -> None:
        bundle = folder / "example.medical.1-0-0.fab"
        for text, expected in ((VALID, None), (VALID.replace("0.1", "0.2"), "flower_run.other_config")):
            with zipfile.ZipFile(bundle, "w") as archive:
                archive.writestr("pyproject.toml", text)
            digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
            (folder / "flwr_run.json").write_bytes(listed(run(**{"fab-hash": digest})))
            found = [code for code in codes(look(folder, BASE)) if code.startswith("flower_run.")]
            assert found == ([expected] if expected else [])
        bundle.write_bytes(b"PK")
        assert "flower_run.other_bundle" in codes(look(folder, BASE))
