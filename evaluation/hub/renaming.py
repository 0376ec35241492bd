"""What the hub calls a repository today: it redirects from the names that one had before."""

from __future__ import annotations

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from evaluation.hub import fetching

_TIMEOUT_SECONDS = 60.0


def current_name(repo: str) -> str:
    """The repository's name on the hub; `repo` itself where the hub is out of reach or does not say."""
    fetching.guard_requests()
    try:
        return HfApi(endpoint=fetching.endpoint()).model_info(repo, timeout=_TIMEOUT_SECONDS).id or repo
    except (HfHubHTTPError, httpx.HTTPError, OfflineModeIsEnabled, OSError, ValueError):
        return repo  # a name that was fetched is right as it is; another one is only a convenience
