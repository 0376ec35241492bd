"""From a figure's specification to SVG and PNG, by Vega in a library: no browser, no network.

The engine takes about 90 MB and half a second when it is first used, so it is loaded then, by a process that
draws; later pictures take some 50 ms. One is drawn at a time, which bounds what many readers at once cost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.conf import settings

from leaderboard.charts.figure import Figure
from leaderboard.charts.palette import FONTS, resolved
from leaderboard.charts.svg import inline, standalone

Drawn = TypeVar("Drawn", str, bytes)

WAIT_SECONDS = 10.0
PNG_SCALE = 2.0
_engine = threading.Lock()


class BusyError(Exception):
    """Other pictures are being drawn; this one may be asked for again in a moment."""


def inline_svg(figure: Figure) -> str:
    """The picture as part of a page: colours follow its scheme, marks are links. Raises BusyError."""
    return inline(_vega(figure), figure)


def svg_file(figure: Figure, challenge: str) -> str:
    """The picture as a file of its own, in fixed colours. Raises BusyError."""
    return resolved(standalone(_vega(figure), figure, FONTS, settings.SITE_URL), challenge)


def png_file(figure: Figure, challenge: str) -> bytes:
    """The picture as pixels, two a unit. Raises BusyError."""
    text = svg_file(figure, challenge)
    return _draw(lambda: _converter().svg_to_png(text, scale=PNG_SCALE))


def _vega(figure: Figure) -> str:
    assert figure.spec is not None, "a figure without a specification has nothing to draw"
    spec = dict(figure.spec)
    # No address is allowed: nothing that a specification holds may make the server fetch something.
    return _draw(lambda: _converter().vegalite_to_svg(spec, allowed_base_urls=[]))


def _draw(draw: Callable[[], Drawn]) -> Drawn:
    with _only_one():
        return draw()


@contextmanager
def _only_one() -> Iterator[None]:
    if not _engine.acquire(timeout=WAIT_SECONDS):
        raise BusyError
    try:
        yield
    finally:
        _engine.release()


def _converter():  # type: ignore[no-untyped-def] # the library has no types
    """Loaded by the first picture, not with the site."""
    import vl_convert

    return vl_convert
