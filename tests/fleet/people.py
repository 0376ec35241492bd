"""Who uses the fleet's site meanwhile: a member who sends, a reviewer who publishes, readers who look."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from django.db import connection
from django.test import Client

from portal.accounts.models import ApiToken
from portal.submissions.models import BaseModel, Submission
from tests.evaluation.hub_server import COMMIT
from tests.portal import factories

READERS = 3
PAGES = ("/", "/leaderboard/", "/leaderboard/finance/", "/queue/", "/changes/", "/api/v1/challenges/")
_PATIENCE = 60.0


@dataclass
class Load:
    """What the people did and met; each thread adds to it."""

    url: str
    pause: float
    """Between two submissions, in seconds."""
    sent: list[int] = field(default_factory=list)
    published: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """Of readers: what they met instead of a page."""
    slowest: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    _sender: threading.Thread = field(default_factory=threading.Thread)

    @contextmanager
    def going_on(self) -> Iterator[Load]:
        """Within this block they are at it; the reviewer goes on until all is decided."""
        token, cookies = _introduce(self.url)
        acts = [lambda: self._send(token), lambda: self._publish(cookies), *[self._read] * READERS]
        threads = [threading.Thread(target=act, daemon=True) for act in acts]
        self._sender = threads[0]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def stop_sending(self) -> None:
        """Return once the last one was answered."""
        self.pause = 0.0
        self._sender.join()

    def _send(self, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=self.url, timeout=30, headers=headers) as client:
            while self.pause and not self.over.wait(self.pause):
                number = len(self.sent) + len(self.refused) + 1
                answer = _answered(lambda number=number: _submit(client, number))  # type: ignore[misc]
                if answer.status_code == httpx.codes.CREATED:
                    self.sent.append(answer.json()["id"])
                else:
                    self.refused.append(f"{answer.status_code}: {answer.text[:300]}")

    def _publish(self, cookies: dict[str, str]) -> None:
        form = {"reason": "", "confirmed": "1", "csrfmiddlewaretoken": cookies["csrftoken"]}
        with httpx.Client(base_url=self.url, timeout=30, cookies=cookies) as client:
            try:
                while not self.over.wait(0.3):
                    for pk in list(
                        Submission.objects.filter(status="in_review").values_list("pk", flat=True)
                    ):
                        answer = _answered(lambda pk=pk: client.post(f"/review/{pk}/publish/", data=form))  # type: ignore[misc]
                        if answer.is_redirect:
                            self.published.append(pk)
            finally:
                connection.close()

    def _read(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            # All readers have one address: oftener, and they are told to wait.
            while not self.over.wait(2.0):
                entries = [f"/entries/{pk}/" for pk in self.published[-1:]]
                for page in (*PAGES, *entries):
                    self._look(client, page)

    def _look(self, client: httpx.Client, page: str) -> None:
        began = time.monotonic()
        try:
            answer = client.get(page)
        except httpx.TransportError as error:
            self.failed[f"{type(error).__name__} on {page}"] += 1
            return
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status_code == httpx.codes.OK:
            self.read["pages"] += 1
        else:
            self.failed[f"{answer.status_code} on {page}"] += 1


def _introduce(url: str) -> tuple[str, dict[str, str]]:
    """The member's token and the reviewer's cookies; and the base model that the hub has."""
    member = factories.user("member")
    reviewer = factories.user("reviewer", is_staff=True, is_superuser=True)
    model = factories.base_model()
    BaseModel.objects.filter(pk=model.pk).update(revision=COMMIT)
    browser = Client()
    browser.force_login(reviewer)
    session = {"sessionid": browser.cookies["sessionid"].value}
    desk = httpx.get(f"{url}/review/", cookies=session, timeout=60).raise_for_status()
    return ApiToken.issue(user=member, name="fleet")[1], {**session, "csrftoken": desk.cookies["csrftoken"]}


def _submit(client: httpx.Client, number: int) -> httpx.Response:
    said = {"challenge": "finance", "base_model": factories.base_model().hub_id, "method": f"method {number}"}
    adapter = factories.adapter_bytes(number)
    files = {
        "adapter_model": ("adapter_model.safetensors", adapter),
        "adapter_config": ("adapter_config.json", factories.config_bytes()),
        "pyproject": ("pyproject.toml", factories.PYPROJECT),
    }
    return client.post(
        "/api/v1/submissions/",
        data={"metadata": json.dumps({**said, "not_trained_on_test_items": True})},
        files=files,
        headers={"Idempotency-Key": f"fleet-{number}"},
    )


def _answered(once: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer to what an honest client repeats where it was told to wait or heard nothing."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            answer = once()
            if "Retry-After" not in answer.headers or time.monotonic() > deadline:
                return answer
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)
