"""From an inspected folder to a submission on the site: found again, uploaded, made; never made twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from flowertune.answers import DRAFT, Submission
from flowertune.errors import ClientError, NotThere
from flowertune.kept_files import Delivery, Draft, delivery
from flowertune.site import Site
from flowertune.uploads import Advanced, LocalFile, upload, upload_id

_ALIVE = ("queued", "evaluating", "tried", "in_review", "published")
# The site cannot take the upload that was finished before: it expired, or another submission has it.
_LOST = {"upload.unknown", "upload.gone", "upload.consumed", "upload.incomplete"}
_KEY = "Idempotency-Key"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Parcel:
    """What is to be submitted: the API's fields with the small files' texts, and the adapter.

    `fields` lacks what the user did not say. `adapter` is None only for a draft without one.
    """

    fields: Mapping[str, Any]
    adapter: LocalFile | None
    is_draft: bool


@dataclass(frozen=True)
class Sent:
    """The submission as the API describes it; `is_new` is False where it was there before this call."""

    document: dict[str, Any]
    is_new: bool


def send(site: Site, parcel: Parcel, advanced: Advanced) -> Sent:
    """Make the submission, or find it where the same one is alive already. Raises ClientError.

    The same: of these teams, with the same adapter, challenge, base model and method. The draft that an
    earlier call made of the adapter is brought up to date and sent, unless a draft is wanted.
    """
    if parcel.adapter is None:
        return _made(site, {**parcel.fields, "draft": parcel.is_draft}, str(uuid4()))
    with delivery(site.url, parcel.adapter.sha256) as state:
        if known := _known(site, parcel):
            return Sent(site.document("GET", f"submissions/{known.id}/"), is_new=False)
        post = _Post(site, parcel, parcel.adapter, state, advanced)
        draft = _draft(site, parcel, state)
        sent = post.complete(draft) if draft else post.make()
        if Submission.read(sent.document).status == DRAFT:
            state.stored(_identity(sent.document))
        else:
            state.finished()
        return sent


def _known(site: Site, parcel: Parcel) -> Submission | None:
    """The newest submission that is the same and alive."""
    assert parcel.adapter
    fields = parcel.fields
    rows = site.rows("submissions/", mine="true", challenge=str(fields["challenge"]), page_size="200")
    for made in map(Submission.read, rows):
        if (
            made.status in _ALIVE
            and made.checkpoint == parcel.adapter.sha256
            and made.method == fields["method"]
            and made.base_model.lower() == fields["base_model"].lower()
            and ("team" not in fields or made.team.lower() == fields["team"].lower())
        ):
            return made
    return None


def _draft(site: Site, parcel: Parcel, state: Delivery) -> dict[str, Any] | None:
    """The draft that an earlier call made of this adapter for this challenge, while it is one."""
    if state.draft is None:
        return None
    try:
        document = site.document("GET", f"submissions/{state.draft.id}/")
    except NotThere:
        return None
    draft = Submission.read(document)
    is_meant = draft.status == DRAFT and draft.challenge == parcel.fields["challenge"]
    return document if is_meant else None


@dataclass(frozen=True)
class _Post:
    """One parcel on its way."""

    site: Site
    parcel: Parcel
    adapter: LocalFile
    state: Delivery
    advanced: Advanced

    def make(self) -> Sent:
        return self._with_upload(self._make)

    def complete(self, draft: Mapping[str, Any]) -> Sent:
        """Amend the draft, and send it where that is wanted."""
        found = _identity(draft)
        address = f"submissions/{found.id}/"

        def amend(fields: Mapping[str, Any]) -> dict[str, Any]:
            return self.site.document("PATCH", address, json=fields)

        # Edited elsewhere, the draft may have been given another adapter: then this one goes there again.
        is_ours = found == self.state.draft
        document = amend(dict(self.parcel.fields)) if is_ours else self._with_upload(amend)
        if self.parcel.is_draft:
            return Sent(document, is_new=False)
        self.state.stored(_identity(document))  # for the next call, should sending be refused
        sent = self.site.document("POST", f"{address}send/", headers={_KEY: str(uuid4())})
        return Sent(sent, is_new=True)

    def _make(self, fields: Mapping[str, Any]) -> Sent:
        body = {**fields, "draft": self.parcel.is_draft}
        fresh = str(uuid4())
        key = self.state.request_key(body, fresh)
        return _made(self.site, body, key, is_repeated=key != fresh)

    def _with_upload(self, use: Callable[[Mapping[str, Any]], Answer]) -> Answer:
        """Upload what is missing of the adapter, and use it; anew where the site lost one finished before."""
        state = self.state
        if state.is_complete and state.upload:
            self.advanced(self.adapter.size)
            try:
                return use({**self.parcel.fields, "adapter_upload": upload_id(state.upload)})
            except ClientError as error:
                if not _LOST & {finding.code for finding in error.findings}:
                    raise
                state.lost()
        identifier = upload(self.site, self.adapter, state, self.advanced)
        return use({**self.parcel.fields, "adapter_upload": identifier})


def _identity(document: Mapping[str, Any]) -> Draft:
    return Draft(Submission.read(document).id, str(document.get("edited_at")))


def _made(site: Site, body: Mapping[str, Any], key: str, *, is_repeated: bool = False) -> Sent:
    """`is_repeated`: an earlier call sent the same under this key, and never heard the answer."""
    response = site.send("POST", "submissions/", json=body, headers={_KEY: key})
    document = site.parse(response)
    if not is_repeated or response.headers.get("Idempotency-Replayed") != "true":
        return Sent(document, is_new=True)
    # The answer that the earlier call would have had; much may have happened since.
    return Sent(site.document("GET", f"submissions/{Submission.read(document).id}/"), is_new=False)
