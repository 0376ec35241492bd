"""Which keys of a site's log are trusted here, the last head that was seen of it, and whence both come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.statements.bundle import Bundle
from evaluation.statements.envelope import Envelope
from evaluation.statements.errors import StatementError
from evaluation.statements.fields import decoded
from evaluation.statements.keys import WELL_KNOWN, KeySet
from evaluation.statements.tree_head import TreeHead
from evaluation.statements.verification import EarlierHead
from flowertune.errors import ClientError, NotThere, UsageError
from flowertune.kept_files import KeptLogs
from flowertune.site import Site, is_in_the_clear


@dataclass(frozen=True)
class Trusted:
    """Keys, and in a sentence why they are trusted; None where those in the bundle are all there are."""

    keys: KeySet | None
    because: str


def keys_from_file(path: Path, bundle: Bundle) -> Trusted:
    """Those in a file, and those that they vouch for. Raises ClientError."""
    try:
        given = KeySet.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except StatementError as error:
        raise UsageError(f"{path} is no key file: {error}") from error
    return Trusted(given.extended_by(bundle.keys), f"The keys are those of {path}.")


def kept_keys(log: str, bundle: Bundle) -> Trusted:
    """Those that were kept of a log, and those that they vouch for."""
    kept = _kept_keys(log)
    if kept is None:
        return Trusted(
            None,
            f"No key of {log} is known here, and those in the file prove nothing: who made the file may have "
            f"made its keys. Give --keys FILE (from {log}{WELL_KNOWN}, by a way that you trust), or verify "
            "the entry's address once.",
        )
    return Trusted(kept.extended_by(bundle.keys), f"The keys of {log} were kept here before.")


def site_keys(site: Site) -> Trusted:
    """Those that a site publishes: all at the first time, later those that a kept one vouches for.

    They are kept from now on. Raises ClientError.
    """
    offered = KeySet.read(site.document("GET", WELL_KNOWN))
    if offered.log != site.url:
        raise ClientError(f"{site.url} has the log of {offered.log}. Use that address.", code="other_log")
    kept = _kept_keys(site.url)
    known = kept.extended_by(offered) if kept else offered
    _keep(site.url, keys=known)
    if kept is None:
        clear = " Nothing protected them on the way." if is_in_the_clear(site.url) else ""
        words = f"The keys are those that {site.url} publishes, seen for the first time and kept from now on."
        return Trusted(known, words + clear)
    stranger = offered.by_id.keys() - known.by_id.keys()
    more = (
        f" It publishes {len(stranger)} more that no kept key vouches for: they are not trusted."
        if stranger
        else ""
    )
    return Trusted(known, f"The keys of {site.url} were kept here before.{more}")


def earlier_head(log: str, head: TreeHead, site: Site | None) -> EarlierHead | None:
    """The head of a log kept last, with the site's proof, if it can be asked, that both belong together."""
    envelope = KeptLogs.read().of(log).get("head")
    if envelope is None:
        return None
    kept = TreeHead.read(Envelope.read(envelope))
    if site is None or kept.size == head.size:
        return EarlierHead(kept)
    small, large = sorted((kept.size, head.size))
    try:
        answer = site.document("GET", "log/consistency/", params={"from": small, "to": large})
    except NotThere:
        return EarlierHead(kept, ())  # a log that once was larger: no proof can hold
    hashes = answer.get("hashes")
    if not isinstance(hashes, list):
        raise site.unexpected()
    return EarlierHead(kept, tuple(decoded(str(one), "The proof") for one in hashes))


def keep_head(log: str, envelope: Envelope) -> None:
    """Remember the last head of a log that was proved."""
    content = dict(KeptLogs.read().of(log))
    KeptLogs.read().with_log(log, {**content, "head": envelope.to_json()}).write()


def _kept_keys(log: str) -> KeySet | None:
    content = KeptLogs.read().of(log).get("keys")
    return KeySet.read(content) if content is not None else None


def _keep(log: str, *, keys: KeySet) -> None:
    content: Mapping[str, object] = {**KeptLogs.read().of(log), "keys": keys.to_json()}
    KeptLogs.read().with_log(log, content).write()
