"""Pull requests on the hub: what is proposed, and refusals in words."""

from __future__ import annotations

import pytest

from evaluation.errors import HubError, ModelError
from evaluation.hub.pull_request import PullRequest, Repository
from tests.evaluation.hub_server import HubServer

REPO = "Example/adapter"
REQUEST = PullRequest(
    "Add results", "As measured.", {"README.md": b"---\n---\n", ".eval_results/a.yaml": b"[]"}
)


def test_files_are_proposed_and_not_written() -> None:
    with HubServer(REPO, {"README.md": b"# Mine\n"}) as hub:
        hub.writers.add("hf_writer")
        repository = Repository(REPO, "hf_writer", hub.url)
        assert repository.read("README.md") == b"# Mine\n"
        assert repository.read(".eval_results/a.yaml") is None
        assert repository.open(REQUEST) == f"{hub.url}/{REPO}/discussions/1"
        [proposed] = hub.pull_requests
        assert (proposed["summary"], proposed["files"]) == ("Add results", dict(REQUEST.files))
        assert hub.files == {"README.md": b"# Mine\n"}


def test_refusals_say_what_to_do() -> None:
    with HubServer(REPO, {}) as hub:
        with pytest.raises(ModelError, match="set HF_TOKEN"):
            Repository(REPO, "hf_reader", hub.url).open(REQUEST)
        with pytest.raises(ModelError, match="has no Example/other"):
            Repository("Example/other", "hf_writer", hub.url).read("README.md")
    with pytest.raises(HubError, match="cannot be reached"):
        Repository(REPO, None, hub.url).read("README.md")
