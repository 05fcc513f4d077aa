"""What stands below the hypernetwork's strips in the static picture: patterns, pinned groups, embeddings.

Knows nothing about runs: it draws what ``hypernetwork`` gathered.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from hyperprune_lab.views import theme
from hyperprune_lab.views.hypernetwork_words import histogram_note, pinned_note
from hyperprune_lab.views.network_groups import PinnedGroup

if TYPE_CHECKING:
    from hyperprune_lab.analysis.embeddings import EmbeddingMap
    from hyperprune_lab.views.hypernetwork import HypernetworkData

_SMALL = theme.SMALLEST_FONT_PX * 72 / theme.DPI
_MOST_NAMED = 8


def _headed(part: Any, title: str, words: str, width: int, palette: theme.Palette) -> None:
    part.text(0.02, 0.99, title, weight="bold", va="top", size=8.6)
    shown = "\n".join(textwrap.wrap(words, width)[:2])
    part.text(0.02, 0.91, shown, va="top", size=_SMALL, color=palette.soft, linespacing=1.25)


def draw_patterns(part: Any, data: HypernetworkData, palette: theme.Palette) -> None:
    """How often each pattern was chosen, against equal shares."""
    _headed(part, "Patterns chosen", histogram_note(data), 36, palette)
    if data.histogram.empty:
        return
    first = data.histogram["pattern"].iloc[0]
    own = data.histogram[data.histogram["pattern"] == first]
    axes = part.add_axes((0.17, 0.2, 0.8, 0.5))
    axes.bar(range(len(own)), own["share"], width=0.85, color=palette.accent)
    axes.axhline(1 / len(own), color=palette.ink, linewidth=0.9, linestyle="--")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: theme.fmt_share(value)))
    axes.locator_params(axis="y", nbins=3)
    named = len(own) <= _MOST_NAMED
    axes.set_xticks(range(len(own)) if named else [], own["kept"] if named else [])
    axes.tick_params(length=0)
    axes.set_xlabel(f"{len(own)} patterns of {first}; dashed: equal shares", fontsize=_SMALL)


def draw_groups(part: Any, data: HypernetworkData, palette: theme.Palette) -> None:
    """What up to six pinned groups went through."""
    _headed(part, "Groups that were watched", pinned_note(data), 60, palette)
    for place, one in enumerate(data.pinned):
        row, column = divmod(place, 3)
        axes = part.add_axes((0.02 + 0.33 * column, 0.49 - 0.4 * row, 0.29, 0.22))
        _draw_ribbon(axes, one, palette)


def _draw_ribbon(axes: Axes, one: PinnedGroup, palette: theme.Palette) -> None:
    looks = np.arange(len(one.steps), dtype=float)
    if one.by_position:
        for ribbon, bit in zip(one.ribbons, one.final, strict=True):
            kept = bit == "1"
            axes.plot(
                looks, ribbon, color=palette.accent if kept else palette.line, linestyle="-" if kept else ":"
            )
    else:
        colors = [palette.accent, *(palette.neutral for _ in one.names[1:])]
        if len(looks) == 1:
            looks = np.array([0.0, 1.0])
        ribbons = one.ribbons if one.ribbons.shape[1] > 1 else np.repeat(one.ribbons, 2, axis=1)
        axes.stackplot(looks, ribbons, colors=colors, edgecolor=palette.background, linewidth=0.6)
    axes.set_ylim(0, 1)
    axes.set_xlim(looks[0], looks[-1] if len(looks) > 1 else 1)
    axes.set_title(one.name, fontsize=_SMALL, weight="normal", pad=2, color=palette.soft)
    axes.set_xticks([])
    axes.set_yticks([])
    final = "kept" if one.by_position else one.final
    axes.text(0, -0.08, final, transform=axes.transAxes, va="top", size=_SMALL, weight="bold")
    chance = theme.fmt_share(one.certainty)
    axes.text(
        1, -0.08, chance, transform=axes.transAxes, va="top", ha="right", size=_SMALL, color=palette.soft
    )


def draw_map(
    axes: Axes, data: HypernetworkData, one: EmbeddingMap, limit: float, palette: theme.Palette
) -> None:
    """Embeddings along two directions; layers joined by depth, the selected one with the way it came."""
    from hyperprune_lab.views.hypernetwork import selected_label

    now, selected = one.now, selected_label(data, one)
    state = ", collapsed" if one.collapsed else ""
    axes.set_title(f"{one.kind.capitalize()} embeddings{state}", fontsize=8.6)
    layers = one.kind == "layer"
    dark = palette is theme.PALETTES["dark"]
    shades = np.linspace(0.0, 0.7, len(now)) + 0.3 * dark
    colors = theme.magnitudes()(shades) if layers else palette.soft
    if layers:
        axes.plot(now["x"], now["y"], color=palette.line, linewidth=0.8, zorder=1)
    trail = one.path[one.path["label"] == selected]
    if len(trail) > 1:
        axes.plot(trail["x"], trail["y"], color=palette.accent, linewidth=1.2, linestyle=":", zorder=1)
    axes.scatter(now["x"], now["y"], c=colors, s=18, zorder=2, edgecolors=palette.line, linewidths=0.6)
    for label, (x, y), (dx, dy) in _placed(now, limit, selected):
        chosen = label == selected
        if chosen:
            axes.scatter([x], [y], s=70, facecolors="none", edgecolors=palette.ink, linewidths=1.6, zorder=3)
        axes.annotate(
            theme.shown_name(label, 14),
            (x, y),
            xytext=(dx * 72 / theme.DPI, dy * 72 / theme.DPI),
            textcoords="offset points",
            size=_SMALL,
            va="center",
            ha="left",
            weight="bold" if chosen else "normal",
            color=palette.ink if chosen else palette.soft,
        )
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xticks([0], [""])
    axes.set_yticks([0], [""])
    axes.grid(True)
    axes.tick_params(length=0)
    axes.set_xlabel(f"direction 1: {theme.fmt_share(one.explained[0])}", fontsize=_SMALL)
    axes.set_ylabel(f"direction 2: {theme.fmt_share(one.explained[1])}", fontsize=_SMALL)


_SIDE_PX, _LETTER_PX, _LINE_PX = 165.0, 6.8, 13.0


def _placed(
    now: pd.DataFrame, limit: float, selected: str | None
) -> list[tuple[str, tuple[float, float], tuple[float, float]]]:
    """Labels, their points, and where beside the point they stand, in pixels; those that fit nowhere are left out."""
    scale = _SIDE_PX / (2 * limit)
    boxes = [
        (x * scale - 4, x * scale + 4, y * scale - 4, y * scale + 4)
        for x, y in zip(now["x"], now["y"], strict=True)
    ]
    found = []
    for label, x, y in sorted(now.itertuples(index=False), key=lambda row: row.label != selected):
        width = _LETTER_PX * min(14, len(label))
        own = (x * scale - 4, x * scale + 4, y * scale - 4, y * scale + 4)
        options = [
            (7.0, 0.0),
            (-7 - width, 0.0),
            (-width / 2, 12.0),
            (-width / 2, -12.0),
            (0.0, 12.0),
            (-width, 12.0),
        ]
        for dx, dy in options:
            left, low = x * scale + dx, y * scale + dy - _LINE_PX / 2
            box = (left, left + width, low, low + _LINE_PX)
            inside = abs(left + width / 2) + width / 2 <= _SIDE_PX / 2
            free = not any(_overlap(box, other) for other in boxes if other != own)
            if (inside and free) or (label == selected and (dx, dy) == options[-1]):
                boxes.append(box)
                found.append((str(label), (float(x), float(y)), (dx, dy)))
                break
    return found


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
