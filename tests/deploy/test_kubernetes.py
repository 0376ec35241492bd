"""The Kubernetes manifests: valid by the schemas of their kinds, and true of this site."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.db import connection
from django.test import Client

from portal.environment import PROJECT_ROOT, Environment
from tests.portal import factories

FOLDER = PROJECT_ROOT / "deploy" / "kubernetes"
VERSION = "1.34"
# Kinds of Kustomize and KEDA, which Kubernetes has no schemas of.
NOT_ITS_OWN = ("kustomize.config.k8s.io/", "keda.sh/")

Manifest = dict[str, Any]


@cache
def manifests() -> list[tuple[Path, Manifest]]:
    return [
        (path, manifest)
        for path in sorted(FOLDER.rglob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text())
    ]


def of_kind(kind: str) -> list[Manifest]:
    return [manifest for _, manifest in manifests() if manifest["kind"] == kind]


def pods() -> dict[str, Manifest]:
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]
        for kind in ("Deployment", "Job")
        for manifest in of_kind(kind)
    }


@pytest.mark.parametrize(
    ("path", "manifest"),
    [
        pytest.param(path, manifest, id=f"{path.parent.name}/{path.stem}-{manifest['kind']}")
        for path, manifest in manifests()
        if not manifest["apiVersion"].startswith(NOT_ITS_OWN)
    ],
)
def test_a_manifest_fits_its_schema(path: Path, manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_every_file_is_named_by_its_kustomization() -> None:
    for folder in (FOLDER / "base", FOLDER / "gpu"):
        named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        there = {file.name for file in folder.iterdir()} - {"kustomization.yaml"}
        assert {name for name in named if name != "../base"} == there


def test_the_overlay_of_the_documentation_names_images_that_are_there() -> None:
    """Kustomize finds a name only where no base has put another in its place."""
    page = (PROJECT_ROOT / "docs/containers.md").read_text()
    (block,) = re.findall(r"^    namespace: .*\n(?:    .*\n)+", page, flags=re.MULTILINE)
    overlay = yaml.safe_load(block)
    used = {container["image"] for pod in pods().values() for container in pod["spec"]["containers"]}
    assert {image["name"] for image in overlay["images"]} < used
    assert overlay["namespace"] == of_kind("Namespace")[0]["metadata"]["name"]
    for folder in (FOLDER / "base", FOLDER / "gpu"):
        assert "images" not in yaml.safe_load((folder / "kustomization.yaml").read_text())


def test_settings_are_settings_and_secrets_lie_where_they_are_read() -> None:
    (generated,) = yaml.safe_load((FOLDER / "base/kustomization.yaml").read_text())["configMapGenerator"]
    names = {literal.partition("=")[0] for literal in generated["literals"]}
    assert names - {"HF_TOKEN_PATH"} <= {name.upper() for name in Environment.model_fields}
    for name, pod in pods().items():
        for container in pod["spec"]["containers"]:
            places = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {"/var/lib/flowertune", "/tmp", "/run/secrets"} <= places, name


def test_no_pod_may_write_its_root_or_be_root() -> None:
    assert len(pods()) == 5
    for name, pod in pods().items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"], name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] and rights["capabilities"] == {"drop": ["ALL"]}, name
            assert rights["allowPrivilegeEscalation"] is False, name


def test_what_selects_pods_finds_some() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    selectors = [manifest["spec"]["selector"] for manifest in of_kind("Service")]
    selectors += [manifest["spec"]["selector"]["matchLabels"] for manifest in of_kind("PodDisruptionBudget")]
    selectors += [
        manifest["spec"]["podSelector"]["matchLabels"]
        for manifest in of_kind("NetworkPolicy")
        if manifest["metadata"]["name"] != "nobody"
    ]
    assert selectors and all(selector in labels for selector in selectors)
    assert {manifest["spec"]["scaleTargetRef"]["name"] for manifest in of_kind("ScaledObject")} <= set(pods())


@pytest.mark.django_db
def test_workers_are_scaled_by_the_work_that_there_is() -> None:
    (scaled,) = of_kind("ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]

    def asked() -> int:
        with connection.cursor() as cursor:
            cursor.execute(trigger["metadata"]["query"])
            return int(cursor.fetchone()[0])

    assert asked() == 0
    made = factories.submission(factories.user())
    assert asked() == 1
    factories.evaluate(made)
    assert asked() == 0


@pytest.mark.django_db
def test_the_web_servers_probes_are_answered_under_the_name_that_they_ask_for(client: Client) -> None:
    (container,) = pods()["web"]["spec"]["containers"]
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[name]["httpGet"]
        (host,) = asked["httpHeaders"]
        assert client.get(asked["path"], headers={"host": host["value"]}).status_code == 200, name


def test_the_seccomp_profile_is_one() -> None:
    profile = json.loads((PROJECT_ROOT / "deploy/containers/seccomp.json").read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
