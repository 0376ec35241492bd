"""The adapters of a hub collection as submissions: a reviewer chooses which.

Each becomes a draft whose files a worker fetches and sends, with the commit on record as its origin. Where a
repository has no Flower app configuration, one is written from a preset and from the adapter's own shape, and
its first line and the entry's description say whose word that is.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from evaluation import adapter_kinds
from evaluation.checkpoints import adapter_config as adapter_configs
from evaluation.errors import CheckpointError, EvaluationError, HubError
from evaluation.federated import presets
from evaluation.federated.config import FederatedConfig
from evaluation.hub.adapter import fetch_settings
from evaluation.hub.collection import Collected, HubCollection
from evaluation.method.strategies import STRATEGIES, on_card
from evaluation.rules import challenges
from portal.accounts.access import may_submit_references
from portal.accounts.models import Membership, Team, User
from portal.intake import services
from portal.intake.drafts import Draft, Files, HubSource, InvalidSubmission
from portal.submissions.base_models import listed
from portal.submissions.models import BaseModel, HubFetch, Submission

THERE = "there already"
METHOD_LENGTH = 80
# What a run's settings say of this machine and of a run that was not ours.
_NOT_THEIRS = ("model.path", "train.data", "train.threads", "train.seed", "model.gradient-checkpointing")
_NOT_THEIRS_EITHER = ("privacy.", "partition.", "evaluate.")


@dataclass(frozen=True)
class Wanted:
    """What is imported: these repositories of a collection, or all where none is named.

    `preset` is what a repository without a configuration was trained by, as the importer states it; without
    one it becomes a draft that waits for its configuration.
    """

    challenge: str
    only: tuple[str, ...] = ()
    subfolder: str = ""
    preset: str = ""
    strategy: str = ""


@dataclass(frozen=True)
class Imported:
    """What became of a repository: its submission, or why there is none."""

    repository: str
    submission: Submission | None = None
    reason: str = ""


def import_adapters(collection: HubCollection, wanted: Wanted, *, user: User) -> Iterator[Imported]:
    """Make a draft of each wanted adapter; a worker fetches and sends it. One after another.

    A repository that is there for this challenge stays as it is, also under a former name. Raises
    CheckpointError for a name that the collection has not, and HubError where the hub is at fault, as by
    too many requests: what was made until then is there, and the next import goes on behind it.
    """
    named = {model.repository.casefold() for model in collection.models}
    strange = [name for name in wanted.only if name.casefold() not in named]
    if strange:
        raise CheckpointError(f"the collection has no {', '.join(sorted(strange))}")
    only = {name.casefold() for name in wanted.only}
    team = _team(collection, user)
    for model in collection.models:
        if not only or model.repository.casefold() in only:
            yield _imported(collection, model, wanted, team, user)


def _imported(
    collection: HubCollection, model: Collected, wanted: Wanted, team: Team, user: User
) -> Imported:
    if known := _known(model.repository, wanted):
        return Imported(model.repository, known, THERE)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = fetch_settings(model.repository, wanted.subfolder, into=Path(folder))
        shape = _read(found.adapter_config)
        base_model = _base_model(shape)
        config, stated = None, ""
        if not found.has_app_configuration and wanted.preset:
            strategy = wanted.strategy or _strategy_in(model.repository)
            config = _configuration(wanted, strategy, base_model, shape)
            stated = (
                f"It has no configuration of its own: that of preset {wanted.preset} with strategy "
                f"{STRATEGIES[strategy].title} is {user.get_username()}'s statement. "
            )
        source = HubSource(model.repository, found.commit, wanted.subfolder, send=True)
        draft = Draft(
            submitter=user,
            team=team,
            challenge=wanted.challenge,
            base_model=base_model,
            method=model.repository.rpartition("/")[2][:METHOD_LENGTH],
            kind=Submission.Kind.REFERENCE,
            description=f"{stated}{model.note}".strip(),
            code_url=collection.url,
            files=Files(config=config.encode()) if config else None,
            hub=source,
        )
        return _created(draft, source, wanted)
    except HubError:
        raise
    except (EvaluationError, InvalidSubmission) as error:
        return Imported(model.repository, reason=str(error))


def _created(draft: Draft, source: HubSource, wanted: Wanted) -> Imported:
    """The draft stored, unless another import did so while this one asked the hub."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"import of {source.revision}"])
        if known := _known(source.repository, wanted, source.revision):
            return Imported(source.repository, known, THERE)
        return Imported(source.repository, services.create(draft))


def _known(repository: str, wanted: Wanted, commit: str = "") -> Submission | None:
    """What was made of the repository for this challenge before, under way or not.

    With its newest `commit`, also what was made of that under another name: the repository was renamed.
    """
    under_way = HubFetch.objects.filter(
        Q(repository__iexact=repository) | (Q(revision=commit) if commit else Q()),
        subfolder=wanted.subfolder,
        submission__challenge=wanted.challenge,
    ).exclude(submission__status__in=[Submission.Status.WITHDRAWN, Submission.Status.REJECTED])
    fetch = under_way.select_related("submission").first()
    return fetch.submission if fetch else None


def _read(text: bytes) -> adapter_configs.AdapterConfig:
    found, findings = adapter_configs.inspect_adapter_config(text, base_hub_id=None)
    if found is None:
        raise CheckpointError(" ".join(finding.message for finding in findings))
    return found


def _base_model(shape: adapter_configs.AdapterConfig) -> BaseModel:
    name = shape.base_model_name_or_path or ""
    found = listed(name) if name else None
    if found is None:
        raise CheckpointError(
            f"its base model {name or 'is not named'} is not on the list: `manage.py add_base_model`"
        )
    return BaseModel.objects.get(pk=found.pk)


def _strategy_in(repository: str) -> str:
    """The strategy that a repository is named after, FedAvg where none is."""
    words = repository.rpartition("/")[2].replace("_", "-").split("-")
    spelled = [*words, *("-".join(pair) for pair in itertools.pairwise(words))]
    found = next((info for word in spelled if (info := on_card(word))), None)
    return found.name if found else "fedavg"


def _configuration(
    wanted: Wanted, strategy: str, base_model: BaseModel, shape: adapter_configs.AdapterConfig
) -> str:
    """A Flower app configuration of the preset, with the adapter's own shape."""
    challenge = challenges.get(wanted.challenge)
    preset = presets.get(wanted.preset)
    config = presets.config(
        preset.of(challenge, strategy)
        | {
            "rank": shape.r,
            "alpha": round(shape.alpha),
            "dropout": shape.dropout,
            "adapter": shape.kind.key if shape.kind.key in adapter_kinds.trained() else "lora",
            "target_modules": _modules(shape),
        },
        model=Path(),
        base_model_id=base_model.hub_id,
        train_data=Path(),
    )
    return "\n".join(
        [
            f"# Not the authors' file: preset {preset.name} with this adapter's shape, as stated on import.",
            "[tool.flwr.app.config]",
            *_lines(config),
            "[tool.flwr.app.config.static]",
            f"dataset.name = {json.dumps(challenge.training_sets[0])}",
            "[tool.flwr.federations.local]",
            f"options.num-supernodes = {config.clients}",
            "",
        ]
    )


def _modules(shape: adapter_configs.AdapterConfig) -> tuple[str, ...]:
    targets = shape.target_modules
    return tuple(targets) if isinstance(targets, tuple) else (targets,) if targets else ()


def _lines(config: FederatedConfig) -> Iterator[str]:
    values: dict[str, Any] = dict(config.settled().run_config())
    for key, value in values.items():
        if key not in _NOT_THEIRS and not key.startswith(_NOT_THEIRS_EITHER):
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _team(collection: HubCollection, user: User) -> Team:
    """The team that the collection's adapters stand under: the owner's name on the hub, marked as such."""
    name = f"{collection.slug.partition('/')[0]} (hub)"
    team, is_new = Team.objects.get_or_create(name=name)
    role = Membership.Role.OWNER if is_new else Membership.Role.MEMBER
    if not all(may_submit_references(member) for member in team.members.all()):
        raise CheckpointError(f"somebody's team is called “{name}”; rename it first")
    Membership.objects.get_or_create(team=team, user=user, defaults={"role": role})
    return team


def shown(collection: HubCollection, challenge: str) -> Sequence[str]:
    """A collection's repositories for a reviewer who chooses, a line each."""
    there = {
        fetch.repository: fetch.submission
        for fetch in HubFetch.objects.filter(submission__challenge=challenge).select_related("submission")
    }
    lines = []
    for model in collection.models:
        known = there.get(model.repository)
        mark = f" – submission {known.pk}, {known.get_status_display()}" if known else ""
        lines.append(f"{model.repository}{mark}{f' – {model.note}' if model.note else ''}")
    return lines
