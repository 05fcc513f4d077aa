"""Forgetting as a static picture: the same matrices, curves and numbers as the live view.

Knows nothing about runs: it draws what ``forgetting`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter

from hyperprune_lab.analysis.forgetting import FINAL, NOTE
from hyperprune_lab.views import theme
from hyperprune_lab.views.forgetting_words import lines_of, message_of
from hyperprune_lab.views.inks import ink_on

if TYPE_CHECKING:
    from hyperprune_lab.views.forgetting import ForgettingData, Matrix

_NUMBERED_BLOCKS = 14


def draw_forgetting(data: ForgettingData, theme_name: theme.Theme) -> Figure:
    """Sums on top; matrix and curves side by side, or three matrices over the curves."""
    palette = theme.PALETTES[theme_name]
    message = message_of(data)
    if message is not None:
        with theme.drawing(theme_name, 120) as figure:
            figure.text(
                0.02, 0.9, "Does the network still know what it decided?", weight="bold", va="top", size=10
            )
            figure.text(0.02, 0.55, message, va="top", wrap=True)
        return figure
    three = data.reference is not None and data.reference.values is not None
    with theme.drawing(theme_name, 664 if three else 520) as figure:
        heights = [164, 290, 210] if three else [128, 392]
        parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
        _draw_sums(parts[0], data, palette)
        own = _Look(data, theme_name)
        if not three:
            left, right = parts[1].subfigures(1, 2, width_ratios=[9, 11])
            axes = left.add_subplot()
            _draw_matrix(
                axes, data, data.values, own, palette, f"{data.measure.short}{_weight(data.continual_weight)}"
            )
            own.bar(left, axes, 40)
            _draw_curves(right.add_subplot(), data, palette)
            return figure
        held = data.reference
        assert held is not None
        assert held.values is not None
        assert held.difference is not None
        apart = _Look(data, theme_name, apart=True)
        row = parts[1].subplots(1, 3)
        titles = (f"this run{_weight(data.continual_weight)}", f"{held.run}{_weight(held.continual_weight)}")
        _draw_matrix(row[0], data, data.values, own, palette, titles[0])
        _draw_matrix(row[1], data, held.values, own, palette, titles[1])
        _draw_matrix(row[2], data, held.difference, apart, palette, "this run − reference")
        own.bar(parts[1], row[:2], 60, data.measure.short)
        unit = "" if data.measure.name == "divergence" else ", points"
        apart.bar(parts[1], row[2], 30, f"difference{unit}")
        _draw_curves(parts[2].add_subplot(), data, palette)
    return figure


class _Look:
    """Colors and words of a matrix: of a measure, or of the difference of two runs."""

    def __init__(self, data: ForgettingData, theme_name: theme.Theme, apart: bool = False) -> None:
        measure = data.measure
        self.brief = measure.brief_difference if apart else measure.brief
        self.colors: Colormap = (
            theme.deviations(theme_name) if apart or measure.colors == "deviation" else theme.magnitudes()
        )
        reach = difference_reach(data)
        log = measure.scale == "log" and not apart
        self.norm = LogNorm(*data.domain) if log else Normalize(*((-reach, reach) if apart else data.domain))
        self.words = measure.brief_difference if apart else lambda value: _tick(measure.form(value))
        self.ticks = (
            [data.domain[0], 1.0, data.domain[1]] if measure.name == "error_rel" and not apart else None
        )

    def bar(self, part: Any, axes: Any, aspect: int, label: str = "") -> None:
        """The scale under some axes."""
        bar = part.colorbar(
            ScalarMappable(self.norm, self.colors), ax=axes, orientation="horizontal", pad=0.02, aspect=aspect
        )
        if self.ticks is not None:
            bar.set_ticks(self.ticks)
        bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: self.words(value)))
        bar.ax.xaxis.set_minor_formatter(NullFormatter())
        bar.set_label(label)

    def color(self, value: float) -> str:
        low, high = float(self.norm.vmin or 0.0), float(self.norm.vmax or 1.0)
        return to_hex(self.colors(float(self.norm(min(max(value, low), high)))))


def difference_reach(data: ForgettingData) -> float:
    """Differences are drawn from minus this to plus this."""
    held = data.reference
    if not data.fitted or held is None or held.difference is None or np.isnan(held.difference).all():
        return data.measure.reach
    return max(1e-9, float(np.nanmax(np.abs(held.difference))))


def _weight(weight: float | None) -> str:
    return "" if weight is None else f", λ2 = {theme.fmt_tick(weight)}"


def _draw_sums(part: Any, data: ForgettingData, palette: theme.Palette) -> None:
    part.text(0.01, 0.97, "Does the network still know what it decided?", weight="bold", va="top", size=10)
    part.text(
        0.99,
        0.97,
        f"{theme.shown_name(data.run, 40)}, event {data.seq}",
        va="top",
        ha="right",
        color=palette.soft,
    )
    lines = lines_of(data)
    for place, (label, number, words) in enumerate(lines):
        x = 0.01 + place * 0.25
        part.text(x, 0.79, label, va="top", color=palette.soft, size=7.9)
        part.text(x, 0.68, number, va="top", weight="bold", size=11)
        part.text(x, 0.51, _wrapped(words, 42), va="top", color=palette.soft, size=7.9, linespacing=1.25)
    sentences = [NOTE] if data.reference is None else [NOTE, data.reference.sentence]
    part.text(0.01, 0.02, "\n".join(sentences), va="bottom", size=8.6, linespacing=1.3)


def _wrapped(words: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(words, width))


def _draw_matrix(
    axes: Axes, data: ForgettingData, values: Matrix, look: _Look, palette: theme.Palette, title: str
) -> None:
    axes.set_title(theme.shown_name(title, 44), fontsize=8.6)
    for place, after in enumerate(data.rows):
        y = _y(data, place)
        for block in range(data.blocks if after == FINAL else after + 1):
            value, box = values[place, block], ((block + 0.03, y + 0.03), 0.94, 0.94)
            if np.isnan(value):
                asked = after in data.asked
                axes.add_patch(
                    Rectangle(
                        *box,
                        fill=False,
                        edgecolor=palette.line if asked else palette.grid,
                        hatch="////" * asked,
                    )
                )
                continue
            color = look.color(value)
            axes.add_patch(Rectangle(*box, facecolor=color, linewidth=0))
            if data.blocks <= _NUMBERED_BLOCKS:
                words = look.brief(value)
                axes.text(
                    block + 0.5, y + 0.52, words, ha="center", va="center", color=ink_on(color), fontsize=7.9
                )
    if data.selected is not None:
        bottom = _y(data, len(data.rows) - 1) + 1
        box = (data.selected, data.selected), 1, bottom - data.selected
        axes.add_patch(Rectangle(*box, fill=False, edgecolor=palette.ink, linewidth=1.8, zorder=3))
    axes.set_xlim(0, max(1, data.blocks))
    axes.set_ylim(_y(data, max(0, len(data.rows) - 1)) + 1.05, -0.05)
    axes.xaxis.tick_top()
    every = _every(data.blocks)
    axes.set_xticks(
        [block + 0.5 for block in range(0, data.blocks, every)],
        [str(b) for b in range(0, data.blocks, every)],
    )
    marked = [place for place, after in enumerate(data.rows) if after == FINAL or after % every == 0]
    names = ["final" if data.rows[place] == FINAL else str(data.rows[place]) for place in marked]
    axes.set_yticks([_y(data, place) + 0.5 for place in marked], names)
    axes.set_ylabel("after training block")
    axes.set_xlabel("block asked again")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _y(data: ForgettingData, place: int) -> float:
    """The top of a row; the last one, after the final stage, stands apart."""
    return place + 0.15 * (data.rows[place] == FINAL) if data.rows else float(place)


def _tick(words: str) -> str:
    """``10 %``, ``0.1`` and ``1×``, not ``0.10`` and ``1.00×``."""
    number, unit = words.rstrip(" %×"), words[len(words.rstrip(" %×")) :]
    return (number.rstrip("0").rstrip(".") if "." in number else number) + unit


def _every(count: int) -> int:
    return next(step for step in (1, 2, 4, 5, 8, 10, 16, 20, 50, 1000) if count / step <= 16)


def _draw_curves(axes: Axes, data: ForgettingData, palette: theme.Palette) -> None:
    measure = data.measure
    axes.set_title(measure.label, fontsize=8.6)
    if measure.scale == "log":
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(*data.domain)
    if measure.name == "error_rel":
        axes.set_yticks([data.domain[0], 1.0, data.domain[1]])
        axes.minorticks_off()
        axes.axhline(1.0, color=palette.line, linewidth=0.8, linestyle="--")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(measure.form(value))))
    axes.grid(axis="y")
    told = [block for block in (data.worst, data.selected) if block is not None]
    ends: list[tuple[float, float, str, str]] = []
    for block in [*(b for b in range(data.blocks) if b not in told), *dict.fromkeys(told)]:
        points = data.curve(block)
        if not points:
            continue
        x, y = np.array(points).T
        y = np.clip(y, *data.domain)
        chosen = block == data.selected
        color = palette.accent if chosen else palette.error if block == data.worst else palette.line
        if block not in told:
            axes.plot(x, y, color=color, linewidth=0.8, marker="." if len(x) == 1 else None)
            continue
        axes.plot(
            x,
            y,
            color=color,
            linewidth=2,
            linestyle="-" if chosen else "--",
            marker="o" if chosen else "s",
            markersize=4,
        )
        role = " and ".join(
            name for name, one in (("worst", data.worst), ("selected", data.selected)) if one == block
        )
        ends.append((x[-1], y[-1], color, f"block {block}: {measure.form(points[-1][1])}, {role}"))
        if data.reference is not None and data.reference.values is not None:
            theirs = data.curve(block, data.reference.values)
            if theirs:
                u, w = np.array(theirs).T
                w = np.clip(w, *data.domain)
                axes.plot(u, w, color=color, linewidth=1.2, linestyle=":")
                ends.append((u[-1], w[-1], color, f"its reference: {measure.form(theirs[-1][1])}"))
    _label_ends(
        axes, ends, 0.1 if data.reference is not None and data.reference.values is not None else 0.045
    )
    last = max(1, len(data.rows) - 1)
    every = _every(len(data.rows))
    places = [place for place, after in enumerate(data.rows) if after == FINAL or after % every == 0]
    axes.set_xticks(
        places, ["final" if data.rows[place] == FINAL else str(data.rows[place]) for place in places]
    )
    axes.set_xlim(-0.1, last * 1.02)
    axes.set_xlabel("after training block")


def _label_ends(axes: Axes, ends: list[tuple[float, float, str, str]], apart: float) -> None:
    """Labels at the right edge, at least a line apart."""
    log = axes.get_yscale() == "log"
    low, high = axes.get_ylim()

    def share(y: float) -> float:
        return float(np.log(y / low) / np.log(high / low)) if log else (y - low) / (high - low)

    before = -1.0
    for _, y, color, words in sorted(ends, key=lambda end: end[1]):
        before = max(share(max(y, low)), before + apart)
        axes.annotate(
            words,
            (1.0, before),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            color=color,
            fontsize=7.9,
            va="center",
            annotation_clip=False,
        )
