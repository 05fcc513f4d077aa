"""How plotly figures look: the palettes, type and markers of the other pictures.

Knows nothing about any one view.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

from hyperprune_lab.views import theme

_SYMBOLS = {
    "o": "circle",
    "^": "triangle-up",
    "v": "triangle-down",
    "s": "square",
    "D": "diamond",
    "P": "cross",
    "X": "x",
    "p": "pentagon",
    "*": "star",
}


def plotly_symbol(marker: str) -> str:
    """plotly's name of a method's marker."""
    return _SYMBOLS.get(marker, "circle")


def plotly_dash(dash: tuple[int, ...]) -> str:
    """A method's dash, in pixels on and off."""
    return ",".join(f"{length}px" for length in dash) if dash else "solid"


def log_range(domain: tuple[float, float]) -> list[float]:
    """A domain as the range of a logarithmic axis."""
    return [math.log10(domain[0]), math.log10(domain[1])]


def plotly_text(text: str) -> str:
    """A name from a model as plotly shows it: it reads some HTML, and a name shall stay text."""
    return escape(theme.shown_name(text))


def axis_of(theme_name: theme.Theme) -> dict[str, Any]:
    """Colors of an axis; without a line at zero, which is only another grid line here."""
    palette = theme.PALETTES[theme_name]
    return {
        "gridcolor": palette.grid,
        "linecolor": palette.line,
        "zeroline": False,
        "tickfont": {"color": palette.soft},
    }


def decades(domain: tuple[float, float]) -> dict[str, Any]:
    """A logarithmic axis over a domain, labelled at powers of ten."""
    return {"type": "log", "range": log_range(domain), "dtick": 1 if domain[1] > 9 * domain[0] else None}


def layout_of(theme_name: theme.Theme, title: str, height_px: int = 460) -> dict[str, Any]:
    """Colors, type and margins of a figure with this title."""
    palette = theme.PALETTES[theme_name]
    return {
        "template": "none",
        "title": {"text": escape(title), "font": {"size": 14}, "x": 0.01},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": palette.ink},
        "paper_bgcolor": palette.background,
        "plot_bgcolor": palette.background,
        "hoverlabel": {"bgcolor": palette.panel, "font": {"color": palette.ink}},
        "legend": {"orientation": "h", "y": -0.2},
        "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
        "height": height_px,
        "xaxis": axis_of(theme_name),
        "yaxis": axis_of(theme_name),
    }
