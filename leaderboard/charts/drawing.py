"""From a figure's specification to SVG and PNG, by Vega in a library: no browser, no network.

The engine takes about 90 MB and half a second when it is first used, so it is loaded then, by a process that
draws; later pictures take some 50 ms. One is drawn at a time, which bounds what many readers at once cost;
what one reader's addresses, each with another view, may have drawn is bounded by an allowance.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from django.conf import settings

from leaderboard.charts.figure import Figure
from leaderboard.charts.palette import FONTS, resolved
from leaderboard.charts.svg import inline, standalone
from portal import rates

Drawn = TypeVar("Drawn", str, bytes)

WAIT_SECONDS = 1.5
"""How long an answer waits for the pictures of others, with all of its own together."""
DRAWINGS_A_MINUTE = 120
"""Of one reader, those that are kept already not counted: twenty whole pages."""
PNG_SCALE = 2.0
_engine = threading.Lock()


class BusyError(Exception):
    """Other pictures are being drawn; this one may be asked for again in a moment."""


class TooManyError(BusyError):
    """The reader had too many pictures drawn; it may ask again after a minute."""


@dataclass
class Allowance:
    """What one answer may draw: `seconds` are those it may still wait for others, `reader` whom it counts for
    ("" for nobody: what readers can't make up new views of)."""

    reader: str = ""
    seconds: float = field(default_factory=lambda: WAIT_SECONDS)

    def count(self) -> None:
        """Raises TooManyError."""
        if not self.reader:
            return
        if not rates.hit(f"{DRAWINGS_A_MINUTE}/minute", "drawings", self.reader).is_allowed:
            raise TooManyError

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The engine, for one drawing. Raises BusyError."""
        began = time.monotonic()
        is_free = _engine.acquire(timeout=max(0.0, self.seconds))
        self.seconds -= time.monotonic() - began
        if not is_free:
            raise BusyError
        try:
            yield
        finally:
            _engine.release()


def inline_svg(figure: Figure, allowance: Allowance) -> str:
    """The picture as part of a page: colours follow its scheme, marks are links. Raises BusyError."""
    return inline(_vega(figure, allowance), figure)


def svg_file(figure: Figure, challenge: str, allowance: Allowance) -> str:
    """The picture as a file of its own, in fixed colours. Raises BusyError."""
    return resolved(standalone(_vega(figure, allowance), figure, FONTS, settings.SITE_URL), challenge)


def png_file(figure: Figure, challenge: str, allowance: Allowance) -> bytes:
    """The picture as pixels, two a unit. Raises BusyError."""
    text = svg_file(figure, challenge, allowance)
    return _draw(allowance, lambda: _converter().svg_to_png(text, scale=PNG_SCALE))


def _vega(figure: Figure, allowance: Allowance) -> str:
    assert figure.spec is not None, "a figure without a specification has nothing to draw"
    allowance.count()
    spec = dict(figure.spec)
    # No address is allowed: nothing that a specification holds may make the server fetch something.
    return _draw(allowance, lambda: _converter().vegalite_to_svg(spec, allowed_base_urls=[]))


def _draw(allowance: Allowance, draw: Callable[[], Drawn]) -> Drawn:
    with allowance.turn():
        return draw()


def _converter():  # type: ignore[no-untyped-def] # the library has no types
    """Loaded by the first picture, not with the site."""
    import vl_convert

    return vl_convert
