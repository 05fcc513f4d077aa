"""The pictures of notebook 04.

Knows nothing about where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from hyperprune_lab.teaching.pictures import picture
from hyperprune_lab.views import theme

PALETTE = theme.PALETTES["light"]
LOUD = theme.METHODS["hyperprune"].light


def inputs(ratios: Mapping[str, Float[np.ndarray, " in"]], threshold: float = 6.0) -> None:
    """How loud every channel of several inputs is, over the median of its input; one panel an input."""
    says = f"RMS over the median, channels at {threshold:g} or more: " + "; ".join(
        f"{name}: {(over >= threshold).sum()} of {len(over)}, loudest {over.max():.1f}"
        for name, over in ratios.items()
    )
    with picture(290, says) as figure:
        panels = figure.subplots(1, len(ratios), sharey=True)
        for axes, (name, over) in zip(panels, ratios.items(), strict=True):
            loud = over >= threshold
            axes.plot(np.flatnonzero(~loud), over[~loud], ".", color=PALETTE.line, markersize=3.5)
            axes.plot(np.flatnonzero(loud), over[loud], "o", color=LOUD, markersize=6)
            axes.axhline(threshold, color=PALETTE.soft, dashes=(2, 2), linewidth=1)
            axes.set_yscale("log")
            axes.set(xlabel="channel", ylim=(0.3, 60))
            axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
            axes.minorticks_off()
            axes.set_title(name)
        panels[0].set_ylabel("RMS over median")


def rescaling(
    before: tuple[Float[np.ndarray, " in"], Float[np.ndarray, " in"]],
    after: tuple[Float[np.ndarray, " in"], Float[np.ndarray, " in"]],
    loud: Sequence[int],
) -> None:
    """RMS, column length and their product for each channel, before and after; each row of panels is one state."""
    says = "Before, after rescaling: " + "; ".join(
        f"channel {channel}: RMS {before[0][channel]:.2f}, {after[0][channel]:.2f}, column {before[1][channel]:.2f}, "
        f"{after[1][channel]:.2f}, product {before[0][channel] * before[1][channel]:.2f}, "
        f"{after[0][channel] * after[1][channel]:.2f}"
        for channel in loud
    )
    titles = ("RMS of the input", "length of the column", "product of the two")
    with picture(360, says) as figure:
        rows = figure.subplots(2, 3, sharex=True, sharey="col")
        for axes_row, (rms, column), state in zip(
            rows, (before, after), ("as stored", "every RMS at 1"), strict=True
        ):
            for axes, values, title in zip(axes_row, (rms, column, rms * column), titles, strict=True):
                axes.plot(values, ".", color=PALETTE.line, markersize=3.5)
                axes.plot(list(loud), values[list(loud)], "o", color=LOUD, markersize=6)
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(theme.fmt_tick)
                axes.minorticks_off()
                if state == "as stored":
                    axes.set_title(title)
                else:
                    axes.set_xlabel("channel")
            axes_row[0].set_ylabel(state)


def budget(rates: Mapping[str, Float[np.ndarray, " group"]], channels: Sequence[int], loud: int) -> None:
    """The keep-rates of the channels of one group under several masks; they add up to the same."""
    says = "; ".join(
        f"{theme.method_style(name).label}: "
        + ", ".join(f"channel {channel} {rate:.0%}" for channel, rate in zip(channels, kept, strict=True))
        for name, kept in rates.items()
    )
    with picture(70 + 46 * len(rates), says) as figure:
        axes = figure.subplots()
        for row, (name, kept) in enumerate(rates.items()):
            left = 0.0
            for channel, rate in zip(channels, kept, strict=True):
                color = theme.method_style(name).light if channel == loud else PALETTE.panel
                axes.barh(row, rate, 0.62, left=left, color=color, edgecolor=PALETTE.ink, linewidth=0.7)
                if rate >= 0.06:
                    ink = PALETTE.background if channel == loud else PALETTE.ink
                    share = f"{channel}: {rate:.0%}" if rate > 0.15 else f"{rate:.0%}"
                    axes.text(left + rate / 2, row, share, ha="center", va="center", color=ink)
                left += rate
        axes.set_yticks(range(len(rates)), [theme.method_style(name).label for name in rates])
        axes.invert_yaxis()
        axes.set(xlabel="weights kept of each group of four, on average", xlim=(0, 2.02))
        axes.set_title(f"One group shares two places (filled: the loud channel, {loud})")


def errors(found: Mapping[str, float], highlight: str) -> None:
    """Errors of several masks as bars, with their numbers."""
    says = "Relative error: " + ", ".join(f"{name} {error:.4f}" for name, error in found.items())
    with picture(60 + 42 * len(found), says) as figure:
        axes = figure.subplots()
        for row, (name, error) in enumerate(found.items()):
            color = theme.METHODS["wanda"].light if name == highlight else PALETTE.line
            axes.barh(row, error, 0.6, color=color)
            axes.text(error + 0.002, row, f"{error:.4f}", va="center")
        axes.set_yticks(range(len(found)), list(found))
        axes.invert_yaxis()
        axes.set(xlabel="relative error", xlim=(0, 1.12 * max(found.values())))
        axes.set_title("What is lost, by what happens to the loud channels")


def pull(
    weights: Sequence[float], agreement: Sequence[float], error: Sequence[float], wanda_error: float
) -> None:
    """What the weight of the outlier term does: agreement with Wanda, and the error."""
    says = "; ".join(
        f"λ1 = {weight:g}: agrees with Wanda in {alike:.0%} of the groups, error {lost:.4f}"
        for weight, alike, lost in zip(weights, agreement, error, strict=True)
    )
    style = theme.METHODS["hyperprune"]
    with picture(270, f"{says}. Wanda's error is {wanda_error:.4f}.") as figure:
        left, right = figure.subplots(1, 2)
        where = range(len(weights))
        left.plot(where, agreement, color=style.light, marker=style.marker)
        left.axhline(1, color=theme.METHODS["wanda"].light, dashes=(4, 2))
        left.set(ylim=(0.8, 1.02), yticks=[0.8, 0.85, 0.9, 0.95, 1], ylabel="share of groups")
        left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        left.set_title("decided as Wanda decides")
        right.plot(where, error, color=style.light, marker=style.marker)
        right.axhline(wanda_error, color=theme.METHODS["wanda"].light, dashes=(4, 2))
        right.text(0, wanda_error, "Wanda", va="bottom", color=theme.METHODS["wanda"].light)
        right.set(ylim=(0.9 * min(error), 1.06 * max(*error, wanda_error)), ylabel="relative error")
        right.set_title("error on texts kept back")
        for axes in (left, right):
            axes.set_xticks(list(where), [f"{weight:g}" for weight in weights])
            axes.set_xlabel("λ1")
