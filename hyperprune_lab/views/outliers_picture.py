"""Outlier channels as a static picture: the same scatter, list and numbers as the live view.

Knows nothing about runs: it draws what ``outliers`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from hyperprune_lab.analysis.channel_digest import GRID, RATIOS
from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from hyperprune_lab.views.outliers import Channel, OutliersData

_HEIGHT_PX = 510


def draw_outliers(data: OutliersData, theme_name: theme.Theme) -> Figure:
    """Loudness against keep-rate on the left, the loudest channels with the other masks on the right."""
    from hyperprune_lab.views.outliers import headline, price, reading

    palette = theme.PALETTES[theme_name]
    with theme.drawing(theme_name, _HEIGHT_PX) as figure:
        figure.set_layout_engine("none")
        heading = f"Did the loud channels survive? ({data.run}, event {data.seq})"
        _write(figure, 10, heading, fontsize=10.5, fontweight="bold")
        _write(figure, 31, headline(data, data.step), fontsize=9.4, fontweight="bold")
        _write(figure, 52, price(data, data.step), fontsize=8.6, color=palette.soft)
        _write(
            figure, 70, "; ".join(filter(None, (data.scope, reading(data)))), fontsize=8.6, color=palette.soft
        )
        _draw_scatter(_placed(figure, 84, 118, 446, 330), data, theme_name)
        loudest = _placed(figure, 682, 140, 220, 308)
        _draw_loudest(loudest, data, theme_name)
        place = (540 / theme.WIDTH_PX, 6 / _HEIGHT_PX)
        figure.legend(
            *loudest.get_legend_handles_labels(),
            loc="lower left",
            bbox_to_anchor=place,
            ncols=4,
            columnspacing=1.0,
            handletextpad=0.1,
            borderpad=0,
        )
        note = "size: energy kept of its weights; solid: outliers; shading: how many quieter channels"
        _write(figure, _HEIGHT_PX - 18, note, fontsize=7.9, color=palette.soft)
    return figure


def _write(figure: Figure, top_px: float, text: str, **style: Any) -> None:
    figure.text(12 / theme.WIDTH_PX, 1 - top_px / _HEIGHT_PX, text, va="top", **style)


def _placed(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at this place, in pixels from the upper left corner."""
    bottom = _HEIGHT_PX - top - height
    box = (left / theme.WIDTH_PX, bottom / _HEIGHT_PX, width / theme.WIDTH_PX, height / _HEIGHT_PX)
    return figure.add_axes(box)


def _draw_scatter(axes: Axes, data: OutliersData, theme_name: theme.Theme) -> None:
    palette = theme.PALETTES[theme_name]
    color = getattr(theme.method_style(data.method), theme_name)
    axes.set_xscale("log")
    axes.set_xlim(*data.domain)
    axes.set_ylim(0, 1)
    if data.crowd.any():
        shades = LinearSegmentedColormap.from_list(
            "crowd", [to_rgba(palette.soft, 0.1), to_rgba(palette.soft, 0.65)]
        )
        counts = np.ma.masked_equal(np.log1p(data.crowd.T.astype(float)), 0.0)
        edges = np.geomspace(*RATIOS, GRID[0] + 1), np.linspace(0, 1, GRID[1] + 1)
        axes.pcolormesh(*edges, counts, cmap=shades, vmin=0, linewidth=0, zorder=0.5)
    for density in data.densities:
        axes.axhline(density, color=palette.ink, linewidth=1, dashes=(7, 4))
        axes.text(
            0.01,
            density + 0.01,
            f"n/m = {theme.fmt_share(density)}: chance",
            transform=axes.get_yaxis_transform(),
            fontsize=7.9,
        )
    shown = [(point, point.keep_rate) for point in data.points if point.keep_rate is not None]
    if shown:
        low, high = data.domain
        place = np.clip([point.ratio for point, _ in shown], low, high)
        solid = [point.ratio >= data.step.threshold for point, _ in shown]
        axes.scatter(
            place,
            [rate for _, rate in shown],
            s=[_area(point.kept_energy) for point, _ in shown],
            facecolors=[to_rgba(color, 0.65 if loud else 0.0) for loud in solid],
            edgecolors=color,
            linewidths=0.9,
            clip_on=False,
            zorder=2,
        )
        for edge, marker, beyond in ((low, "<", -1), (high, ">", 1)):
            out = [rate for p, rate in shown if (p.ratio < low if beyond < 0 else p.ratio > high)]
            axes.plot([edge] * len(out), out, marker, color=color, markersize=6, clip_on=False, zorder=3)
    if data.pinned and data.pinned.keep_rate is not None:
        axes.plot(
            data.pinned.ratio,
            data.pinned.keep_rate,
            "o",
            mfc="none",
            mec=palette.ink,
            mew=1.6,
            ms=13,
            zorder=4,
        )
    axes.axvline(data.step.threshold, color=palette.accent, linewidth=1.6)
    left = data.step.threshold > np.sqrt(data.domain[0] * data.domain[1]) * 1.5
    axes.annotate(
        data.step.rule,
        (data.step.threshold, 1.0),
        (-6 if left else 6, 4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if left else "left",
        fontweight="bold",
        fontsize=8.6,
    )
    _percent(axes.yaxis)
    axes.grid(axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(theme.fmt_tick))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("channel RMS over the median of its input")
    axes.set_ylabel("share of its weights that is kept")


def _draw_loudest(axes: Axes, data: OutliersData, theme_name: theme.Theme) -> None:
    palette = theme.PALETTES[theme_name]
    top = data.top
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(max(len(top), 5) - 0.4, -0.6)
    title = f"The {len(top)} loudest channels" if top else "The loudest channels: none yet"
    axes.text(-0.58, 1.075, title, transform=axes.transAxes, fontsize=8.6, fontweight="bold")
    for density in data.densities:
        axes.axvline(density, color=palette.ink, linewidth=1, dashes=(7, 4))
    masks = [(name, f"keep_rate_{name}", 5.0) for name in data.references] + [(data.method, "keep_rate", 6.5)]
    for row, channel in enumerate(top):
        values = [v for _, field, _ in masks if (v := getattr(channel, field)) is not None]
        if values:
            axes.hlines(row, min(values), max(values), color=palette.line, linewidth=1.2)
    for method, field, size in masks:
        style = theme.method_style(method)
        color = getattr(style, theme_name)
        places = [(getattr(c, field), row) for row, c in enumerate(top) if getattr(c, field) is not None]
        own = field == "keep_rate"
        axes.plot(
            [x for x, _ in places],
            [y for _, y in places],
            linestyle="none",
            marker=style.marker,
            markersize=size,
            markerfacecolor=color if own else palette.background,
            markeredgecolor=color,
            label=f"this run ({style.label})" if own else style.label,
        )
    paid = [(channel.price, row) for row, channel in enumerate(top) if channel.price is not None]
    axes.plot(
        [x for x, _ in paid],
        [y for _, y in paid],
        "|",
        color=palette.ink,
        markersize=9,
        mew=2,
        label="price (neighbors)",
    )
    axes.set_yticks(range(len(top)), [_row(channel) for channel in top])
    axes.tick_params(axis="y", length=0, labelcolor=palette.ink)
    _percent(axes.xaxis)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x")
    for spine in axes.spines.values():
        spine.set_visible(False)
    for row, channel in enumerate(top):
        told = f"{theme.fmt_share(channel.keep_rate)}  ({theme.fmt_share(channel.price)})"
        axes.text(1.12, row, told, va="center", fontsize=7.9, clip_on=False)
    if top:
        axes.text(
            1.12,
            1.02,
            "kept (price)",
            transform=axes.transAxes,
            va="bottom",
            fontsize=7.9,
            color=palette.soft,
        )


def _row(channel: Channel) -> str:
    return f"{channel.name.removeprefix('block ')}  {channel.ratio:.2g}×"


def _area(energy: float | None) -> float:
    """Points squared of a dot: the live view's radius in pixels, at 100 dpi."""
    radius = 4.0 if energy is None else 1.5 + 5.5 * np.sqrt(energy)
    return float((2 * radius * 0.72) ** 2 * 0.6)


def _percent(axis: object) -> None:
    axis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))  # type: ignore[attr-defined]
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))  # type: ignore[attr-defined]
