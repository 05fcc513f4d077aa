"""The model map as a static picture: the same grid, colors and numbers as the live one.

Knows nothing about runs: it draws what ``model_map`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter

from hyperprune_lab.views import theme
from hyperprune_lab.views.inks import ink_on

if TYPE_CHECKING:
    from hyperprune_lab.views.model_map import MapCell, MapRow, ModelMapData

_ROW_PX = 26
_ABOVE_PX = 34
_BELOW_PX = 66
_SCALE_PX = 100
_LETTER_PX = 6.8
_WIDEST_CELL_PX = 72
_NUMBER_NEEDS_PX = 36
"""A narrower cell shows its rank; the numbers stand below the grid."""


def draw_map(data: ModelMapData, theme_name: theme.Theme) -> Figure:
    """Blocks across, modules down, each block's worst on top, the color scale on the right."""
    grid = _ROW_PX * (max(1, len(data.rows)) + 1)
    height = _ABOVE_PX + grid + _BELOW_PX
    labels = [f"{data.measure.extreme} of the block", *(_row_label(row) for row in data.rows)]
    left = 24 + _LETTER_PX * max(map(len, labels))
    blocks = max(1, data.blocks)
    cell = min(_WIDEST_CELL_PX, (theme.WIDTH_PX - left - _SCALE_PX) / blocks)
    with theme.drawing(theme_name, height) as figure:
        # Placed by hand: cells keep their size, whatever the names beside them.
        figure.set_layout_engine("none")
        box = (left / theme.WIDTH_PX, _BELOW_PX / height, cell * blocks / theme.WIDTH_PX, grid / height)
        axes = figure.add_axes(box)
        painter = _Painter(axes, data, theme_name, cell)
        for one in data.cells:
            painter.cell(one)
        painter.strip()
        painter.groups()
        painter.labels(labels)
        bar = (box[0] + box[2] + 16 / theme.WIDTH_PX, box[1], 12 / theme.WIDTH_PX, box[3])
        painter.scale(figure, figure.add_axes(bar))
        named = [_named(data, worst) for worst in data.worst]
        if named:
            words = f"{data.measure.extreme}: {' · '.join(named)}"
            figure.text(12 / theme.WIDTH_PX, 12 / height, words, va="bottom")
    return figure


class _Painter:
    """Draws the parts of one map on one pair of axes, in units of cells."""

    def __init__(self, axes: Axes, data: ModelMapData, theme_name: theme.Theme, cell_px: float) -> None:
        self.axes, self.data, self.cell_px = axes, data, cell_px
        self.palette = theme.PALETTES[theme_name]
        fixed = data.measure.colors == "cividis"
        self.colors = theme.magnitudes() if fixed else theme.deviations(theme_name)
        self.worst = {cell.module for cell in data.worst}

    def color(self, value: float) -> str:
        return to_hex(self.colors(self.data.measure.place(value, self.data.domain)))

    def cell(self, cell: MapCell) -> None:
        x, y, palette = cell.block, cell.row, self.palette
        if cell.status == "excluded":
            self._box(x, y, facecolor=palette.panel, edgecolor=palette.line, hatch="xxx", linewidth=0)
        elif cell.value is None:
            hatch = "////" if cell.status == "decided" else None
            self._box(x, y, fill=False, edgecolor=palette.line, linewidth=0.7, hatch=hatch)
        else:
            self._valued(cell, cell.value)
        if cell.status == "failed":
            for ends in ((0.2, 0.8), (0.8, 0.2)):
                heights = [y + end for end in ends]
                self.axes.plot([x + 0.2, x + 0.8], heights, color=palette.error, linewidth=2)
        if any(module in self.data.scope for module in cell.modules):
            reach = min(0.5, 9 / self.cell_px)
            corner = [(x + 0.96 - reach, y + 0.06), (x + 0.96, y + 0.06), (x + 0.96, y + 0.42)]
            self.axes.add_patch(Polygon(corner, color=palette.ink))
        if any(module in self.data.selection for module in cell.modules):
            ring = Rectangle((x, y), 1, 1, fill=False, edgecolor=palette.ink, linewidth=2, zorder=3)
            self.axes.add_patch(ring)

    def _valued(self, cell: MapCell, value: float) -> None:
        x, y, fill = cell.block, cell.row, self.color(value)
        self._box(x, y, facecolor=fill, edgecolor=self.palette.grid, linewidth=0.5)
        if cell.median is not None:
            half = [(x + 0.04, y + 0.94), (x + 0.96, y + 0.94), (x + 0.96, y + 0.06)]
            self.axes.add_patch(Polygon(half, facecolor=self.color(cell.median), linewidth=0))
        mark = {-1: "▾", 0: "", 1: "▴"}[cell.clamped]
        if cell.module in self.worst and not (cell.members and self.data.rows[cell.row].expanded):
            wide = self.cell_px >= _NUMBER_NEEDS_PX
            mark = mark + self.data.measure.form(value).removesuffix("×") if wide else str(cell.rank)
        if mark:
            ink = ink_on(fill)
            small = theme.SMALLEST_FONT_PX * 72 / theme.DPI
            self.axes.text(x + 0.5, y + 0.52, mark, color=ink, ha="center", va="center", fontsize=small)

    def strip(self) -> None:
        """Each block's worst, and the block that is being worked on."""
        for block, worst in self.data.worst_of_blocks.items():
            if worst.value is not None:
                box, fill = ((block + 0.04, -0.85), 0.92, 0.6), self.color(worst.value)
                edge = self.palette.grid
                self.axes.add_patch(Rectangle(*box, facecolor=fill, edgecolor=edge, linewidth=0.5))
        if self.data.running_block is not None:
            corner, height = (self.data.running_block, -1.0), len(self.data.rows) + 1
            frame = Rectangle(corner, 1, height, fill=False, edgecolor=self.palette.accent, linewidth=2)
            self.axes.add_patch(frame)

    def groups(self) -> None:
        """A line where one group of rows ends."""
        rows = self.data.rows
        for number, row in enumerate(rows[1:], 1):
            if row.group != rows[number - 1].group:
                self.axes.plot([0, self.data.blocks], [number, number], color=self.palette.ink, linewidth=0.8)

    def labels(self, rows: list[str]) -> None:
        axes, data = self.axes, self.data
        axes.set_title(f"Which layers lost most? ({theme.shown_name(data.run, 40)}, event {data.seq})")
        axes.set_xlim(0, max(1, data.blocks))
        axes.set_ylim(max(1, len(data.rows)), -1)
        axes.set_yticks([-0.55, *(number + 0.5 for number in range(len(data.rows)))])
        axes.set_yticklabels(rows)
        every = next((step for step in (1, 2, 4, 5, 8, 10, 16, 20, 50) if self.cell_px * step >= 20), 100)
        axes.set_xticks([block + 0.5 for block in range(0, data.blocks, every)])
        axes.set_xticklabels([str(block) for block in range(0, data.blocks, every)])
        axes.set_xlabel("block")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)

    def scale(self, figure: Figure, axes: Axes) -> None:
        data = self.data
        norm = LogNorm(*data.domain) if data.measure.scale == "log" else Normalize(*data.domain)
        mappable = ScalarMappable(norm, self.colors)
        bar = figure.colorbar(mappable, cax=axes, extend="both")
        if data.measure.colors == "deviation":
            bar.set_ticks([data.domain[0], 1.0, data.domain[1]])
        bar.ax.yaxis.set_major_formatter(FuncFormatter(theme.fmt_tick))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.set_label(data.measure.label + (" (fitted)" if data.fitted else ""))

    def _box(self, x: float, y: float, **look: object) -> None:
        self.axes.add_patch(Rectangle((x + 0.04, y + 0.06), 0.92, 0.88, **look))  # type: ignore[arg-type]


def _row_label(row: MapRow) -> str:
    name = theme.shown_name(row.name, 36)
    return f"{name} ×{row.experts}" if row.experts else name


def _named(data: ModelMapData, cell: MapCell) -> str:
    row = theme.shown_name(data.rows[cell.row].name, 28)
    return f"{cell.rank}. block {cell.block} {row} {data.measure.form(cell.value)}"
