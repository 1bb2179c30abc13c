"""Figures of a report as inline SVG: same data, same bytes; readable in black and white, with a mouse and with a keyboard."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mico_runner.tasks.base import Measure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, MUTED, BLUE, ORANGE, GREEN = "#1d2733", "#8a96a3", "#2563a8", "#e07b1a", "#2f8f5b"
PALETTE = (BLUE, ORANGE, GREEN, "#8054a8", "#b5413b", "#5d7187", "#b08a1e", "#2a9aa0")
MARKERS = "osD^vPX*"  # what tells series of points apart without their colours
LINES = ("-", "--", "-.", ":", (0, (6, 1)), (0, (1, 3)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))  # and lines
HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++", "//")  # and bars; lines, as circles take many bytes
_MARK = "mark:"
_SMALLEST = 0.62  # of a figure's natural size: smaller text is not readable, the page scrolls instead
_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6eaee",
    "hatch.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def mark(label: str, layer: str = "") -> str:
    """What an artist's `url` (a collection's `urls`) has to be for the page to show `label` at it.

    Args:
        label: shown under the mouse and with the keyboard's focus, and read aloud; may have several lines.
        layer: of the network, which the page follows from here when it is clicked; "": of none.
    """
    return _MARK + quote(json.dumps([label, layer], ensure_ascii=False))


def series(number: int) -> dict[str, Any]:
    """How `Axes.plot` draws the series of this number."""
    return {
        "color": PALETTE[number % len(PALETTE)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number % len(LINES)],
    }


def bar(number: int) -> dict[str, Any]:
    """How `Axes.bar` draws the series of this number."""
    return {
        "color": PALETTE[number % len(PALETTE)],
        "hatch": HATCHES[number % len(HATCHES)],
        "edgecolor": "white",
        "linewidth": 0.4,
    }


def axis_of(measure: Measure) -> str:
    """Label of an axis."""
    return f"validation {measure.name}, {measure.unit}".rstrip(", ")


def grouped(value: float, _: float) -> str:
    return f"{value:,.10g}".replace(",", "\u2009")


def svg(name: str, size: tuple[float, float], draw: Callable[..., None], panels: int = 1, rows: int = 1) -> str:
    """An <svg> element that shrinks with the window, to a point; `draw` gets the axes, an array of them for several panels."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots(rows, panels))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=130, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace('id="', f'id="{name}-').replace("url(#", f"url(#{name}-")
    text = text.replace('xlink:href="#', f'xlink:href="#{name}-')
    text = re.sub(f'<a xlink:href="{_MARK}([^"]*)"[^>]*>', _group, text).replace("</a>", "</g>")
    about = f'role="group" aria-label="{escape(name)}"'
    style = f'style="max-width:{72 * size[0]:.0f}pt; min-width:{_SMALLEST * 72 * size[0]:.0f}pt"'
    return re.sub(r'(<svg [^>]*?)width="[\d.]+pt" height="[\d.]+pt"', rf"\1{about} {style}", text, count=1)


def _group(link: re.Match[str]) -> str:
    """The start of a mark, for the link that matplotlib has drawn."""
    label, layer = (escape(text).replace("\n", "&#10;") for text in json.loads(unquote(link[1])))
    follow = f'role="button" data-layer="{layer}"' if layer else 'role="img"'
    return f'<g class="mark" tabindex="-1" {follow} aria-label="{label}">'
