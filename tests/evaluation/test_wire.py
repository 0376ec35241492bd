"""Messages between a worker and its processes: each survives the way, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from evaluation.errors import Fault, WireError
from evaluation.wire import evaluating, leakage, training
from evaluation.wire.messages import VERSION, Failed, Message, Vocabulary, dump
from evaluation.wire.registration import Registration

SHARES = training.Shares("label", ("no", "yes"), ((3, 1), (0, 4)), held_out=2)
FAILURE = training.ClientFailure(2, "its loss is not finite")
ROUND = training.Round(
    round=1, clients=(0, 1), failures=(FAILURE,), examples=8, learning_rate=0.001, train_loss=2.5,
    held_out_loss=None, client_losses=(training.ClientLoss(1, 3.5),), bytes_down=10, bytes_up=20,
    messages_down=2, messages_up=2, train_seconds=1.5, aggregate_seconds=0.1, communicate_seconds=0.2,
    seconds=2.0, simulated_time=4.0, client_peak_rss_bytes=100, client_peak_vram_bytes=None,
    server_peak_rss_bytes=50, gpu_seconds=None, energy_joules=3.5, energy_net_joules=2.5,
    energy_method="NVML of H100", epsilon=None,
)  # fmt: skip
COMMIT, DIGEST = "c" * 40, "d" * 64
JOB = evaluating.Job(
    job="j1", model="/base", adapter=None, benchmarks=("fpb", "tfns"), protocol=1, engine="auto",
    precision="fp32", data=None, limit=5, output="/out",
    registered=(Registration("fiqa", "owner/name", COMMIT, 304, DIGEST, "ada", "2026-11-28T10:00:00+00:00"),),
    smoke_run=True,
)  # fmt: skip
LEAKAGE_JOB = leakage.LeakageJob(
    job="j1", model="/base", adapter="/adapter", challenge="finance", protocol=1, precision="fp32",
    rows="/rows.jsonl", run={"seed": 7}, rounds=((0, 2), ()), template=None, columns=("input",),
    data=None, registered=(),
)  # fmt: skip
MEMBERSHIP = leakage.Membership("loss_ratio", 0.75, (0.5, 1.0), 0.25, None)
LEAKAGE = leakage.LeakageMeasured(
    job="j1", members=40, others=20, memberships=(MEMBERSHIP,),
    clients=(leakage.ClientLeakage(2, 20, MEMBERSHIP),), exposures=(leakage.Exposure(0, 3.5, 8.0),),
    seconds=1.5,
)  # fmt: skip
SCORED = evaluating.Scored(
    job="j1", benchmark="fpb", value=0.5, standard_error=0.25, n=4, correct=2, unscored=0, data="other",
    data_digest="sha256:0", available=9, official=False, unofficial_reasons=("other data",),
    correct_bits=b"\xc0", scored_bits=b"\xf0", seconds=1.5, tokens=12,
    tokens_per_second=8.0, energy_joules=None, energy_net_joules=None, energy_method="",
    items="/out/fpb.jsonl",
)  # fmt: skip

# Written out, so that no message changes unnoticed: raise VERSION with it, which changes these lines.
EVALUATING: list[tuple[Message, str]] = [
    (JOB, '{"event": "job", "version": 6, "job": "j1", "model": "/base", "adapter": null, '
          '"benchmarks": ["fpb", "tfns"], "protocol": 1, "engine": "auto", "precision": "fp32", '
          '"data": null, "limit": 5, "output": "/out", "registered": [{"name": "fiqa", '
          '"dataset": "owner/name", "commit": "' + COMMIT + '", "rows": 304, '
          '"digest": "' + DIGEST + '", "by": "ada", '
          '"at": "2026-11-28T10:00:00+00:00"}], "smoke_run": true}'),
    (LEAKAGE_JOB, '{"event": "leakage_job", "version": 6, "job": "j1", "model": "/base", '
                  '"adapter": "/adapter", "challenge": "finance", "protocol": 1, '
                  '"precision": "fp32", "rows": "/rows.jsonl", "run": {"seed": 7}, '
                  '"rounds": [[0, 2], []], "template": null, "columns": ["input"], '
                  '"data": null, "registered": []}'),
    (evaluating.Ready(7), '{"event": "ready", "version": 6, "pid": 7}'),
    (evaluating.Loading("j1"), '{"event": "loading", "version": 6, "job": "j1"}'),
    (evaluating.Noted(None, "warning", "memory ran out"),
     '{"event": "note", "version": 6, "job": null, "level": "warning", "text": "memory ran out"}'),
    (evaluating.Progress("j1", "fpb", "judging", 3, 4, None, 1.5),
     '{"event": "progress", "version": 6, "job": "j1", "benchmark": "fpb", "phase": "judging", "done": 3, '
     '"total": 4, "rate": null, "eta": 1.5}'),
    (SCORED, '{"event": "score", "version": 6, "job": "j1", "benchmark": "fpb", "value": 0.5, '
             '"standard_error": 0.25, "n": 4, "correct": 2, "unscored": 0, "data": "other", '
             '"data_digest": "sha256:0", "available": 9, "official": false, '
             '"unofficial_reasons": ["other data"], "correct_bits": "wA==", "scored_bits": "8A==", '
             '"seconds": 1.5, "tokens": 12, "tokens_per_second": 8.0, '
             '"energy_joules": null, "energy_net_joules": null, "energy_method": "", '
             '"items": "/out/fpb.jsonl"}'),
    (LEAKAGE, '{"event": "leakage", "version": 6, "job": "j1", "members": 40, "others": 20, '
              '"memberships": [{"signal": "loss_ratio", "auc": 0.75, "auc_interval": [0.5, 1.0], '
              '"true_positives": 0.25, "true_positives_interval": null}], '
              '"clients": [{"client": 2, "rows": 20, "membership": {"signal": "loss_ratio", "auc": 0.75, '
              '"auc_interval": [0.5, 1.0], "true_positives": 0.25, "true_positives_interval": null}}], '
              '"exposures": [{"client": 0, "bits": 3.5, "most": 8.0}], "seconds": 1.5}'),
    (evaluating.Done("j1", {"precision": "fp32", "usage": {"fpb": [1, 2.5, None]}}),
     '{"event": "done", "version": 6, "job": "j1", '
     '"provenance": {"precision": "fp32", "usage": {"fpb": [1, 2.5, null]}}}'),
    (Failed("data", "no rows", Fault.INPUT, "j1"),
     '{"event": "error", "version": 6, "code": "data", "message": "no rows", "fault": "input", '
     '"job": "j1"}'),
]  # fmt: skip
TRAINING: list[tuple[Message, str]] = [
    (training.Ready("FedAvg", 3.5, 2, 8, "rows", "d1", 100, "CPU", None, SHARES, resumed=1),
     '{"event": "ready", "version": 6, "strategy": "FedAvg", "startup_seconds": 3.5, "clients": 2, '
     '"rows": 8, "data": "rows", "data_digest": "d1", "trainable_parameters": 100, "hardware": "CPU", '
     '"planned_bytes": null, '
     '"shares": {"column": "label", "values": ["no", "yes"], "counts": [[3, 1], [0, 4]], "held_out": 2}, '
     '"resumed": 1}'),
    (training.RoundEnded.of(ROUND, 3),
     '{"event": "round", "version": 6, "round": 1, "clients": [0, 1], '
     '"failures": [{"client": 2, "reason": "its loss is not finite"}], "examples": 8, '
     '"learning_rate": 0.001, "train_loss": 2.5, "held_out_loss": null, '
     '"client_losses": [{"client": 1, "loss": 3.5}], "bytes_down": 10, "bytes_up": 20, '
     '"messages_down": 2, "messages_up": 2, "train_seconds": 1.5, "aggregate_seconds": 0.1, '
     '"communicate_seconds": 0.2, "seconds": 2.0, "simulated_time": 4.0, "client_peak_rss_bytes": 100, '
     '"client_peak_vram_bytes": null, "server_peak_rss_bytes": 50, "gpu_seconds": null, '
     '"energy_joules": 3.5, "energy_net_joules": 2.5, "energy_method": "NVML of H100", '
     '"epsilon": null, "rounds": 3}'),
    (training.Done("/out", 9.5), '{"event": "done", "version": 6, "output": "/out", "wall_seconds": 9.5}'),
    (Failed("engine_crash", "Ray ended", Fault.CRASH),
     '{"event": "error", "version": 6, "code": "engine_crash", "message": "Ray ended", "fault": "crash", '
     '"job": null}'),
]  # fmt: skip
# The type checker sees no common type of vocabularies.
CASES: list[tuple[Vocabulary[Any], Message, str]] = [
    *((evaluating.JOBS, message, line) for message, line in EVALUATING[:2]),
    *((evaluating.EVENTS, message, line) for message, line in EVALUATING[2:]),
    *((training.EVENTS, message, line) for message, line in TRAINING),
]
IDS = [f"{type(message).__module__.rpartition('.')[2]}.{type(message).__name__}" for _, message, _ in CASES]


@pytest.mark.parametrize(("vocabulary", "message", "line"), CASES, ids=IDS)
def test_every_message_survives_the_way(vocabulary: Vocabulary[Any], message: Message, line: str) -> None:
    assert dump(message) == line
    for written in (line, line.encode() + b"\n"):
        assert vocabulary.parse(written) == message


def test_no_message_is_forgotten_here() -> None:
    told = {*evaluating.JOBS.kinds, *evaluating.EVENTS.kinds, *training.EVENTS.kinds}
    assert told == {type(message) for _, message, _ in CASES}


@pytest.mark.parametrize(("vocabulary", "message", "line"), CASES, ids=IDS)
def test_a_message_without_one_of_its_fields_is_refused_by_name(
    vocabulary: Vocabulary[Any], message: Message, line: str
) -> None:
    optional = {"job"} if isinstance(message, Failed) else set()
    for name in {field.name for field in fields(message)} - optional:
        values = json.loads(line)
        del values[name]
        with pytest.raises(WireError, match=f"malformed message {message.event}: .*`{name}`"):
            vocabulary.parse(json.dumps(values))


@pytest.mark.parametrize(("vocabulary", "message", "line"), CASES, ids=IDS)
def test_a_field_of_another_type_is_refused_with_its_place(
    vocabulary: Vocabulary[Any], message: Message, line: str
) -> None:
    for name in (field.name for field in fields(message)):
        spoiled = json.dumps(json.loads(line) | {name: [{}]})
        with pytest.raises(WireError, match=rf"malformed message {message.event}: .*\$\.{name}"):
            vocabulary.parse(spoiled)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "not a line of JSON"),
        ("Loading checkpoint shards: 100%", "not a line of JSON"),
        ('{"event": "ready", "version": 6, "pid"', "not a line of JSON"),
        (b'{"event": "\xff"}', "not a line of JSON"),
        ('{"event": "ready", "version": 6, "pid": NaN}', "not a line of JSON"),
        ("[1]", "not a line of JSON with a message: Expected `object`, got `array`"),
        ("{}", "version None where 6 is spoken"),
        ('{"event": "ready", "pid": 7}', "version None where 6 is spoken"),
        ('{"event": "ready", "version": "1", "pid": 7}', "version '1' where 6 is spoken"),
        ('{"event": "ready", "version": 0, "pid": 7}', "version 0 where 6 is spoken"),
        ('{"event": "ready", "version": 1, "process": 7}', "version 1 where 6 is spoken"),
        ('{"version": 6, "pid": 7}', "no message is called None; there are: ready, loading"),
        ('{"event": ["ready"], "version": 6}', "no message is called"),
        ('{"event": "job", "version": 6}', "no message is called 'job'"),
        ('{"event": "readi", "version": 6, "pid": 7}', "no message is called 'readi'"),
        ('{"event": "ready", "version": 6, "pid": 7, "port": 1}', "a message ready has no `port`"),
        ('{"event": "ready", "version": 6, "pid": true}', "Expected `int`, got `bool`"),
        (
            '{"event": "error", "version": 6, "code": "x", "message": "x", "fault": "bad"}',
            "Invalid enum value 'bad'",
        ),
    ],
)
def test_what_is_no_message_of_this_version_is_a_named_error(line: str | bytes, reason: str) -> None:
    with pytest.raises(WireError) as raised:
        evaluating.EVENTS.parse(line)
    assert reason in str(raised.value)
    assert (raised.value.code, raised.value.retryable) == ("wire", True)


def test_a_job_has_a_benchmark() -> None:
    with pytest.raises(WireError, match=r"length >= 1 - at `\$\.benchmarks`"):
        evaluating.JOBS.parse(json.dumps(json.loads(dump(JOB)) | {"benchmarks": []}))


def test_a_number_that_json_has_not_is_not_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        dump(training.Done("/out", float("nan")))


def test_a_message_says_which_version_it_is() -> None:
    assert json.loads(dump(evaluating.Ready(7)))["version"] == VERSION == 6
