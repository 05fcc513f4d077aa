"""The model map as a static picture: the same grid, colors and numbers as the live one.

Knows nothing about runs: it draws what ``model_map`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter

from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from hyperprune_lab.views.model_map import MapCell, ModelMapData

_ROW_PX = 26
_MARGIN_PX = 120


def draw_map(data: ModelMapData, theme_name: theme.Theme) -> Figure:
    """Blocks across, modules down, each block's worst on top, the color scale on the right."""
    palette = theme.PALETTES[theme_name]
    colors = theme.magnitudes() if data.measure.colors == "cividis" else theme.deviations(theme_name)
    height = _MARGIN_PX + _ROW_PX * (len(data.rows) + 1)
    with theme.drawing(theme_name, height) as figure:
        axes = figure.add_subplot()
        axes.set_title(f"Which layers lost most? ({data.run}, event {data.seq})")
        for cell in data.cells:
            _draw_cell(axes, data, cell, colors, palette)
        for block, worst in data.worst_of_blocks.items():
            if worst.value is not None:
                color = colors(data.measure.place(worst.value, data.domain))
                axes.add_patch(
                    Rectangle((block + 0.1, -0.85), 0.8, 0.6, facecolor=color, edgecolor=palette.grid)
                )
        if data.running_block is not None:
            box = (data.running_block, -1.0), 1, len(data.rows) + 1
            axes.add_patch(Rectangle(*box, fill=False, edgecolor=palette.accent, linewidth=2))
        for number, row in enumerate(data.rows[1:], 1):
            if row.group != data.rows[number - 1].group:
                axes.axhline(number, color=palette.ink, linewidth=0.8)
        _label(axes, data)
        norm = LogNorm(*data.domain) if data.measure.scale == "log" else Normalize(*data.domain)
        bar = figure.colorbar(
            ScalarMappable(norm, colors), ax=axes, extend="both", shrink=0.9, pad=0.01, aspect=30
        )
        bar.ax.yaxis.set_major_formatter(FuncFormatter(theme.fmt_tick))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.set_label(data.measure.label + (" (fitted)" if data.fitted else ""))
    return figure


def _draw_cell(
    axes: Axes, data: ModelMapData, cell: MapCell, colors: Colormap, palette: theme.Palette
) -> None:
    x, y = cell.block, cell.row
    box = (x + 0.04, y + 0.06), 0.92, 0.88
    if cell.status == "excluded":
        axes.add_patch(
            Rectangle(*box, facecolor=palette.panel, edgecolor=palette.line, hatch="xxx", linewidth=0)
        )
    elif cell.value is None:
        hatch = "////" if cell.status == "decided" else None
        axes.add_patch(Rectangle(*box, fill=False, edgecolor=palette.line, linewidth=0.7, hatch=hatch))
    else:
        fill = colors(data.measure.place(cell.value, data.domain))
        axes.add_patch(Rectangle(*box, facecolor=fill, edgecolor=palette.grid, linewidth=0.5))
        if cell.median is not None:
            half = [(x + 0.04, y + 0.94), (x + 0.96, y + 0.94), (x + 0.96, y + 0.06)]
            axes.add_patch(
                Polygon(half, facecolor=colors(data.measure.place(cell.median, data.domain)), linewidth=0)
            )
        if cell in data.worst or cell.clamped:
            ink = "#10141a" if _luminance(to_hex(fill)) > 0.18 else "#ffffff"
            arrow = {-1: "▾", 0: "", 1: "▴"}[cell.clamped]
            number = (
                data.measure.form(cell.value).removesuffix("×")
                if cell in data.worst and data.blocks <= 34
                else ""
            )
            axes.text(x + 0.5, y + 0.52, arrow + number, color=ink, ha="center", va="center", fontsize=7.9)
    if cell.status == "failed":
        axes.plot([x + 0.2, x + 0.8], [y + 0.2, y + 0.8], color=palette.error, linewidth=2)
        axes.plot([x + 0.2, x + 0.8], [y + 0.8, y + 0.2], color=palette.error, linewidth=2)
    if set(cell.modules) & set(data.scope):
        axes.add_patch(
            Polygon([(x + 0.66, y + 0.06), (x + 0.96, y + 0.06), (x + 0.96, y + 0.4)], color=palette.ink)
        )
    if set(cell.modules) & set(data.selection):
        axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=palette.ink, linewidth=2, zorder=3))


def _label(axes: Axes, data: ModelMapData) -> None:
    # One block is at most as wide as three rows are high, so that a small model does not turn into stripes.
    axes.set_xlim(0, data.blocks)
    axes.set_ylim(len(data.rows), -1)
    axes.set_yticks([-0.55, *(number + 0.5 for number in range(len(data.rows)))])
    axes.set_yticklabels(
        [f"{data.measure.extreme} of the block", *(_row_label(data, n) for n in range(len(data.rows)))]
    )
    every = next(step for step in (1, 2, 4, 5, 8, 10, 16, 20, 50, 100, 1000) if data.blocks / step <= 40)
    axes.set_xticks([block + 0.5 for block in range(0, data.blocks, every)])
    axes.set_xticklabels([str(block) for block in range(0, data.blocks, every)])
    axes.set_xlabel("block")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _row_label(data: ModelMapData, number: int) -> str:
    row = data.rows[number]
    name = theme.shown_name(row.name, 40)
    return f"{name} ({row.experts} experts)" if row.experts else name


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
