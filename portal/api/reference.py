"""The API's operations and objects for readers, made of its own description in OpenAPI."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from drf_spectacular.generators import SchemaGenerator

from portal.api.curl import command

Schema = Mapping[str, Any]
_COMPONENT = "#/components/schemas/"
_COMMON = 12
"""Answers that so many operations share are told once for all."""
_CODE = re.compile(r"`([^`\n]+)`")
_ENUM_ITEM = re.compile(r"^\* `.*?` - .*$", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """What a value is: words before and after the name of an object, which has an anchor, or words alone."""

    before: str
    name: str = ""
    after: str = ""

    @property
    def anchor(self) -> str:
        return f"object-{self.name}"


@dataclass(frozen=True)
class Field:
    """A field of an object, or a parameter, whose `place` is `path`, `query` or `header`; `need` says whether
    it must be there, or may be missing, where that is not what one expects.
    """

    name: str
    kind: Kind
    description: SafeString
    need: str
    place: str = ""


@dataclass(frozen=True)
class Answer:
    status: str
    description: SafeString
    kind: Kind | None


@dataclass(frozen=True)
class Body:
    media: str
    kind: Kind


@dataclass(frozen=True)
class Operation:
    """`command` runs as it stands on a shell, with a token in TOKEN where `needs_token`."""

    name: str
    method: str
    path: str
    description: SafeString
    needs_token: bool
    parameters: tuple[Field, ...]
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]
    command: str

    @property
    def anchor(self) -> str:
        return self.name.replace("_", "-")


@dataclass(frozen=True)
class Tag:
    title: str
    operations: tuple[Operation, ...]

    @property
    def anchor(self) -> str:
        return self.title.replace(" ", "-")


@dataclass(frozen=True)
class Object:
    name: str
    description: SafeString
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Reference:
    """`common` are the answers that any request may get."""

    tags: tuple[Tag, ...]
    objects: tuple[Object, ...]
    common: tuple[Answer, ...]


@cache
def reference() -> Reference:
    """Of the running code: it changes only with that."""
    described: Schema = SchemaGenerator().get_schema(request=None, public=True)
    return _Reading(described).reference()


class _Reading:
    """The description read for people: names in place of references, and each thing once."""

    def __init__(self, described: Schema) -> None:
        self._described = described
        self._components: Mapping[str, Schema] = described["components"]["schemas"]
        given = Counter(
            (status, answer["description"])
            for item in described["paths"].values()
            for operation in item.values()
            for status, answer in operation["responses"].items()
        )
        self._common = {key for key, times in given.items() if times >= _COMMON and key[1]}

    def reference(self) -> Reference:
        operations = [
            (operation["tags"][0], self._operation(path, method, operation))
            for path, item in self._described["paths"].items()
            for method, operation in item.items()
        ]
        tags = (
            Tag(name, tuple(operation for tag, operation in operations if tag == name))
            for name in (tag["name"] for tag in self._described["tags"])
        )
        common = tuple(Answer(status, _prose(text), None) for status, text in sorted(self._common))
        return Reference(tuple(tags), tuple(self._objects()), common)

    def _operation(self, path: str, method: str, operation: Schema) -> Operation:
        bodies = operation.get("requestBody", {}).get("content", {})
        answers = (
            Answer(status, _prose(answer["description"]), self._body_kind(answer.get("content", {})))
            for status, answer in operation["responses"].items()
            if (status, answer["description"]) not in self._common
        )
        needs_token = {} not in operation.get("security", [{}])
        return Operation(
            name=operation["operationId"],
            method=method.upper(),
            path=path,
            description=_prose(operation["description"]),
            needs_token=needs_token,
            parameters=tuple(map(self._parameter, operation.get("parameters", ()))),
            bodies=tuple(Body(media, self._kind(body["schema"])) for media, body in bodies.items()),
            answers=tuple(answers),
            command=command(path, method, operation, needs_token=needs_token),
        )

    def _parameter(self, given: Schema) -> Field:
        return Field(
            given["name"],
            self._kind(given["schema"]),
            _prose(given.get("description", "")),
            "required" if given.get("required") and given["in"] != "path" else "",
            given["in"],
        )

    def _objects(self) -> Iterator[Object]:
        """Those with fields of their own; a page of a list and a list of words are told where they stand."""
        for name, schema in self._components.items():
            if "properties" in schema and self._page_of(schema) is None:
                need = _needs(name, schema.get("required", ()))
                fields = (
                    Field(key, self._kind(value), _prose(value.get("description", "")), need(key))
                    for key, value in schema["properties"].items()
                )
                yield Object(name, _prose(schema.get("description", "")), tuple(fields))

    def _body_kind(self, content: Schema) -> Kind | None:
        for media, body in content.items():
            return self._kind(body["schema"]) if "json" in media and "nd" not in media else Kind(media)
        return None

    def _kind(self, schema: Schema) -> Kind:
        """What a value is, in words."""
        if name := schema.get("$ref", "").removeprefix(_COMPONENT):
            return self._named(name)
        if "enum" in schema:
            return Kind(" or ".join(_word(value) for value in schema["enum"]))
        for key in ("allOf", "oneOf", "anyOf"):
            if key in schema:
                return _either([self._kind(each) for each in schema[key]])
        if schema.get("type") == "array":
            each = self._kind(schema["items"])
            return Kind(f"list of {each.before}", each.name, each.after)
        if isinstance(values := schema.get("additionalProperties"), Mapping) and values:
            each = self._kind(values)
            return Kind(f"object of {each.before}", each.name, each.after)
        kinds = schema.get("type", "any")
        several = kinds if isinstance(kinds, list) else [kinds]
        return Kind(" or ".join(_format({**schema, "type": kind}) for kind in several))

    def _named(self, name: str) -> Kind:
        schema = self._components[name]
        if (page := self._page_of(schema)) is not None:
            return Kind("a page with a list of ", page.name, " in results")
        return Kind("", name) if "properties" in schema else self._kind(schema)

    def _page_of(self, schema: Schema) -> Kind | None:
        """What a page of a list holds; None for anything else."""
        fields = schema.get("properties", {})
        return self._kind(fields["results"]) if set(fields) == {"next", "previous", "results"} else None


def _either(kinds: list[Kind]) -> Kind:
    """One of several; two objects are never alternatives here."""
    named = [kind for kind in kinds if kind.name]
    words = list(dict.fromkeys(kind.before for kind in kinds if not kind.name))
    if not named:
        return Kind(" or ".join(words))
    after = f"{named[0].after}{''.join(f' or {word}' for word in words)}"
    return Kind(named[0].before, named[0].name, after)


def _needs(name: str, required: Collection[str]) -> Callable[[str], str]:
    """What is said of an object's fields: of one that is sent which are required, of one that comes which may
    be missing.
    """
    if name.endswith("Request"):
        return lambda key: "required" if key in required else ""
    return lambda key: "" if key in required else "may be missing"


def _word(value: object) -> str:
    return "empty" if value == "" else "null" if value is None else str(value)


def _format(schema: Schema) -> str:
    kind = _word(schema.get("type", "any"))
    if kind == "null":
        return kind
    formats = {"uri": "address", "uuid": "UUID", "date-time": "time", "date": "date", "binary": "bytes"}
    return formats.get(str(schema.get("format", "")), kind)


def _prose(description: str) -> SafeString:
    """As HTML: code as code, and without the list of values, which stands with the type."""
    words = escape(_ENUM_ITEM.sub("", description).strip())
    return mark_safe(_CODE.sub(r"<code>\1</code>", words))  # noqa: S308 -- escaped the line above
