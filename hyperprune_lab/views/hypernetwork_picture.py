"""The hypernetwork as a static picture: the same strips, patterns, ribbons and embeddings as the live view.

Knows nothing about runs: it draws what ``hypernetwork`` gathered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from hyperprune_lab.analysis.network import UNDECIDED
from hyperprune_lab.views import theme
from hyperprune_lab.views.hypernetwork_panels import draw_groups, draw_map, draw_patterns
from hyperprune_lab.views.hypernetwork_words import facts_of, message_of, no_maps, warnings_of

if TYPE_CHECKING:
    from hyperprune_lab.views.hypernetwork import HypernetworkData

_SMALL = theme.SMALLEST_FONT_PX * 72 / theme.DPI
_HEIGHTS_PX = (120, 60, 84, 84)


def draw_hypernetwork(data: HypernetworkData, theme_name: theme.Theme) -> Figure:
    """Four strips on one axis; below them patterns, pinned groups and embeddings."""
    palette = theme.PALETTES[theme_name]
    message = message_of(data)
    title = "Is it learning, and has it made up its mind?"
    if message is not None:
        with theme.drawing(theme_name, 120) as figure:
            figure.text(0.02, 0.9, title, weight="bold", va="top", size=10)
            figure.text(0.02, 0.55, message, va="top", wrap=True)
        return figure
    with theme.drawing(theme_name, 760) as figure:
        parts: Any = figure.subfigures(3, 1, height_ratios=[58, 450, 252])
        parts[0].text(0.01, 0.98, title, weight="bold", va="top", size=10)
        about = f"{theme.shown_name(data.run, 40)}, event {data.seq}"
        parts[0].text(0.99, 0.98, about, va="top", ha="right", color=palette.soft)
        parts[0].text(0.01, 0.56, " · ".join(facts_of(data)), va="top", color=palette.soft, size=_SMALL)
        told = "  ".join(f"Warning: {message}" for message in warnings_of(data))
        parts[0].text(0.01, 0.18, told, va="top", color=palette.warning, size=_SMALL, weight="bold")
        _draw_strips(parts[1], data, theme_name)
        columns = parts[2].subfigures(1, 4, width_ratios=[27, 33, 20, 20])
        draw_patterns(columns[0], data, palette)
        draw_groups(columns[1], data, palette)
        for column, one, limit in zip(columns[2:], data.maps, data.reaches, strict=False):
            draw_map(column.add_subplot(), data, one, limit, palette)
        if not data.maps:
            columns[2].text(0.02, 0.97, "Embeddings", weight="bold", va="top", size=8.6)
            columns[2].text(0.02, 0.87, no_maps(data), va="top", size=_SMALL, color=palette.soft)
    return figure


# -- strips


@dataclass(frozen=True)
class Line:
    """One line of a strip: its column, label, color, dash (matplotlib's) and width."""

    column: str
    label: str
    color: str
    dash: Any = "-"
    width: float = 1.2


def lines_by_strip(data: HypernetworkData, theme_name: theme.Theme) -> dict[str, list[Line]]:
    """What each strip holds, in the colors of this theme."""
    palette = theme.PALETTES[theme_name]
    wanda, prior = theme.method_style("wanda"), theme.method_style("prior")
    agreement = [Line("agreement_wanda", "as Wanda", getattr(wanda, theme_name), (0, wanda.dash))]
    if data.has_prior:
        agreement.append(Line("agreement_prior", "as the prior", getattr(prior, theme_name), (0, prior.dash)))
    entropy = ("entropy_median", "median") if data.banded else ("entropy", "mean")
    return {
        "loss": [
            Line("reconstruction", "reconstruction", palette.accent),
            Line("outlier", "outlier reward", palette.warning, (0, (6, 3))),
            Line("continual", "not forgetting", palette.good, (0, (2, 2))),
            Line("total", "total", palette.ink, "-", 2.2),
        ],
        "temperature": [Line("temperature", "temperature", palette.ink)],
        "entropy": [Line(*entropy, palette.ink, "-", 1.8)],
        "same choice": agreement,
    }


def _draw_strips(part: Any, data: HypernetworkData, theme_name: theme.Theme) -> None:
    palette = theme.PALETTES[theme_name]
    from hyperprune_lab.views.hypernetwork import TEMPERATURE_DOMAIN

    rows = part.subplots(4, 1, sharex=True, height_ratios=_HEIGHTS_PX)
    domains = (data.domain, TEMPERATURE_DOMAIN, (0.0, 1.0), (0.0, 1.0))
    strips = lines_by_strip(data, theme_name)
    drawn = np.array(data.drawn, dtype=int)
    for axes, (name, lines), domain, height in zip(rows, strips.items(), domains, _HEIGHTS_PX, strict=True):
        axes.set_title(name, fontsize=8.6, pad=2)
        if name == "temperature":
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.set_yticks([0.01, 0.1, 1, 10])
        axes.set_ylim(*domain)
        form_tick = theme.fmt_share if name == "same choice" else theme.fmt_tick
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _, form=form_tick: form(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y")
        _draw_stretches(axes, data, palette)
        scale = _model_scale(data, domain) if name == "loss" else None
        if name == "entropy":
            axes.axhline(UNDECIDED, color=palette.line, linewidth=0.8, linestyle="--")
            if data.banded:
                _draw_band(axes, data, drawn, palette)
        ends = []
        for line in lines:
            values = data.column(line.column)[drawn] if len(drawn) else np.array([])
            for first, stop in _parts(data, drawn, values):
                y = values[first:stop]
                if scale is not None and _in_model(data, int(drawn[first])):
                    y = scale(y)
                y = np.clip(y, *domain)
                one = "." if stop - first == 1 else None
                axes.plot(
                    drawn[first:stop] + 0.5,
                    y,
                    color=line.color,
                    linewidth=line.width,
                    linestyle=line.dash,
                    marker=one,
                )
            known = np.flatnonzero(~np.isnan(values))
            if len(known):
                last = int(known[-1])
                model = _in_model(data, int(drawn[last])) and line.column == "total"
                y = scale(values[last]) if model and scale is not None else values[last]
                label = "KL to dense" if model else line.label
                form = _form(name)
                ends.append((float(np.clip(y, *domain)), line.color, f"{label} {form(values[last])}"))
        _label_ends(axes, ends, name == "temperature", 14 / height)
        if scale is not None and any(one.block is None for one in data.stretches):
            axes.text(
                0.995,
                0.97,
                f"{theme.fmt_tick(data.divergence_domain[1])} nats a token",
                transform=axes.transAxes,
                ha="right",
                va="top",
                size=_SMALL,
                color=palette.soft,
            )
    rows[-1].set_xlim(*data.shown)
    shown = [one for one in data.stretches if one.stop > data.shown[0] and one.start < data.shown[1]]
    every = -(-len(shown) // 24) if shown else 1
    labelled = shown[::every]
    places = [(max(one.start, data.shown[0]) + min(one.stop, data.shown[1])) / 2 for one in labelled]
    names = [one.label if one.block is None else str(one.block) for one in labelled]
    if data.zoomed:
        steps = np.unique(np.linspace(data.shown[0], data.shown[1] - 1, 7).round().astype(int))
        places, names = (steps + 0.5).tolist(), [str(step - data.shown[0]) for step in steps]
    rows[-1].set_xticks(places, names)
    rows[-1].set_xlabel(f"step of block {data.selected}" if data.zoomed else "block")
    for axes in rows:
        axes.tick_params(axis="x", length=0)


def _form(strip: str) -> Callable[[float | None], str]:
    if strip == "same choice":
        return theme.fmt_share
    return (lambda value: f"{value:.2f}") if strip == "entropy" else theme.fmt_error


def _draw_stretches(axes: Axes, data: HypernetworkData, palette: theme.Palette) -> None:
    for place, one in enumerate(data.stretches):
        chosen = one.block is not None and one.block == data.selected and not data.zoomed
        color = palette.neutral if chosen else palette.panel
        if chosen or place % 2:
            axes.axvspan(
                one.start, one.stop, color=color, linewidth=0, alpha=0.6 if chosen else 1.0, zorder=0
            )


def _model_scale(data: HypernetworkData, domain: tuple[float, float]) -> Callable[[Any], Any]:
    """From nats per token to the height on the loss strip: 0 on the zero line."""
    _, high = data.divergence_domain
    return lambda value: value / high * domain[1]


def _in_model(data: HypernetworkData, step: int) -> bool:
    return any(one.block is None and one.start <= step < one.stop for one in data.stretches)


def _parts(
    data: HypernetworkData, drawn: np.ndarray, values: Float[np.ndarray, " drawn"]
) -> list[tuple[int, int]]:
    """Runs of measured values; each block starts anew."""
    starts = {one.start for one in data.stretches}
    found: list[tuple[int, int]] = []
    first: int | None = None
    for place, value in enumerate(values):
        if first is not None and (np.isnan(value) or int(drawn[place]) in starts):
            found.append((first, place))
            first = None
        if first is None and not np.isnan(value):
            first = place
    if first is not None:
        found.append((first, len(values)))
    return found


def _draw_band(axes: Axes, data: HypernetworkData, drawn: np.ndarray, palette: theme.Palette) -> None:
    low, high = data.column("entropy_p10")[drawn], data.column("entropy_p90")[drawn]
    for first, stop in _parts(data, drawn, low + high):
        x = drawn[first:stop] + 0.5
        axes.fill_between(x, low[first:stop], high[first:stop], color=palette.accent, alpha=0.25, linewidth=0)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str]], log: bool, apart: float) -> None:
    low, high = axes.get_ylim()

    def share(value: float) -> float:
        return float(np.log(value / low) / np.log(high / low)) if log else (value - low) / (high - low)

    at = [share(value) for value, _, _ in sorted(ends)]
    for n in range(1, len(at)):
        at[n] = max(at[n], at[n - 1] + apart)
    if at and at[-1] > 1.05:
        at = [place - (at[-1] - 1.05) for place in at]
    for place, (_, color, words) in zip(at, sorted(ends), strict=True):
        axes.annotate(
            words,
            (1.0, place),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            color=color,
            size=_SMALL,
            va="center",
            annotation_clip=False,
        )
