"""Equal material gives equal findings whichever way it comes: code, severity, message and location."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from huggingface_hub import constants

from evaluation import __main__ as evaluation_main
from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE, BaseModelTensors, base_model_tensors
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.inspection import Known, KnownBase, inspect
from evaluation.inspection.declared import DeclaredScore
from evaluation.inspection.folder import gather
from evaluation.method.communication import GB
from flowertune import __main__ as flowertune_main
from portal.accounts.models import ApiToken, User, personal_team
from portal.intake import services
from portal.submissions.models import BaseModel, Submission
from portal.submissions.rules import site_rules
from tests.evaluation import adapters
from tests.evaluation.hub_server import HubServer
from tests.portal import factories
from tests.portal.test_reading_files import ask
from workers import fetch

pytestmark = pytest.mark.django_db(transaction=True)

# Where ways may differ, and why. Nothing else may.
UNKNOWN_WITHOUT_A_SITE = {
    "adapter_config.revision": "`evaluation inspect` does not know at which commit the site evaluates",
    "declared.impossible_score": "nor is it told any scores",
    "submission.missing_file": "and it checks what there is, before anything is to be submitted",
    "app.no_config": "so that it only notes what is not there",
    "app.no_checkpoint": "likewise",
}
ONLY_IN_A_FOLDER = {
    "communication.differs": "the communication log is not submitted",
    "app.round": "nor is the name of the checkpoint's folder",
}
NOT_FETCHED = "hub.not_fetched"  # a repository without the two files of an adapter brings nothing to check

REPO = "somebody/fed-adapter"
FIELDS = {"adapter_model": ADAPTER_FILE, "adapter_config": ADAPTER_CONFIG_FILE, "pyproject": CONFIG_FILE}
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"

Row = tuple[str, str, str, str]
_KEYS = ("code", "severity", "message", "location")


@dataclass(frozen=True)
class Case:
    """Files by name, to be submitted to a challenge on a base model, whose `base_folder` may be real."""

    name: str
    challenge: str
    base_model: str
    files: Mapping[str, bytes]
    gigabytes: float | None = None
    scores: Mapping[str, str] = field(default_factory=dict)
    base_folder: Path | None = None


class Ways(Protocol):
    """Each way that a case may come, and the findings that it gives."""

    def __call__(self, case: Case) -> dict[str, list[Row]]: ...


def row(finding: Any) -> Row:
    """A Finding, a stored one, or one of a JSON document."""
    values = finding if isinstance(finding, dict) else {name: getattr(finding, name) for name in _KEYS}
    code, severity, message, location = (str(values[name]) for name in _KEYS)
    return code, severity, message, location


@pytest.fixture
def owner(transactional_db: None) -> User:
    return factories.user("owner")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("portal.queues.app.send_task", lambda *_, **__: None)
    with HubServer(REPO, {}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def run(
    live_server: Any,
    owner: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Any]:
    """Run a command of a program; gives the JSON document."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FLOWERTUNE_TOKEN", ApiToken.issue(user=owner, name="client")[1])
    monkeypatch.setenv("FLOWERTUNE_URL", live_server.url)

    def call(program: Callable[[list[str]], object], *arguments: str) -> Any:
        capsys.readouterr()
        program([*arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def ways(owner: User, hub: HubServer, run: Callable[..., Any], tmp_path: Path) -> Ways:
    browser = Client()
    browser.force_login(owner)
    token = ApiToken.issue(user=owner, name="api")[1]

    def every_way(case: Case) -> dict[str, list[Row]]:
        cache.clear()  # the limits on requests
        folder = tmp_path / "material"
        folder.mkdir()
        for name, content in case.files.items():
            (folder / name).write_bytes(content)
        model = BaseModel.objects.get(hub_id=case.base_model)
        found = {
            "folder": _folder(folder, case, model),
            **({} if case.scores or case.gigabytes is not None else {"drop": _drop(browser, case, model)}),
            "form": _form(browser, owner, case, model),
            "API": _api(token, case),
            "client": _client(run, folder, case),
            "hub": _hub(browser, owner, hub, case, model),
            "evaluation inspect": _inspect(run, folder, tmp_path, case, model),
        }
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        return found

    return every_way


def _folder(folder: Path, case: Case, model: BaseModel) -> list[Row]:
    base = KnownBase(
        model.hub_id, model.revision or None, model.parameters, BaseModelTensors.from_json(model.tensors)
    )
    material = gather(folder, whole=True).material
    known = Known(
        base=base,
        declared_bytes=None if case.gigabytes is None else case.gigabytes * GB,
        declared_scores=[DeclaredScore(slug, Decimal(text)) for slug, text in case.scores.items()],
    )
    return [row(finding) for finding in inspect(material, site_rules(case.challenge), known).findings]


def _uploads(case: Case) -> dict[str, SimpleUploadedFile]:
    return {
        field: SimpleUploadedFile(name, case.files[name])
        for field, name in FIELDS.items()
        if name in case.files
    }


def _taken(findings: Any) -> list[Row]:
    """The findings of the draft that was just made, which is deleted."""
    rows = [row(finding) for finding in findings]
    services.delete(Submission.objects.latest("pk"))
    return rows


def _fields(owner: User, case: Case, model: BaseModel) -> dict[str, Any]:
    """What the form says beside the files; it is only saved."""
    return {
        "challenge": case.challenge,
        "base_model": model.pk,
        "team": personal_team(owner).pk,
        "not_trained_on_test_items": "on",
        "method": "FedAvg",
        "communication_gb": "" if case.gigabytes is None else case.gigabytes,
        **{f"score_{slug}": text for slug, text in case.scores.items()},
        "action": "save",
    }


def _drop(browser: Client, case: Case, model: BaseModel) -> list[Row]:
    """What the form's page says of a dropped folder; nothing is declared there yet."""
    files = {f"app/{name}": content for name, content in case.files.items()}
    said = {"challenge": case.challenge, "base_model": str(model.pk)}
    wanted = ask(browser, files, None, **said).json()["wanted"]
    sent = {each["path"]: files[each["path"]][: each["size"]] for each in wanted}
    return [row(finding) for finding in ask(browser, files, sent, **said).context["reading"].findings]


def _form(browser: Client, owner: User, case: Case, model: BaseModel) -> list[Row]:
    response = browser.post("/submit/", {**_fields(owner, case, model), **_uploads(case)})
    assert response.status_code == 302, response.context["form"].errors
    return _taken(Submission.objects.latest("pk").findings.all())


def _api(token: str, case: Case) -> list[Row]:
    said: dict[str, Any] = {"challenge": case.challenge, "base_model": case.base_model, "method": "FedAvg"}
    said |= {"not_trained_on_test_items": True}
    said |= {"draft": True, "declared_scores": case.scores}
    if case.gigabytes is not None:
        said["resources"] = [{"kind": "communication", "value": case.gigabytes * GB}]
    response = Client(headers={"Authorization": f"Bearer {token}"}).post(
        "/api/v1/submissions/", {"metadata": json.dumps(said), **_uploads(case)}
    )
    assert response.status_code == 201, response.content
    return _taken(response.json()["findings"])


def _client(run: Callable[..., Any], folder: Path, case: Case) -> list[Row]:
    """What it finds before anything is sent."""
    arguments = ["--challenge", case.challenge, "--base-model", case.base_model, "--method", "FedAvg"]
    arguments += _communication(case)
    arguments += [text for slug, score in case.scores.items() for text in ("--declared", f"{slug}={score}")]
    document = run(flowertune_main.main, "submit", str(folder), *arguments, "--yes", "--draft")
    assert "local_findings" in document, document
    return _taken(document["local_findings"])


def _communication(case: Case) -> list[str]:
    return [] if case.gigabytes is None else ["--communication", f"{case.gigabytes} GB"]


def _hub(browser: Client, owner: User, hub: HubServer, case: Case, model: BaseModel) -> list[Row]:
    hub.files = dict(case.files)
    response = browser.post("/submit/", {**_fields(owner, case, model), "hub_repository": REPO})
    assert response.status_code == 302, response.context["form"].errors
    fetch.run_waiting()
    return _taken(Submission.objects.latest("pk").findings.all())


def _inspect(
    run: Callable[..., Any], folder: Path, tmp_path: Path, case: Case, model: BaseModel
) -> list[Row]:
    base = case.base_folder or tmp_path / "bases" / case.base_model
    if not base.exists():
        adapters.write_base(base, BaseModelTensors.from_json(model.tensors))
    arguments = ["--challenge", case.challenge, *_communication(case)]
    arguments += ["--base-model", str(base), "--base-model-id", case.base_model]
    arguments += ["--max-parameters", str(site_rules(case.challenge).max_base_parameters)]
    return [
        row(finding) for finding in run(evaluation_main.main, "inspect", str(folder), *arguments)["findings"]
    ]


def sound_files() -> dict[str, bytes]:
    return {
        ADAPTER_FILE: factories.adapter_bytes(),
        ADAPTER_CONFIG_FILE: factories.config_bytes(),
        CONFIG_FILE: factories.PYPROJECT,
    }


def differences(found: Mapping[str, list[Row]]) -> dict[str, object]:
    """The ways whose findings are not those of the folder, but for what may differ."""
    expected = found["folder"]
    wrong: dict[str, object] = {
        way: (rows, expected)
        for way, rows in found.items()
        if way not in ("evaluation inspect", "hub")
        if rows != expected
    }
    fetched = [r for r in found["hub"] if r[0] == NOT_FETCHED] or found["hub"]
    is_whole = not any(
        r[0] == "submission.missing_file" and r[3] in (ADAPTER_FILE, ADAPTER_CONFIG_FILE) for r in expected
    )
    if (fetched != expected) if is_whole else (fetched[0][0] != NOT_FETCHED):
        wrong["hub"] = (found["hub"], expected)
    alone, here = (
        [r for r in rows if r[0] not in UNKNOWN_WITHOUT_A_SITE]
        for rows in (found["evaluation inspect"], expected)
    )
    if alone != here:
        wrong["evaluation inspect"] = (alone, here)
    return wrong


@pytest.mark.slow("sends some twenty files six ways each")
def test_every_real_configuration_gives_the_same_findings_everywhere(shared: Path, ways: Ways) -> None:
    factories.base_model()
    folder = shared / "configs"
    challenges = {
        name: fact.get("challenge", "general-nlp")
        for name, fact in json.loads((folder / "expected.json").read_text()).items()
    }
    adapter = {ADAPTER_FILE: factories.adapter_bytes(), ADAPTER_CONFIG_FILE: factories.config_bytes()}
    cases = [
        Case(
            path.name,
            challenges.get(path.name, "general-nlp"),
            adapters.HUB_ID,
            {CONFIG_FILE: path.read_bytes(), **adapter},
        )
        for path in sorted(folder.glob("*toml"))
    ]
    former = (shared / "field" / "former_code_dataset.toml").read_bytes()
    cases += [
        Case("former_code_dataset.toml", "code", adapters.HUB_ID, {CONFIG_FILE: former, **adapter}),
        Case("alone", "code", adapters.HUB_ID, {CONFIG_FILE: former}),
    ]
    assert len(cases) > 10
    assert {case.name: wrong for case in cases if (wrong := differences(ways(case)))} == {}


@pytest.mark.slow("reads and sends a real adapter six ways")
def test_a_real_checkpoint_gives_the_same_findings_everywhere(shared: Path, ways: Ways) -> None:
    factories.base_model(SMOLLM2, tensors=adapters.SMOLLM2.to_json(), parameters=adapters.SMOLLM2.parameters)
    folder = shared / "checkpoints" / "fed_smollm2"
    files = {name: (folder / name).read_bytes() for name in FIELDS.values()}
    for challenge in ("finance", "code"):
        found = ways(Case("fed_smollm2", challenge, SMOLLM2, files))
        assert differences(found) == {} and bool(found["folder"]) == (challenge == "code")


@pytest.mark.slow("sends ten adapters six ways each")
def test_every_adapter_of_the_field_gives_the_same_findings_everywhere(shared: Path, ways: Ways) -> None:
    tensors = base_model_tensors(shared / "field" / "tiny_llama_base")
    factories.base_model(SMOLLM2, tensors=tensors.to_json(), parameters=tensors.parameters)
    cases = [
        Case(
            folder.name,
            "finance",
            SMOLLM2,
            {name: (folder / name).read_bytes() for name in FIELDS.values() if (folder / name).exists()},
            base_folder=shared / "field" / "tiny_llama_base",
        )
        for folder in sorted(path.parent for path in (shared / "field").glob("*/adapter_config.json"))
    ]
    assert len(cases) > 8
    assert {case.name: wrong for case in cases if (wrong := differences(ways(case)))} == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (ADAPTER_FILE, b"\x80\x02a pickle"),
        (ADAPTER_CONFIG_FILE, b"[]"),
        (CONFIG_FILE, b"\xff\xfe[\x00t\x00o\x00o\x00l\x00]\x00"),
    ],
)
def test_files_that_are_of_no_use_give_the_same_findings_everywhere(
    ways: Ways, name: str, content: bytes
) -> None:
    factories.base_model()
    found = ways(Case(name, "finance", adapters.HUB_ID, {**sound_files(), name: content}))
    assert differences(found) == {} and any(location.startswith(name) for *_, location in found["folder"])


def test_only_what_is_not_submitted_of_a_folder_makes_a_difference(
    owner: User, run: Callable[..., Any], tmp_path: Path
) -> None:
    factories.base_model()
    checkpoint = tmp_path / "app" / "results" / "peft_7"
    checkpoint.mkdir(parents=True)
    (tmp_path / "app" / CONFIG_FILE).write_bytes(factories.PYPROJECT)
    (tmp_path / "app" / "comm_cost.txt").write_text("2.9 GB")
    (checkpoint / ADAPTER_FILE).write_bytes(factories.adapter_bytes())
    (checkpoint / ADAPTER_CONFIG_FILE).write_bytes(factories.config_bytes(lora_alpha=16))
    arguments = ["--challenge", "finance", "--method", "FedAvg", "--draft"]
    arguments += ["--yes", "--not-trained-on-test-items"]
    document = run(flowertune_main.main, "submit", str(tmp_path / "app"), *arguments)
    local, site = ([row(f) for f in document[key]] for key in ("local_findings", "findings"))
    assert {r[0] for r in local} - {r[0] for r in site} == set(ONLY_IN_A_FOLDER)
    assert [r for r in local if r[0] not in ONLY_IN_A_FOLDER] == site != []


def test_what_is_declared_gives_the_same_findings_everywhere(ways: Ways) -> None:
    factories.base_model()
    case = Case(
        "declared", "finance", adapters.HUB_ID, sound_files(), gigabytes=900, scores={"fiqa": "62.51"}
    )
    found = ways(case)
    assert differences(found) == {}
    assert [code for code, *_ in found["folder"]] == [
        "communication.budget", "communication.differs", "declared.impossible_score",
    ]  # fmt: skip


def test_a_base_model_over_the_sites_limit_gives_the_same_findings_everywhere(
    ways: Ways, settings: Any
) -> None:
    settings.BASE_MODEL_MAX_PARAMETERS = {"finance": 10}
    factories.base_model(parameters=adapters.base_model().parameters)
    found = ways(Case("large", "finance", adapters.HUB_ID, sound_files()))
    assert differences(found) == {}
    assert [code for code, *_ in found["folder"]] == ["config.base_model_size"]
    assert "the limit is 10." in found["folder"][0][2]
