"""`explain`: what a finding's code means and what to do about it, from this program's own catalogue."""

from __future__ import annotations

from evaluation.commands.text import paragraph
from evaluation.findings.catalogue import AREA_OF, CATALOGUE
from evaluation.findings.kinds import FindingKind
from evaluation.names import lookup
from flowertune.commands.options import Commands, Context, add_command
from flowertune.exit_status import Status


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "explain",
        _explain,
        summary="what the code of a finding means, and how to mend it",
        about=(
            "Explain the code of a finding, which stands in brackets behind its place. No site is asked; "
            "every site has the same texts under /help/findings/."
        ),
        examples="  flowertune explain adapter_config.base_model\n",
    )
    parser.add_argument("code", metavar="CODE", help="the finding's code")


def _explain(context: Context) -> Status:
    # As it stands in a list of findings: in brackets, at the end of a sentence.
    code = context.options.code.strip(" []().,:;").lower()
    kind = lookup("finding code", code, CATALOGUE)
    document = {
        "code": kind.code,
        "area": AREA_OF[kind.code].slug,
        "severities": list(kind.severities),
        "title": kind.title,
        "explanation": kind.explanation,
        "remedy": kind.remedy,
        "example": kind.example,
    }
    context.console.result(document, _as_text(kind))
    return Status.DONE


def _as_text(kind: FindingKind) -> str:
    parts = [
        f"{kind.code}  ({' or '.join(kind.severities)})\n{kind.title}",
        paragraph(kind.explanation),
        paragraph(kind.remedy, "What to do: "),
    ]
    if kind.example:
        parts.append(f"Reported at, for example:\n  {kind.example}")
    return "\n\n".join(parts)
