"""What the small site has: invented entries on every board, and one with files, review and statements."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage

from evaluation import rules
from evaluation.rules.challenges import CHALLENGES
from portal.discussion.models import Message
from portal.management.seeding.entries import Board, Invented
from portal.runs import services as runs
from portal.runs.models import Score
from portal.submissions.models import Checkpoint
from portal.transparency.writing import write_due
from tests.portal import factories

UNTUNED, TUNED = 1, 4
_ITEMS = b"".join(
    json.dumps({"id": number, "prompt": "2 + 2?", "completion": "4", "correct": number < 7}).encode() + b"\n"
    for number in range(10)
)


class _WithFiles(Board):
    """A board whose adapters are in storage, though there is nothing to load in them."""

    def _checkpoint(self, entry: Invented) -> Checkpoint:
        made = super()._checkpoint(entry)
        content = f"adapter {entry.number} of {self.challenge.slug}".encode()
        made.sha256, made.size = hashlib.sha256(content).hexdigest(), len(content)
        made.file = default_storage.save(f"checkpoints/{made.sha256}.safetensors", ContentFile(content))
        return made


def fill() -> None:
    for challenge in CHALLENGES.values():
        board = _WithFiles(challenge, seed=1, data=Score.Data.OFFICIAL)
        board.publish(board.draw(range(UNTUNED + TUNED), untuned=UNTUNED))
    owner = factories.user("owner")
    made = factories.submission(owner, method="FedAvg")
    evaluation = runs.claim(worker="worker")
    assert evaluation is not None
    for benchmark in rules.of(made.challenge, evaluation.protocol).benchmarks:
        scored = factories.score(benchmark, 7, 10, correct_bits=b"\xfe\x00", scored_bits=b"\xff\xc0")
        runs.record_score(evaluation, scored, items=File(BytesIO(_ITEMS)))
    runs.succeed(evaluation, provenance={"precision": "fp32"})
    made.refresh_from_db()
    Message.objects.create(
        submission=made, author=owner, from_reviewer=False, text="Thank you for the review."
    )
    factories.publish(made)
    factories.draft(owner, method="FedProx")
    write_due()
