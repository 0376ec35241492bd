"""`inspect`: a Flower app and its adapter, checked as on submission."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation import rules
from evaluation.checkpoints import base_model_tensors
from evaluation.commands.files import as_json
from evaluation.commands.options import Commands, add_command, number
from evaluation.commands.status import Status
from evaluation.hub import base_models
from evaluation.inspection import Known, KnownBase, inspect
from evaluation.inspection.communication_log import parse_amount
from evaluation.inspection.folder import gather
from evaluation.inspection.report import as_dict, as_text
from evaluation.rules.base_size import LARGEST_BASE_PARAMETERS


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "inspect",
        _inspect,
        summary="check a Flower app and its adapter as on submission",
        about=(
            "Check a Flower app's configuration against a challenge's rules, its last checkpoint (the\n"
            "highest peft_N of the last run) and its communication log. No model is loaded and no code is\n"
            "run. The exit status is 1 when something would block the submission."
        ),
        examples=(
            "  python -m evaluation inspect . --challenge finance\n"
            "  python -m evaluation inspect results/peft_200 --challenge finance --base-model DIR\n"
            "  python -m evaluation inspect pyproject.toml --challenge code --json\n"
        ),
    )
    parser.add_argument(
        "path", type=Path, metavar="PATH", help="a Flower app folder, a pyproject.toml or an adapter folder"
    )
    parser.add_argument("--challenge", required=True, metavar="SLUG", help="whose rules apply")
    parser.add_argument(
        "--base-model",
        metavar=base_models.METAVAR,
        help=f"check the adapter's shapes against this base model too: {base_models.HELP}",
    )
    parser.add_argument("--base-model-id", metavar="ID", help="hub id of the base model that you will select")
    parser.add_argument(
        "--max-parameters",
        type=number(1),
        default=LARGEST_BASE_PARAMETERS,
        metavar="N",
        help=f"the site's limit on the size of base models (default: {LARGEST_BASE_PARAMETERS:,})",
    )
    parser.add_argument(
        "--communication",
        type=_amount,
        metavar="AMOUNT",
        help="the communication that you will declare, such as '703 MB', to compare with the derived one",
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="the communication log or the output of the run, where it is not found by itself; or what "
        "`flwr list --run-id ID --format json` wrote",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def _inspect(options: argparse.Namespace) -> Status:
    binding = rules.of(options.challenge, max_base_parameters=options.max_parameters)
    base = KnownBase(hub_id=options.base_model_id)
    if options.base_model:
        model = base_models.named(options.base_model)
        base = KnownBase(options.base_model_id or model.hub_id, tensors=base_model_tensors(model.folder))
    folder = gather(options.path, log=options.log)
    inspection = inspect(folder.material, binding, Known(base, declared_bytes=options.communication))
    shown = as_json(as_dict(inspection, folder.files)) if options.json else as_text(inspection, folder.files)
    print(shown)
    return Status.FAILED if inspection.has_errors else Status.DONE


def _amount(text: str) -> float:
    amount = parse_amount(text)
    if amount is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount; write it as 703 MB or 0.7 GB (1024³ bytes)")
    return amount
