"""Reconstruction as a static picture: the same panels, bars and numbers as the live view.

Knows nothing about runs: it draws what ``reconstruction`` gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from textwrap import fill
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hyperprune_lab.views import theme
from hyperprune_lab.views.reconstruction_words import (
    FORMULA,
    NO_SUM,
    OURS,
    about_pairs,
    about_parts,
    about_shares,
    headline,
    short_place,
    sum_of,
)

if TYPE_CHECKING:
    from hyperprune_lab.views.reconstruction import Panel, ReconstructionData

_COLUMNS = 4
_PANEL_PX = 132
_TOP_PX = 92
_DETAILS_PX = 282
_NO_DETAILS_PX = 60
_SMALL = 7.9


def draw_reconstruction(data: ReconstructionData, theme_name: theme.Theme) -> Figure:
    """Panels over depth above; below, the selection's parts, rows and channels, and the held-out pairs."""
    count = len(data.panels) + bool(data.compensated)
    rows = max(1, ceil(count / _COLUMNS))
    height = _TOP_PX + rows * _PANEL_PX + (_DETAILS_PX if data.decided else _NO_DETAILS_PX)
    with theme.drawing(theme_name, height) as figure:
        figure.set_layout_engine("none")
        canvas = _Canvas(figure, data, theme_name, height)
        canvas.write(
            12, 10, f"Where does the error come from? ({data.run}, event {data.seq})", 10.5, bold=True
        )
        canvas.write(12, 32, headline(data), 9.4, bold=True)
        for number, panel in enumerate(data.panels):
            canvas.panel(number, panel)
        if data.compensated:
            canvas.compensated(len(data.panels))
        canvas.legend()
        canvas.details(_TOP_PX + rows * _PANEL_PX)
    return figure


class _Canvas:
    """A figure measured in pixels from its upper left corner."""

    def __init__(
        self, figure: Figure, data: ReconstructionData, theme_name: theme.Theme, height_px: int
    ) -> None:
        self.figure, self.data, self.theme_name, self.height = figure, data, theme_name, height_px
        self.palette = theme.PALETTES[theme_name]
        self.ours = self.color(data.method)

    def color(self, method: str) -> str:
        return str(getattr(theme.method_style(method), self.theme_name))

    def write(self, left: float, top: float, text: str, size: float = _SMALL, *, bold: bool = False) -> None:
        weight = "bold" if bold else "normal"
        color = self.palette.ink if bold else self.palette.soft
        place = left / theme.WIDTH_PX, 1 - top / self.height
        self.figure.text(
            *place, text, va="top", fontsize=size, fontweight=weight, color=color, linespacing=1.35
        )

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        box = (left / theme.WIDTH_PX, bottom / self.height, width / theme.WIDTH_PX, height / self.height)
        return self.figure.add_axes(box)

    # -- over depth

    def _over_depth(self, number: int, title: str, beside: str) -> Axes:
        row, column = divmod(number, _COLUMNS)
        axes = self.axes(52 + 240 * column, _TOP_PX + row * _PANEL_PX, 214, _PANEL_PX - 44)
        axes.set_yscale("log")
        axes.set_ylim(*self.data.domain)
        axes.set_xlim(-0.3, max(1, self.data.blocks - 1) + 0.3)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        _decades(axes.yaxis)
        axes.tick_params(length=0, which="both", labelleft=column == 0)
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        axes.text(0, 1.1, title, transform=axes.transAxes, fontsize=8.6, fontweight="bold")
        axes.text(
            1, 1.1, beside, transform=axes.transAxes, fontsize=_SMALL, ha="right", color=self.palette.soft
        )
        return axes

    def _line(self, axes: Axes, series: Sequence[tuple[int, float]], color: str, **style: Any) -> None:
        low, high = self.data.domain
        blocks = [block for block, _ in series]
        axes.plot(blocks, [min(max(value, low), high) for _, value in series], color=color, **style)
        for marker, out in (
            ("^", [b for b, v in series if v > high]),
            ("v", [b for b, v in series if v < low]),
        ):
            edge = high if marker == "^" else low
            axes.plot(out, [edge] * len(out), marker, color=color, markersize=5, clip_on=False)

    def panel(self, number: int, panel: Panel) -> None:
        """One kind of linear: this run thick, the other masks thin."""
        worst = panel.worst
        name = theme.shown_name(panel.name, 26 if worst is None else 18)
        title = f"{name} ×{panel.experts}" if panel.experts > 1 else name
        beside = theme.NOT_YET if worst is None else f"worst {theme.fmt_error(worst.worst)} at {worst.block}"
        axes = self._over_depth(number, title, beside)
        for method in self.data.references:
            style = theme.method_style(method)
            curve = [(point.block, point.value) for point in panel.curves.get(method, ())]
            dashes = {"dashes": style.dash} if style.dash else {}
            self._line(axes, curve, self.color(method), linewidth=1.0, label=style.label, **dashes)
        for point in panel.ours if panel.experts > 1 else ():
            axes.vlines(point.block, point.value, point.worst, color=self.ours, linewidth=0.9)
        self._line(
            axes,
            [(point.block, point.value) for point in panel.ours],
            self.ours,
            linewidth=2.2,
            marker="o",
            markersize=4,
            markerfacecolor=self.palette.background if self.data.provisional else self.ours,
            label=f"this run ({theme.method_style(self.data.method).label})"
            + (", provisional" if self.data.provisional else ""),
        )
        for point in panel.ours:
            if (number, point.block) in {self.data.places.get(name) for name in self.data.selection}:
                axes.plot(point.block, point.value, "o", mfc="none", mec=self.palette.ink, mew=1.5, ms=10)

    def compensated(self, number: int) -> None:
        """Whole block outputs after the last compensation: another quantity."""
        axes = self._over_depth(number, "whole block, compensated", "")
        one = self.data.compensated[-1]
        stage = theme.shown_name(one.stage, 40)
        series = ((one.least_squares, "least squares", 1.0, (2, 3)), (one.refit, "refit", 1.8, (5, 3)))
        for values, word, width, dashes in series:
            self._line(axes, values, self.ours, linewidth=width, dashes=dashes, label=f"{stage}: {word}")

    def legend(self) -> None:
        """Every line once, by name."""
        named: dict[str, Any] = {}
        for axes in self.figure.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                named.setdefault(label, handle)
        if named:
            self.figure.legend(
                named.values(),
                named.keys(),
                loc="upper left",
                bbox_to_anchor=(8 / theme.WIDTH_PX, 1 - 48 / self.height),
                ncols=6,
                borderpad=0,
                columnspacing=1.4,
            )

    # -- the selection

    def details(self, top: float) -> None:
        """Parts, worst rows, channels, pairs: four columns."""
        data = self.data
        said = [FORMULA, NO_SUM]
        if data.compensated:
            said.append(
                "a compensated block's error is another quantity: its whole output's, earlier errors included"
            )
        self.write(12, self.height - 10 - 15 * len(said), "\n".join(said))
        if not data.decided:
            return
        if data.focus is not None:
            error = data.focus_errors.get(OURS)
            told = "" if error is None else f"   error {theme.fmt_error(error)}"
            self.write(12, top, theme.shown_name(data.focus, 90) + told, 8.6, bold=True)
        at = top + 22
        self._parts(12, at)
        rows = [(f"row {row.row}", row.share, theme.fmt_share(row.share)) for row in data.rows]
        self._bars(262, at, 140, "Worst output rows: share of error", rows, "")
        shares = data.shares.channels if data.shares else ()
        channels = [
            (f"in {c}", share, f"{'+' if share > 0 else ''}{theme.fmt_share(share)}") for c, share in shares
        ]
        about = about_shares(data.shares).replace("; ", "\n") if data.shares else ""
        self._bars(502, at, 140, "Input channels: signed share", channels, about)
        self._pairs(742, at)

    def _parts(self, left: float, top: float) -> None:
        self.write(left, top, "Inside the pruned model", 8.6, bold=True)
        if not self.data.parts:
            self.write(left, top + 20, fill(about_parts(self.data), 34))
            return
        parts = self.data.parts[0]
        axes = self.axes(left + 54, top + 22, 130, 82)
        names = ("local", "inherited", "total")
        values = [getattr(parts, name) for name in names]
        low, high = self.data.parts_domain
        bars = axes.barh(names, [min(value, high) for value in values], height=0.62)
        looks = ((self.ours, None), (self.palette.background, "////"), (self.palette.neutral, None))
        for bar, (color, hatch) in zip(bars, looks, strict=True):
            bar.set(facecolor=color, hatch=hatch, edgecolor=self.palette.ink, linewidth=0.6)
        for row, value in enumerate(values):
            word = ("▸ " if value > high else " ") + theme.fmt_number(value)
            axes.text(min(value, high), row, word, va="center", fontsize=_SMALL)
        axes.set_xlim(low, high)
        axes.invert_yaxis()
        axes.tick_params(length=0, axis="y", labelcolor=self.palette.ink)
        axes.xaxis.set_major_formatter(FuncFormatter(theme.fmt_tick))
        inherited, _, rest = sum_of(parts).partition(" local ")
        self.write(left, top + 130, f"{inherited} local\n{rest}")
        more = len(self.data.parts) - 1 + self.data.unseen
        if more:
            self.write(left, top + 168, f"and {more} more selected: see the text")

    def _bars(
        self,
        left: float,
        top: float,
        width: float,
        title: str,
        entries: Sequence[tuple[str, float, str]],
        about: str,
    ) -> None:
        self.write(left, top, title, 8.6, bold=True)
        if not entries:
            self.write(left, top + 20, theme.NOT_YET if self.data.focus else theme.NONE)
            return
        axes = self.axes(left + 50, top + 20, width, 17 * len(entries))
        values = [value for _, value, _ in entries]
        negative = "#00000000"
        axes.barh(
            range(len(entries)),
            values,
            height=0.66,
            color=[self.ours if value > 0 else negative for value in values],
            edgecolor=[self.ours if value > 0 else self.palette.accent for value in values],
            linewidth=1.2,
        )
        reach = max(abs(value) for value in values) or 1.0
        axes.set_xlim(-1.15 * reach if min(values) < 0 else 0.0, 1.3 * reach)
        for row, (_, value, word) in enumerate(entries):
            axes.text(max(value, 0.0), row, f" {word}", va="center", fontsize=_SMALL, color=self.palette.soft)
        axes.set_yticks(range(len(entries)), [name for name, _, _ in entries])
        axes.invert_yaxis()
        axes.axvline(0, color=self.palette.line, linewidth=0.8)
        axes.tick_params(length=0, labelbottom=False, axis="both", labelcolor=self.palette.ink)
        for spine in axes.spines.values():
            spine.set_visible(False)
        self.write(left, top + 26 + 17 * len(entries), about)

    def _pairs(self, left: float, top: float) -> None:
        data = self.data
        self.write(left, top, "Calibration ● and held-out ○", 8.6, bold=True)
        if not data.pairs:
            self.write(left, top + 20, about_pairs(data))
            return
        axes = self.axes(left + 84, top + 20, 118, 17 * len(data.pairs))
        axes.set_xscale("log")
        axes.set_xlim(*data.domain)
        axes.set_ylim(len(data.pairs) - 0.5, -0.5)
        low, high = data.domain
        for row, pair in enumerate(data.pairs):
            ends = [min(max(value, low), high) for value in (pair.calibration, pair.held_out)]
            axes.plot(ends, [row, row], color=self.ours, linewidth=1.4)
            axes.plot(ends[:1], [row], "o", color=self.ours, markersize=5)
            axes.plot(ends[1:], [row], "o", mfc=self.palette.background, mec=self.ours, markersize=5)
            axes.text(
                1.06,
                row,
                theme.fmt_ratio(pair.ratio),
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=_SMALL,
            )
        labels = [short_place(pair.module, pair.block) for pair in data.pairs]
        axes.set_yticks(range(len(labels)), labels)
        _decades(axes.xaxis)
        axes.tick_params(length=0, which="both")
        axes.tick_params(axis="y", labelcolor=self.palette.ink)
        axes.grid(axis="x")
        for spine in axes.spines.values():
            spine.set_visible(False)
        self.write(left, top + 44 + 17 * len(data.pairs), about_pairs(data).replace(": ", ":\n"))


def _decades(axis: Axis) -> None:
    axis.set_major_locator(LogLocator(numticks=20))
    axis.set_major_formatter(FuncFormatter(theme.fmt_tick))
    axis.set_minor_formatter(NullFormatter())
