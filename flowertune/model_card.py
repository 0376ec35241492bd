"""A model's README.md with results in its front matter: all else stays as it is, byte for byte.

The front matter is YAML, read by the package PyYAML, which is imported late: other commands do without it.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

from flowertune.errors import ClientError, UsageError

README = "README.md"
_KEY = "model-index"
_MISSING = (
    "Model cards are written with the package PyYAML, which is not installed here. "
    "Install it beside this program: pip install pyyaml"
)
_FRONT = re.compile(
    r"\A(?P<mark>\ufeff?---[ \t]*\r?\n)(?P<front>.*?)(?P<end>^---[ \t]*(?:\r?\n|\Z))",
    re.DOTALL | re.MULTILINE,
)
# The key with what belongs to it: indented lines, entries of its list, empty lines and comments between them.
_BLOCK = re.compile(
    r"^model-index[ \t]*:.*\n(?:(?:[ \t]+|-).*\n|[ \t]*(?:#.*)?\r?\n(?=(?:[ \t]*\r?\n)*(?:[ \t]+\S|-)))*",
    re.MULTILINE,
)
_COMMENT = re.compile(r"(?:^|[ \t])#", re.MULTILINE)
_MARK = "\ufeff"


def with_results(readme: str, index: str, page: str) -> str:
    """The card with the results of `index`, a YAML document with the key `model-index`.

    Results that come from the entry's `page` are replaced, in whatever model they stand; others stay. A card
    that has them already is returned as it is. Raises UsageError for a front matter that cannot be read.
    """
    given = _parsed(index)
    if not isinstance(given, dict) or not isinstance(given.get(_KEY), list):
        raise ClientError("The site sent no model-index.", code="unexpected_answer")
    newline = "\r\n" if "\r\n" in readme[:1000] else "\n"
    found = _FRONT.match(readme)
    if found is None:
        mark, text = (_MARK, readme[1:]) if readme.startswith(_MARK) else ("", readme)
        return mark + f"---\n{index}---\n".replace("\n", newline) + text
    front = found["front"]
    known = _front_matter(front)
    merged = _merged(known.get(_KEY), given[_KEY], page)
    if merged == known.get(_KEY):
        return readme
    text = _written({_KEY: merged}).replace("\n", newline)
    changed = _replaced(front, text) if _KEY in known else front + text
    if _front_matter(changed) != {**known, _KEY: merged}:
        raise _not_editable("in a way that this program does not edit")
    return readme[: found.start("front")] + changed + readme[found.end("front") :]


def _replaced(front: str, text: str) -> str:
    """The front matter with another block of the key, which must not take a comment with it."""
    block = _BLOCK.search(front)
    if block is None:
        raise _not_editable("in a way that this program does not edit")
    if _COMMENT.search(block[0]):
        raise _not_editable("with comments, which would be lost")
    return front[: block.start()] + text + front[block.end() :]


def _not_editable(how: str) -> UsageError:
    return UsageError(
        f"The {_KEY} of {README} is written {how}. Write it as a plain list in lines of its own, or take it "
        "out first."
    )


def _front_matter(front: str) -> dict[str, Any]:
    known = _parsed(front)
    if known is None:
        return {}
    if not isinstance(known, dict):
        raise UsageError(f"The front matter of {README} is no mapping.")
    return known


def _merged(known: object, new: list[Any], page: str) -> list[Any]:
    """The models of a card with the new results in the first, those of the same page taken out.

    Raises UsageError where what is there is no list of models with results: none of it may be lost.
    """
    if not known:
        return new
    if not isinstance(known, list) or not all(_is_model(model) for model in known):
        raise _not_editable("not as the hub reads it")
    models = [
        {**model, "results": [one for one in model.get("results") or [] if not _is_of(one, page)]}
        for model in known
    ]
    models[0]["results"] += new[0]["results"]
    return models


def _is_model(model: object) -> bool:
    return isinstance(model, dict) and isinstance(model.get("results") or [], list)


def _is_of(result: object, page: str) -> bool:
    source = result.get("source") if isinstance(result, dict) else None
    return isinstance(source, dict) and source.get("url") == page


def _parsed(text: str) -> Any:
    yaml = _library()
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = f" at line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""
        raise UsageError(f"The front matter of {README} is no YAML{where}.") from error


def _written(front: dict[str, Any]) -> str:
    text: str = _library().safe_dump(front, sort_keys=False, allow_unicode=True, width=110)
    return text


def _library() -> ModuleType:
    try:
        import yaml
    except ImportError as error:
        raise UsageError(_MISSING) from error
    return yaml
