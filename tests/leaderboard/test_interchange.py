"""A result in the formats of other places: the page's figures, read back by each format's own reader."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from huggingface_hub import ModelCard, parse_eval_result_entries

from leaderboard.interchange.formats import FORMATS
from portal.accounts.models import User
from portal.submissions.models import DeclaredScore, Finding, Submission
from tests.leaderboard.test_items import answered, fifty
from tests.portal import factories

pytestmark = pytest.mark.django_db
READERS = Path(os.environ.get("READERS", "var/readers")) / "bin" / "python"


def export(client: Client, entry: int, form: str, status: int = 200) -> str:
    response = client.get(f"/api/v1/entries/{entry}/exports/{form}/")
    assert response.status_code == status, response.content
    return response.content.decode()


def read_back(module: str, program: str, *arguments: str) -> Any:
    """What a program prints as JSON in the readers' own environment."""
    if not READERS.exists():
        pytest.skip(f"{module} is not installed: `make readers` makes {READERS.parents[1]}")
    done = subprocess.run([READERS, "-c", program, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def declared(owner: User) -> Submission:
    made = Submission.objects.create(
        team=owner.memberships.get().team, submitter=owner, challenge="finance", kind="imported",
        method="Declared", base_model=factories.base_model(), import_digest="a" * 64,
        status="published", published_at=timezone.now(), source_url="https://flower.ai/benchmarks/",
    )  # fmt: skip
    for benchmark in factories.BENCHMARKS:
        DeclaredScore.objects.create(submission=made, benchmark=benchmark, value="0.7142", decimals=2)
    Finding.objects.filter(submission=made).delete()
    return made


def test_the_hubs_results_have_the_figures_of_the_page(client: Client, owner: User) -> None:
    made = factories.published(owner, correct=70)
    entries = parse_eval_result_entries(yaml.safe_load(export(client, made.pk, "hub-eval-results")))
    assert [entry.task_id for entry in entries] == list(factories.BENCHMARKS)
    first = entries[0]
    assert (first.value, first.dataset_revision is not None) == (70.0, True)
    assert first.source_url == f"http://127.0.0.1:8000/entries/{made.pk}/"
    assert first.notes and "70 of 100 items right" in first.notes and "protocol 1, fp32" in first.notes
    assert "95% interval" in first.notes and "data sha256:0" in first.notes


def test_a_models_card_takes_the_model_index(client: Client, owner: User) -> None:
    made = factories.published(owner, correct=70)
    front = export(client, made.pk, "model-index")
    results = ModelCard(f"---\n{front}---\n# A model\n").data.eval_results  # type: ignore[attr-defined]  # set by name
    assert results and len(results) == 3
    assert results[0].metric_value == 70.0 and results[0].metric_args["n"] == 100
    assert results[0].metric_args["interval95"][0] < 0.7 < results[0].metric_args["interval95"][1]


@pytest.mark.parametrize(
    "method",
    [
        "{a: [b], *c} # &d !e %f",
        """"both" 'kinds' : of - quotes?""",
        "---",
        "1e3",
        "\N{CAT FACE} \N{CYRILLIC SMALL LETTER KA}\N{COMBINING DIAERESIS} \N{RIGHT-TO-LEFT OVERRIDE}abc",
        "</script><b>&amp;\\u0000",
    ],
)
def test_an_odd_name_comes_through_every_format(client: Client, owner: User, method: str) -> None:
    made = factories.published(owner, method=method)
    front = export(client, made.pk, "model-index")
    assert yaml.safe_load(front)["model-index"][0]["name"] == method
    card = ModelCard(f"---\n{front}---\n# A model\n")
    assert len(card.data.eval_results) == 3  # type: ignore[attr-defined]  # set by name
    assert len(parse_eval_result_entries(yaml.safe_load(export(client, made.pk, "hub-eval-results")))) == 3
    for form in ("every-eval-ever", "lm-evaluation-harness"):
        text = json.dumps(json.loads(export(client, made.pk, form)), ensure_ascii=False)
        assert json.dumps(method, ensure_ascii=False)[1:-1] in text, form
    assert client.get(f"/entries/{made.pk}/").status_code == 200


@pytest.mark.parametrize("form", FORMATS)
def test_a_result_in_which_nothing_could_be_scored_is_no_number(
    client: Client, owner: User, form: str
) -> None:
    nothing = {
        "official": False,
        "unofficial_reasons": ("No answer was scored.",),
        "unscored": 100,
        "value": None,
        "standard_error": None,
        "correct_bits": b"\0" * 13,
    }
    made = factories.published(owner, correct=0, scores={**nothing, "scored_bits": b"\0" * 13})
    answer = client.get(f"/api/v1/entries/{made.pk}/exports/{form}/")
    assert answer.status_code in (200, 404)
    assert "NaN" not in answer.content.decode() and ".nan" not in answer.content.decode()
    if answer.status_code == 200:
        assert yaml.safe_load(answer.content) is not None


def test_demonstration_items_are_said_to_be_no_data_set_of_the_hub(client: Client, owner: User) -> None:
    made = factories.published(owner, scores={"data": "demonstration", "official": False})
    assert "not those of the hub" in export(client, made.pk, "hub-eval-results", 404)
    front = yaml.safe_load(export(client, made.pk, "model-index"))
    dataset = front["model-index"][0]["results"][0]["dataset"]
    assert dataset["type"] == "flowertune-demonstration" and "demonstration" in dataset["name"]
    assert "revision" not in dataset


def test_every_eval_ever_holds_its_schema_for_evaluated_and_declared(client: Client, owner: User) -> None:
    program = (
        "import importlib.resources as r, jsonschema, json, sys\n"
        "schema = r.files('every_eval_ever.schemas').joinpath('eval.schema.json').read_text()\n"
        "jsonschema.validate(json.loads(sys.argv[1]), json.loads(schema))\n"
        "print(json.dumps(json.loads(schema)['version']))"
    )
    for made, source in ((factories.published(owner), "evaluation_run"), (declared(owner), "documentation")):
        text = export(client, made.pk, "every-eval-ever")
        document = json.loads(text)
        assert document["source_metadata"]["source_type"] == source
        assert read_back("every_eval_ever", program, text) == document["schema_version"]
    assert document["evaluation_results"][0]["score_details"]["score"] == 0.7142


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "every-eval-ever"])
def test_what_was_only_declared_is_refused_in_words(client: Client, owner: User, form: str) -> None:
    assert "not evaluated here" in export(client, declared(owner).pk, form, 404)


def test_nothing_of_what_is_not_published_is_exported(client: Client, owner: User) -> None:
    made = factories.evaluated(owner)
    for form in (*FORMATS, "inspect/fpb"):
        export(client, made.pk, form, 404)


def test_lm_evaluation_harness_makes_its_table_of_the_results(
    client: Client, owner: User, tmp_path: Path
) -> None:
    made = factories.published(owner, correct=70)
    text = export(client, made.pk, "lm-evaluation-harness")
    document = json.loads(text)
    task = document["results"]["flowertune_fpb"]
    assert (task["acc,none"], task["acc_stderr,none"]) == (0.7, 0.01)
    assert document["results"]["flowertune_finance"]["acc,none"] == 0.7
    (tmp_path / "results.json").write_text(text)
    program = (
        "import json, sys\nfrom lm_eval.utils import make_table\n"
        "print(json.dumps(make_table(json.load(open(sys.argv[1])))))"
    )
    table = read_back("lm_eval", program, str(tmp_path / "results.json"))
    assert "|  0.7|±  |0.0100|" in table


def test_inspect_reads_its_log_with_every_answer(client: Client, owner: User, tmp_path: Path) -> None:
    made = answered(owner, fifty())
    response = client.get(f"/api/v1/entries/{made.pk}/exports/inspect/fpb/")
    content = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 53
    (tmp_path / "fpb.eval").write_bytes(content)
    program = (
        "import json, sys\nfrom inspect_ai.log import read_eval_log, read_eval_log_sample_summaries\n"
        "log = read_eval_log(sys.argv[1])\n"
        "metrics = log.results.scores[0].metrics\n"
        "sample = log.samples[0]\n"
        "print(json.dumps([log.status, metrics['accuracy'].value, log.eval.task_version, len(log.samples),"
        " sample.input, sample.output.completion, sample.scores['flowertune'].value,"
        " len(log.samples[7].scores), len(read_eval_log_sample_summaries(sys.argv[1]))]))"
    )
    found = read_back("inspect_ai", program, str(tmp_path / "fpb.eval"))
    assert found[:4] == ["success", round(17 / 49, 6), 1, 50]
    assert found[4].startswith("Question 0") and found[5:] == ["positive", "C", 0, 50]


def test_croissant_describes_the_boards_file(client: Client, owner: User, tmp_path: Path) -> None:
    factories.published(owner, correct=70)
    response = client.get("/api/v1/leaderboards/finance/croissant/")
    document = response.json()
    [file] = document["distribution"]
    board = b"".join(client.get(file["contentUrl"]).streaming_content)  # type: ignore[attr-defined]
    columns = [field["source"]["extract"]["column"] for field in document["recordSet"][0]["field"]]
    assert set(columns) <= set(board.decode().splitlines()[0].split(","))
    (tmp_path / "board.csv").write_bytes(board)
    file["contentUrl"] = "board.csv"  # as one who has fetched it
    (tmp_path / "croissant.json").write_text(json.dumps(document))
    program = (
        "import json, sys\nimport mlcroissant\n"
        "rows = list(mlcroissant.Dataset(jsonld=sys.argv[1]).records(record_set='entries'))\n"
        "print(json.dumps([len(rows), {k: str(v) for k, v in rows[0].items()}]))"
    )
    count, row = read_back("mlcroissant", program, str(tmp_path / "croissant.json"))
    assert count == 1 and float(row["entries/average"]) == pytest.approx(0.7)


def test_the_page_links_what_can_be_said_and_says_why_not(client: Client, owner: User) -> None:
    made = factories.published(owner, scores={"data": "demonstration", "official": False})
    page = client.get(f"/entries/{made.pk}/").content.decode()
    assert f"/api/v1/entries/{made.pk}/exports/model-index/" in page
    assert f"/api/v1/entries/{made.pk}/exports/inspect/fpb/" in page
    assert "/exports/hub-eval-results/" not in page and "not those of the hub" in page
    offered = client.get(f"/api/v1/entries/{made.pk}/exports/").json()["results"]
    assert client.get(offered[1]["url"]).status_code == 200 and offered[0]["url"] is None
