"""What Vega draws, made fit for our pages: marks become named links, nothing needs styles or scripts.

The Content-Security-Policy refuses style attributes, pages hold several pictures, and readers may use a
keyboard or a screen reader; Vega's own output knows of none of these.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from leaderboard.charts.figure import MARK, Figure, Mark
from leaderboard.markup import xml_text

SVG = "http://www.w3.org/2000/svg"
_TAG = f"{{{SVG}}}"
_LONG = re.compile(r"(-?\d+\.\d\d)\d+")
_NUMERIC = ("d", "transform", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "points")
_DROPPED = ("role", "aria-roledescription", "aria-label", "aria-hidden", "pointer-events", "font-family")
# As Vega draws it: the empty shapes before and behind each group.
_HOLLOW = ("background", "foreground")


def inline(drawn: str, figure: Figure) -> str:
    """An <svg> for a page: its size is the page's affair, its colours and font are inherited."""
    root = _cleaned(drawn, figure)
    for name in ("width", "height"):
        del root.attrib[name]
    root.set("role", "group")
    root.set("aria-label", figure.title)
    _hide_what_has_no_link(root)
    return ElementTree.tostring(_without_prefixes(root), encoding="unicode")


def standalone(drawn: str, figure: Figure, fonts: str, site: str) -> str:
    """The same as a file: with title, font and ground, and links to this site wherever it is read."""
    root = _cleaned(drawn, figure)
    for link in root.iter(f"{_TAG}a"):
        link.set("href", f"{site}{link.get('href')}")
    root.set("font-family", fonts)
    ground = ElementTree.Element(f"{_TAG}rect", {"width": "100%", "height": "100%", "fill": "var(--surface)"})
    root.insert(0, ground)
    title = ElementTree.Element(f"{_TAG}title")
    title.text = figure.title
    root.insert(0, title)
    return ElementTree.tostring(_without_prefixes(root), encoding="unicode", xml_declaration=True)


def _without_prefixes(root: ElementTree.Element) -> ElementTree.Element:
    """As HTML reads it. Not by registering a prefix: that is one for the process, and the library that draws
    the code for authenticator apps registers another."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(_TAG)
    attributes = {"xmlns": SVG, **root.attrib}
    root.attrib.clear()
    root.attrib.update(attributes)
    return root


def _cleaned(drawn: str, figure: Figure) -> ElementTree.Element:
    root = ElementTree.fromstring(drawn)  # noqa: S314 -- made by our own renderer, not sent by anybody
    for name in list(root.attrib):
        if name not in ("width", "height", "viewBox"):
            del root.attrib[name]
    _clean(root, figure)
    return root


def _clean(parent: ElementTree.Element, figure: Figure) -> None:
    for place, child in enumerate(list(parent)):
        mark = _mark_of(child, figure)
        if child.get("class") in _HOLLOW and not child.get("fill"):
            parent.remove(child)
            continue
        _attributes(child)
        _clean(child, figure)
        if mark is not None:
            place = list(parent).index(child)
            parent.remove(child)
            parent.insert(place, _marked(child, mark))


def _mark_of(element: ElementTree.Element, figure: Figure) -> Mark | None:
    label = element.get("aria-label") or ""
    return figure.marks[int(label.removeprefix(MARK))] if label.startswith(MARK) else None


def _marked(element: ElementTree.Element, mark: Mark) -> ElementTree.Element:
    """The element as a link with its words, or with the words alone."""
    wrapped = ElementTree.Element(f"{_TAG}a" if mark.href else f"{_TAG}g")
    if mark.href:
        wrapped.set("href", mark.href)
        wrapped.set("aria-label", xml_text(mark.text))
        if not mark.tabbed:
            wrapped.set("tabindex", "-1")
    title = ElementTree.SubElement(wrapped, f"{_TAG}title")
    title.text = xml_text(mark.text)
    wrapped.append(element)
    return wrapped


def _attributes(element: ElementTree.Element) -> None:
    for name in _DROPPED:
        element.attrib.pop(name, None)
    if element.tag == f"{_TAG}g":
        element.attrib.pop("class", None)
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        if value:
            element.set(name.strip(), value.strip())
    for name in _NUMERIC:
        if name in element.attrib:
            element.set(name, _LONG.sub(r"\1", element.attrib[name]))


def _hide_what_has_no_link(element: ElementTree.Element) -> None:
    """Axes, lines and legends are said in the words beside the picture."""
    for child in element:
        if child.tag == f"{_TAG}a":
            continue
        if child.find(f".//{_TAG}a") is None:
            child.set("aria-hidden", "true")
        else:
            _hide_what_has_no_link(child)
