"""The mask explorer as a static picture: the mask with its rulers, the focused group and its neighbors, the card.

Knows nothing about runs: it draws what ``mask_explorer`` gathered.
"""

from __future__ import annotations

import math
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, LogNorm, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from hyperprune_lab.views import mask_group, theme
from hyperprune_lab.views.inks import ink_on
from hyperprune_lab.views.mask_source import SHIFT_REACH, MaskSource

if TYPE_CHECKING:
    from hyperprune_lab.views.mask_explorer import MaskExplorerData, Window

HEIGHT_PX = 600
_MOST_PIXELS = 1200
_MASK_FROM_PIXELS = 3
_NEAR_ROWS = 9
_NEAR_COLUMNS = 12
_PATTERNS = 6
_LETTERS = 52
"""In a line of the card; ``_LINE`` is its height as a share of the card's."""
_LINE = 0.075


def draw_mask(data: MaskExplorerData, theme_name: theme.Theme) -> Figure:
    """The mask (or the window into it) with its rulers on the left; the group and why it was chosen on the right."""
    palette = theme.PALETTES[theme_name]
    source = data.source
    if source is None or data.card is None:
        with theme.drawing(theme_name, 160) as figure:
            axes = figure.add_subplot()
            axes.set_title("What was kept, and why?")
            axes.axis("off")
            axes.text(0, 0.6, "\n".join(textwrap.wrap(data.reason, 110)), color=palette.soft, va="top")
        return figure
    with theme.drawing(theme_name, HEIGHT_PX) as figure:
        # Axes stand where they are put: rulers must meet the matrix, and text that is no axis must not move them.
        figure.set_layout_engine("none")

        def place(left: int, top: int, width: int, height: int) -> Axes:
            across, down = theme.WIDTH_PX, HEIGHT_PX
            return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))

        figure.text(0.01, 0.985, _title(data), va="top", fontsize=10, fontweight="bold", color=palette.ink)
        rows, columns = source.mask.shape
        window = data.window or (0, 0, rows, columns)
        bar = place(90, 552, 500, 10)
        _draw_matrix(place(90, 118, 530, 400), bar, data, source, window, theme_name)
        _draw_columns(place(90, 62, 530, 52), data, source, window, theme_name)
        _draw_rows(place(50, 118, 36, 400), source, window, palette)
        _draw_near(place(690, 62, 240, 180), place(944, 62, 10, 180), data, source, theme_name)
        _draw_card(place(650, 280, 350, 300), data, palette)
    return figure


def _title(data: MaskExplorerData) -> str:
    side = {"ours": "", "theirs": f", {data.label}'s mask", "difference": f", against {data.label}"}[
        data.side
    ]
    module = theme.shown_name(data.module or "", 60)
    return f"What was kept, and why? {module}{side} ({data.run}, event {data.seq})"


def _draw_matrix(
    axes: Axes, bar_axes: Axes, data: MaskExplorerData, source: MaskSource, window: Window, name: theme.Theme
) -> None:
    top, left, bottom, right = window
    extent = (left, right, bottom, top)
    if _MOST_PIXELS / 2 / (right - left) >= _MASK_FROM_PIXELS:
        codes = source.codes(slice(top, bottom), slice(left, right))
        colors = ListedColormap(code_colors(data, name))
        axes.imshow(codes, colors, vmin=0, vmax=3, extent=extent, aspect="auto", interpolation="nearest")
        bar_axes.axis("off")
        bar_axes.text(0, 0, _code_words(data), va="top", fontsize=8, color=theme.PALETTES[name].soft)
    else:
        values, colormap, norm, label = _overview(data, source, window, name)
        axes.imshow(values, colormap, norm=norm, extent=extent, aspect="auto", interpolation="nearest")
        bar = Colorbar(bar_axes, ScalarMappable(norm, colormap), orientation="horizontal")
        bar.set_label(label)
        bar.ax.xaxis.set_major_formatter(FuncFormatter(theme.fmt_tick))
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(length=0, labelleft=False)
    card = data.card
    if card is not None and top <= card.why.row < bottom:
        first, last = card.why.columns
        middle = (first + last) / 2, card.why.row + 0.5
        for color, width in ((theme.PALETTES[name].background, 3.5), (theme.PALETTES[name].ink, 1.6)):
            axes.plot(
                *middle,
                "s",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=color,
                markeredgewidth=width,
            )


def _code_words(data: MaskExplorerData) -> str:
    if data.side == "difference":
        return f"orange: only this run · blue: only {data.label} · grey: both · empty: neither"
    return "solid: kept · empty: pruned"


def code_colors(data: MaskExplorerData, name: theme.Theme) -> list[Any]:
    """Colors of codes 0 to 3: kept by neither, by this run, by the other, by both."""
    palette, signed = theme.PALETTES[name], theme.deviations(name)
    empty, kept = palette.background, palette.soft
    if data.side == "difference":
        return [empty, signed(1.0), signed(0.0), palette.line]
    return [empty, kept, empty, kept] if data.side == "ours" else [empty, empty, kept, kept]


def _overview(
    data: MaskExplorerData, source: MaskSource, window: Window, name: theme.Theme
) -> tuple[np.ndarray, Any, Normalize, str]:
    top, left, bottom, right = window
    level = min(max(0, math.ceil(math.log2((right - left) / _MOST_PIXELS))), source.tiles.levels - 1)
    down, across = source.tiles.grid(level)
    tiles = [[source.tile(data.measure, data.side, level, y, x) for x in range(across)] for y in range(down)]
    whole = np.block([[tile.values for tile in line if tile is not None] for line in tiles])
    values = whole[top >> level : -(-bottom >> level), left >> level : -(-right >> level)]
    shown = data.shown
    behind = f"over {source.overview.rows_behind(level)} rows"
    if shown in ("deviation", "shifted"):
        reach = source.reach if shown == "deviation" else SHIFT_REACH
        less = theme.fmt_share(source.mask.pattern.density) if shown == "deviation" else f"{data.label}'s"
        columns = f", the furthest of {1 << level} inputs" if level else ""
        label = f"keep-rate of inputs less {less}, {behind}{columns}"
        return values, theme.deviations(name), Normalize(-reach, reach), label
    labels = {
        "changed": "share of kept weights that differ",
        "kept score": "share of (|w|·RMS)² that is kept",
        "diversity": "how diverse patterns are (0 alike, 1 mixed)",
    }
    return values, theme.magnitudes(), Normalize(0, 1), labels[shown]


def _draw_columns(
    axes: Axes, data: MaskExplorerData, source: MaskSource, window: Window, name: theme.Theme
) -> None:
    _, left, _, right = window
    palette, signed = theme.PALETTES[name], theme.deviations(name)
    rate = source.keep_rate if data.side != "theirs" else source.their_keep_rate
    assert rate is not None
    density = source.mask.pattern.density
    edges = np.unique(np.linspace(left, right, min(right - left, _MOST_PIXELS // 2) + 1).astype(int))
    parts = [rate[a:b] for a, b in pairwise(edges)]
    high, low = np.array([part.max() for part in parts]), np.array([part.min() for part in parts])
    axes.stairs(np.maximum(high, density), edges, baseline=density, fill=True, color=signed(1.0), linewidth=0)
    axes.stairs(np.minimum(low, density), edges, baseline=density, fill=True, color=signed(0.0), linewidth=0)
    axes.axhline(density, color=palette.line, linewidth=0.8)
    loud = [column for column in source.outliers if left <= column < right]
    axes.plot(np.array(loud) + 0.5, np.ones(len(loud)), "v", color=palette.ink, markersize=4, clip_on=False)
    axes.set_xlim(left, right)
    axes.set_ylim(0, 1)
    axes.set_yticks([density, 1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: theme.fmt_share(value)))
    axes.tick_params(length=0, labelbottom=False)
    outliers = "  ▾ outlier inputs" if loud else ""
    axes.set_title(f"keep-rate of inputs{outliers}", fontsize=8, fontweight="normal", color=palette.soft)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_rows(axes: Axes, source: MaskSource, window: Window, palette: theme.Palette) -> None:
    top, _, bottom, _ = window
    errors = None if source.row_errors is None else np.nan_to_num(source.row_errors)
    if errors is not None:
        edges = np.unique(np.linspace(top, bottom, min(bottom - top, 400) + 1).astype(int))
        worst = np.array([errors[a:b].max() for a, b in pairwise(edges)])
        lowest = theme.ERROR_DOMAIN[0]
        shown = np.clip(np.nan_to_num(worst, nan=lowest), *theme.ERROR_DOMAIN)
        axes.stairs(shown, edges, baseline=lowest, orientation="horizontal", fill=True, color=palette.line)
        axes.set_xscale("log")
    axes.set_xlim(theme.ERROR_DOMAIN[1], theme.ERROR_DOMAIN[0])
    axes.xaxis.set_major_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("row\nerror" if errors is not None else "")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_near(
    axes: Axes, bar_axes: Axes, data: MaskExplorerData, source: MaskSource, name: theme.Theme
) -> None:
    """The focused group and its neighbors: kept is solid, pruned an empty cell with a dot."""
    palette = theme.PALETTES[name]
    assert data.card is not None
    why, (rows, columns) = data.card.why, source.mask.shape
    width = source.mask.pattern.group
    span = min(columns, max(1, _NEAR_COLUMNS // width) * width)
    left = min(max(0, why.columns[0] - (span - width) // 2 // width * width), columns - span)
    top = min(max(0, why.row - _NEAR_ROWS // 2), max(0, rows - _NEAR_ROWS))
    bottom, right = min(rows, top + _NEAR_ROWS), left + span
    codes = source.codes(slice(top, bottom), slice(left, right))
    colors = code_colors(data, name)
    scores = weights = None
    norm = None
    if source.has_weights and source.score_domain is not None:
        seen = source.window(slice(top, bottom), slice(left, right))
        scores, weights, norm = seen.scores, seen.weights, LogNorm(*source.score_domain, clip=True)
    bit = {"ours": 1, "theirs": 2, "difference": 3}[data.side]
    for row, column in np.ndindex(*codes.shape):
        code = int(codes[row, column]) & bit
        x, y = left + column, top + row
        color = colors[code]
        if norm is not None and scores is not None and not (data.side == "difference" and code in (1, 2)):
            color = theme.magnitudes()(norm(max(float(scores[row, column]), norm.vmin or 0.0)))
        if not code:
            axes.add_patch(
                Circle((x + 0.5, y + 0.5), 0.16, color=color if norm is not None else palette.soft)
            )
        elif data.side == "difference" and code < 3:
            tip, base = (y + 0.12, y + 0.88) if code == 1 else (y + 0.88, y + 0.12)
            axes.add_patch(
                Polygon([(x + 0.1, base), (x + 0.9, base), (x + 0.5, tip)], color=color, linewidth=0)
            )
        else:
            axes.add_patch(Rectangle((x + 0.05, y + 0.05), 0.9, 0.9, color=color, linewidth=0))
        if weights is not None:
            ink = theme.PALETTES[name].soft if not code or code != bit else ink_on(to_hex(color))
            axes.text(
                x + 0.12,
                y + 0.32,
                "−" if weights[row, column] < 0 else "+",
                color=ink,
                fontsize=7.9,
                va="center",
            )
    for edge in range(left, right + 1, width):
        axes.axvline(edge, color=palette.line, linewidth=1)
    axes.add_patch(
        Rectangle(
            (why.columns[0], why.row), width, 1, fill=False, edgecolor=palette.ink, linewidth=2, zorder=3
        )
    )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xticks([edge + 0.5 for edge in range(left, right, max(width, span // 4 // width * width))])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: str(int(value))))
    axes.set_yticks([why.row + 0.5], [f"row {why.row}"])
    axes.tick_params(length=0)
    axes.set_title("the group and its neighbors", fontsize=8, fontweight="normal", color=palette.soft)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if norm is not None:
        bar = Colorbar(bar_axes, ScalarMappable(norm, theme.magnitudes()))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(theme.fmt_tick))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.set_label("|w| · activation RMS")
    else:
        bar_axes.axis("off")


def _draw_card(axes: Axes, data: MaskExplorerData, palette: theme.Palette) -> None:
    """Title, sentence and patterns as text."""
    assert data.card is not None
    axes.axis("off")

    def write(
        x: float, y: float, words: str, color: str = palette.ink, align: str = "left", weight: str = "normal"
    ) -> None:
        style: dict[str, Any] = {
            "color": color,
            "ha": align,
            "va": "top",
            "fontweight": weight,
            "linespacing": 1.3,
        }
        axes.text(x, y, words, transform=axes.transAxes, **style)

    card = mask_group.payload(data.card)
    patterns = card["tables"][1]
    sentence = textwrap.wrap(card["sentence"], _LETTERS)
    write(0, 1.0, card["title"], weight="bold")
    write(0, 1.0 - _LINE, "\n".join(sentence))
    y = 1.0 - _LINE * (len(sentence) + 1.7)
    # Columns of numbers end where they are told; the last one holds words.
    ends = np.linspace(0.13, 0.5, len(patterns[0]) - 1)
    for number, cells in enumerate(patterns[: _PATTERNS + 1]):
        color = palette.soft if number == 0 else palette.ink
        weight = "bold" if cells[-1].startswith("kept") else "normal"
        for place, cell in enumerate(cells[:-1]):
            write(ends[place], y, cell, color, "right", weight)
        write(0.54, y, textwrap.shorten(cells[-1], 28, placeholder="…"), color)
        y -= _LINE
    if data.weights_reason:
        write(0, y, "Masks only: the dense weights are not here.", palette.warning)
