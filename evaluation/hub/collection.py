"""A collection of the hub: which repositories of models somebody put together. HF_ENDPOINT names the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from evaluation.errors import CheckpointError, HubError
from evaluation.hub import fetching
from evaluation.hub.names import is_repository

_SLUG = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,160}", re.ASCII)
_WITH_ID = re.compile(r".*-[0-9a-f]{24}")
_MOST_LISTED = 200
"""Collections of an owner that are looked through for one named without its id."""


@dataclass(frozen=True)
class Collected:
    """A repository of a collection, and what its collector noted."""

    repository: str
    note: str


@dataclass(frozen=True)
class HubCollection:
    """A collection by its whole name; `url` is its page."""

    slug: str
    title: str
    url: str
    models: tuple[Collected, ...]


def fetch_collection(name: str) -> HubCollection:
    """The collection of an address like owner/title-0123…, of its page, or of owner/title without the id.

    Raises CheckpointError that says what to do, HubError where the hub is at fault.
    """
    slug = _slug(name)
    fetching.guard_requests()
    hub = HfApi(endpoint=fetching.endpoint(), token=False)
    try:
        found = hub.get_collection(slug if _WITH_ID.fullmatch(slug) else _completed(hub, slug), token=False)
    except OfflineModeIsEnabled as error:
        raise CheckpointError("this site does not reach the hub (HF_HUB_OFFLINE is set)") from error
    except HfHubHTTPError as error:
        if fetching.is_refusal(error):
            raise CheckpointError(f"the hub shows no collection {slug}; check the name") from error
        raise HubError(f"the hub did not deliver the collection {slug}; try again") from error
    # KeyError, TypeError: an answer that is no collection; ValueError: one that is no JSON.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, KeyError, TypeError, ValueError) as error:
        raise HubError(f"the hub did not deliver the collection {slug}; try again") from error
    models = tuple(
        Collected(item.item_id, item.note or "")
        for item in found.items
        if item.item_type == "model" and is_repository(item.item_id)
    )
    return HubCollection(found.slug, found.title, found.url, models)


def _slug(name: str) -> str:
    path = urlsplit(name.strip()).path if "://" in name else name.strip()
    slug = path.strip("/").removeprefix("collections/")
    if not _SLUG.fullmatch(slug):
        raise CheckpointError("name the collection as owner/title-0123… or by the address of its page")
    return slug


def _completed(hub: HfApi, slug: str) -> str:
    """The whole name of an owner's collection that is named without its id."""
    owner = slug.partition("/")[0]
    whole = re.compile(rf"{re.escape(slug)}-[0-9a-f]{{24}}")
    listed = (one.slug for one in hub.list_collections(owner=owner, limit=_MOST_LISTED, token=False))
    meant = [one for one in listed if whole.fullmatch(one)]
    if len(meant) != 1:
        many = f"{len(meant)} collections are" if meant else "no collection is"
        raise CheckpointError(f"{many} called {slug}; name it with the id at its end")
    return meant[0]
