"""`submit`: a Flower app's folder, checked here as on the site, uploaded and submitted; or a hub address."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.checkpoints.base_names import listed_as
from evaluation.demonstration import installed_model
from evaluation.findings import Finding, has_errors
from evaluation.hub.names import AddressError, HubAddress, parse_address
from evaluation.inspection import Inspection, Known, inspect
from evaluation.inspection.communication_log import parse_amount
from evaluation.inspection.declared import DeclaredScore
from evaluation.inspection.folder import AppFiles, gather
from evaluation.inspection.submission import named_base_model
from evaluation.rules import challenges
from evaluation.rules.challenges import CHALLENGES, Challenge
from evaluation.rules.protocol import PROTOCOLS
from flowertune.answers import Submission
from flowertune.commands.catalogue import base_model, base_models, rules_of
from flowertune.commands.follow import add_watching, watch_to_the_end
from flowertune.commands.options import Commands, Context, add_command
from flowertune.commands.training_statement import add_statement, statement
from flowertune.console import as_row
from flowertune.errors import ClientError, UsageError
from flowertune.exit_status import Status
from flowertune.sending import Parcel, Sent, send
from flowertune.site import Site
from flowertune.texts import findings_text, submission_text
from flowertune.uploads import LocalFile

_PERCENT = re.compile(r"(100|[0-9]{1,2})(\.[0-9]{1,2})?%?", re.ASCII)
_TEXT_BYTES = 1024**2
HUB_TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 -- a name


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "submit",
        _submit,
        summary="check a Flower app's folder and submit its last checkpoint",
        about=(
            "Find pyproject.toml and the last checkpoint (the highest peft_N of the last run) in a folder, "
            "check both as the site does, upload the adapter and submit. What broke off goes on where it "
            "stopped when the same command is run again; nothing is submitted twice. The address of a "
            "repository on the hub is handed to the site, which fetches it, checks it and submits it if "
            "nothing stands against it."
        ),
        examples=(
            "  flowertune submit . --challenge finance\n"
            "  flowertune submit results/peft_200 --challenge finance --method 'FedAvg, rank 16' --watch\n"
            "  flowertune submit hf://organisation/name --challenge finance --base-model organisation/base\n"
            "  flowertune submit . --challenge finance --smoke-run --watch\n"
            "  flowertune submit . --challenge finance --declared fpb=44.55 \\\n"
            "    --not-trained-on-test-items --yes --json   # in CI\n"
        ),
    )
    parser.add_argument(
        "source",
        metavar="FOLDER",
        help="a Flower app's or an adapter's folder; or where the adapter is on the hub: a page's address or "
        "hf://organisation/name, with @revision and /folder where needed",
    )
    parser.add_argument(
        "--private", action="store_true", help=f"let the site use {HUB_TOKEN_VARIABLE} to fetch it, this once"
    )
    parser.add_argument("--challenge", metavar="SLUG", help=f"one of {', '.join(CHALLENGES)}")
    parser.add_argument(
        "--base-model",
        type=_base_model_id,
        metavar="ID",
        help="hub id of a listed base model, or `demonstration` for the small one (default: the adapter's)",
    )
    parser.add_argument("--method", metavar="NAME", help="what the board calls the entry")
    parser.add_argument("--team", metavar="NAME", help="one of your teams (default: your own)")
    parser.add_argument("--description", metavar="TEXT")
    parser.add_argument("--paper", metavar="URL")
    parser.add_argument("--code", metavar="URL")
    parser.add_argument(
        "--declared",
        action="append",
        default=[],
        metavar="SLUG=VALUE",
        help="a score of your own, in per cent",
    )
    parser.add_argument(
        "--communication", type=_amount, metavar="AMOUNT", help="what the run sent, such as '703 MB'"
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="what `flwr list --run-id ID --format json` wrote, which is sent as evidence; or the "
        "communication log, which is only compared",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        metavar="ID",
        help="another run of the method of that submission, which differs in its seed alone",
    )
    parser.add_argument(
        "--smoke-run",
        action="store_true",
        help="ask few items of each benchmark first; `flowertune evaluate ID` then goes on in full",
    )
    add_statement(parser)
    parser.add_argument("--draft", action="store_true", help="only store it, with whatever the checks found")
    parser.add_argument(
        "--yes", action="store_true", help="do not ask: take what the files suggest, and submit"
    )
    parser.add_argument("--watch", action="store_true", help="follow it until it is evaluated")
    add_watching(parser)


def _submit(context: Context) -> Status:
    options, console = context.options, context.console
    if options.watch and options.draft:
        raise UsageError(
            "A draft is not evaluated, so there is nothing to watch. Leave --draft or --watch out."
        )
    challenge = _challenge(context)
    declared = _declared(options.declared, challenge)
    if (address := _hub_address(options.source)) is not None:
        return _submit_from_hub(context, address, challenge, declared)
    folder = gather(Path(options.source), whole=True, log=options.log)
    with context.site() as site:
        listed = base_models(site)
        named = options.base_model or named_base_model(folder.material)
        hub_id = listed_as(named, listed) if named else None
        base = base_model(site, hub_id) if hub_id else None
        known = Known(base=base, declared_bytes=options.communication, declared_scores=declared)
        inspection = inspect(folder.material, rules_of(site, challenge.slug), known)
        found = _checked(context, inspection.findings)
        if folder.files.adapter:
            console.note(f"Checkpoint: {folder.files.adapter}")
        hub_id = hub_id or _chosen_base_model(context, list(listed), named)
        fields = {**_said_fields(context, declared), "challenge": challenge.slug, "base_model": hub_id}
        fields["method"] = _method(context, inspection)
        fields |= statement(context)
        parcel = _parcel(context, folder.files, inspection, fields)
        if not _is_wanted(context, parcel):
            raise ClientError("Nothing was sent.")
        sent = _send(context, site, parcel)
        submission = Submission.read(sent.document)
        console.note(_said(sent, submission))
        if options.watch:
            return watch_to_the_end(context, site, submission.id)
    fresh = tuple(finding for finding in submission.findings if finding not in found)
    local = [as_row(finding) for finding in found]
    document = {**sent.document, "repeated": not sent.is_new, "local_findings": local}
    console.result(document, submission_text(replace(submission, findings=fresh)))
    return Status.DONE


def _submit_from_hub(
    context: Context, address: HubAddress, challenge: Challenge, declared: Sequence[DeclaredScore]
) -> Status:
    """Hand the address to the site: the files are there, and so are the checks."""
    options, console = context.options, context.console
    with context.site() as site:
        listed = base_models(site)
        named: str | None = options.base_model
        hub_id = (listed_as(named, listed) if named else None) or _chosen_base_model(
            context, list(listed), named
        )
        fields = {**_said_fields(context, declared), "challenge": challenge.slug, "base_model": hub_id}
        fields["method"] = options.method or console.ask("Name of the method", option="--method NAME")
        fields |= statement(context)
        fields |= {"repository": address.repository, "revision": address.revision}
        fields["subfolder"] = address.subfolder
        if options.private:
            fields["hub_token"] = _hub_token()
        parcel = Parcel(fields, None, is_draft=options.draft)
        if not _is_wanted(context, parcel):
            raise ClientError("Nothing was sent.")
        sent = send(site, parcel, lambda _: None)
        submission = Submission.read(sent.document)
        console.note(
            f"Submission {submission.id}: the site fetches {address.repository} and checks it. "
            + ("It stays a draft." if options.draft else "It is submitted if nothing stands against it.")
        )
        if options.watch:
            return watch_to_the_end(context, site, submission.id)
    console.result({**sent.document, "repeated": False, "local_findings": []}, submission_text(submission))
    return Status.DONE


def _hub_address(source: str) -> HubAddress | None:
    """Where on the hub it is; None for a folder, and for a bare owner/name where a folder has that name."""
    if Path(source).exists() or source.startswith((".", "/", "~")):
        return None
    is_bare = "://" not in source
    if is_bare and (source.count("/") == 0 or Path(source.partition("/")[0]).exists()):
        return None
    try:
        return parse_address(source)
    except AddressError as error:
        raise UsageError(f"{source} is no folder here, and no address on the hub: {error}") from error


def _hub_token() -> str:
    token = os.environ.get(HUB_TOKEN_VARIABLE, "")
    if not token:
        raise UsageError(f"--private: set {HUB_TOKEN_VARIABLE} to a token that may read the repository.")
    return token


def _challenge(context: Context) -> Challenge:
    given = context.options.challenge
    if given is None:
        given = context.console.choose("Challenge", list(CHALLENGES), option="--challenge SLUG")
    return challenges.get(given)


def _declared(given: Sequence[str], challenge: Challenge) -> list[DeclaredScore]:
    """Scores as they were printed: 27.50 says more than 27.5. Raises UsageError.

    Benchmarks of any protocol pass: which one the site goes by, it says itself.
    """
    known = list(
        dict.fromkeys(slug for rules in PROTOCOLS.values() for slug in rules.benchmarks[challenge.slug])
    )
    declared: dict[str, DeclaredScore] = {}
    for text in given:
        slug, _, value = text.partition("=")
        if slug not in known:
            raise UsageError(f"--declared {text}: {challenge.slug} has the benchmarks {', '.join(known)}.")
        try:
            if slug in declared or not _PERCENT.fullmatch(value):
                raise ValueError(value)
            declared[slug] = DeclaredScore(slug, Decimal(value.rstrip("%")))
        except ValueError as error:
            raise UsageError(
                f"--declared {text}: write each benchmark once, in per cent with at most two decimals, like "
                f"{slug}=44.55"
            ) from error
    return list(declared.values())


def _checked(context: Context, findings: Sequence[Finding]) -> Sequence[Finding]:
    """All findings, shown. Raises ClientError where one stands against the submission."""
    if has_errors(findings) and not context.options.draft:
        raise ClientError(
            "Nothing was sent: correct the errors above, or keep what is there with --draft.",
            findings,
            code="invalid_submission",
        )
    if findings:
        context.console.note(f"{findings_text(findings)}\n")
    return findings


def _said_fields(context: Context, declared: Sequence[DeclaredScore]) -> dict[str, Any]:
    """The API's fields that options give; what nobody said is left out."""
    options = context.options
    said = {
        "team": options.team,
        "description": options.description,
        "paper_url": options.paper,
        "code_url": options.code,
    }
    fields: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if options.smoke_run:
        fields["smoke_run"] = True
    if options.repeats:
        fields["repeats"] = options.repeats
    if options.communication is not None:
        fields["resources"] = [{"kind": "communication", "value": options.communication}]
    if declared:
        fields["declared_scores"] = {score.benchmark: str(score.percent) for score in declared}
    return fields


def _chosen_base_model(context: Context, listed: Sequence[str], named: str | None) -> str:
    """The listed model that is chosen, where the one that is named by option or files is not listed."""
    if not listed:
        raise ClientError("The site lists no base model, so nothing can be submitted now.")
    unlisted = f"{named} is not on the site's list of base models"
    if context.options.base_model or not context.console.is_interactive:
        reason = unlisted if named else "The files name no base model"
        raise UsageError(f"{reason}. Give --base-model with one of: {', '.join(listed)}")
    if named:
        context.console.note(f"{unlisted}:")
    return context.console.choose("Base model", listed, option="--base-model ID")


def _method(context: Context, inspection: Inspection) -> str:
    given: str | None = context.options.method
    if given is not None:
        return given
    suggested = inspection.card.suggested_method if inspection.card else ""
    if context.options.yes and suggested:
        return suggested
    return context.console.ask("Name of the method", default=suggested, option="--method NAME")


def _parcel(context: Context, files: AppFiles, inspection: Inspection, fields: dict[str, Any]) -> Parcel:
    adapter = None
    texts = {"pyproject": files.config, "flower_run": files.flower_run}
    if files.adapter:
        texts["adapter_config"] = files.adapter / ADAPTER_CONFIG_FILE
        if inspection.adapter:
            tensors = inspection.adapter
            adapter = LocalFile(files.adapter / ADAPTER_FILE, tensors.size, tensors.sha256)
        else:
            context.console.note("The adapter's file cannot be used as it is, so the draft goes without it.")
    for name, path in texts.items():
        if path and (content := _text(path)) is not None:
            fields[name] = content
    return Parcel(fields, adapter, is_draft=context.options.draft)


def _text(path: Path) -> str | None:
    """The file's text; None for what no field of the API can hold, which the findings tell of."""
    try:
        content = path.read_bytes()
        return content.decode() if len(content) <= _TEXT_BYTES else None
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}") from error


def _is_wanted(context: Context, parcel: Parcel) -> bool:
    options, console, fields = context.options, context.console, parcel.fields
    if options.yes or options.draft or not console.is_interactive:
        return True
    team = f" for {fields['team']}" if "team" in fields else ""
    source = f" from {fields['repository']}" if "repository" in fields else ""
    what = f"“{fields['method']}”{source} on {fields['base_model']}"
    return console.confirms(f"Submit {what} to {fields['challenge']}{team}?")


def _send(context: Context, site: Site, parcel: Parcel) -> Sent:
    size = parcel.adapter.size if parcel.adapter else 0
    hidden = not context.console.shows_progress or not size
    with tqdm(
        total=size, unit="B", unit_scale=True, unit_divisor=1024, desc="Upload", disable=hidden, leave=False
    ) as bar:
        return send(site, parcel, lambda offset: bar.update(offset - bar.n))


def _said(sent: Sent, submission: Submission) -> str:
    if sent.is_new:
        return f"{'Stored as draft' if submission.status == 'received' else 'Submitted as'} {submission.id}."
    if submission.status == "received":
        return f"This was draft {submission.id} already; it is brought up to date."
    return (
        f"This was submitted before as {submission.id}; nothing was sent again. To submit it anew, withdraw "
        "that one first."
    )


def _base_model_id(text: str) -> str:
    return installed_model.HUB_ID if text == installed_model.NAME else text


def _amount(text: str) -> float:
    amount = parse_amount(text)
    if amount is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount; write it as 703 MB or 0.7 GB (1024³ bytes)")
    return amount
