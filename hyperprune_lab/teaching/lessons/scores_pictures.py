"""The pictures of notebook 02.

Knows nothing about where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from hyperprune_lab.teaching.pictures import picture
from hyperprune_lab.views import theme

PALETTE = theme.PALETTES["light"]


def loudness(rms: Float[np.ndarray, " in"], threshold: float = 6.0) -> None:
    """How loud every input channel is, over the median; those above the threshold with their numbers."""
    over = rms / np.median(rms)
    loud = np.flatnonzero(over >= threshold)
    says = (
        f"Size of each of {len(rms)} input channels over the median, on a log scale. Most lie between "
        f"{np.quantile(over, 0.05):.1f} and {np.quantile(over, 0.95):.1f}; "
        + ", ".join(f"channel {channel} is at {over[channel]:.0f}" for channel in loud)
        + "."
    )
    with picture(250, says) as figure:
        axes = figure.subplots()
        axes.plot(over, ".", color=PALETTE.line, markersize=5)
        axes.plot(loud, over[loud], "o", color=theme.METHODS["hyperprune"].light)
        for channel in loud:
            axes.annotate(
                f"{channel}: {over[channel]:.0f}×",
                (channel, over[channel]),
                xytext=(8, -3),
                textcoords="offset points",
            )
        axes.axhline(1, color=PALETTE.grid, zorder=0)
        axes.axhline(threshold, color=PALETTE.soft, dashes=(2, 2))
        axes.set_yscale("log")
        axes.set(xlabel="input channel", ylabel="RMS over median", yticks=[0.5, 1, 2, 5, 10, 20])
        axes.set_yticklabels(["0.5", "1", "2", "5", "10", "20"])
        axes.minorticks_off()
        axes.set_title(f"How loud each input is (dashed: {threshold:g} times the median)")


def patterns(costs: Sequence[float], diagonal: Sequence[float], table: np.ndarray, chosen: int) -> None:
    """What each pattern of one group costs, with and without the correlations within the group."""
    names = ["".join(str(int(kept)) for kept in row) for row in table]
    order = np.argsort(costs, kind="stable")
    says = "Cost of each pattern, cheapest first (in brackets without correlations): " + ", ".join(
        f"{names[place]} {costs[place]:.4f} ({diagonal[place]:.4f})" for place in order
    )
    with picture(250, says) as figure:
        axes = figure.subplots()
        where = np.arange(len(order))
        axes.bar(where - 0.2, [diagonal[place] for place in order], 0.36, color=theme.METHODS["wanda"].light)
        axes.bar(where + 0.2, [costs[place] for place in order], 0.36, color=theme.METHODS["descent"].light)
        axes.set_xticks(where, [f"{names[place]}{'  (Wanda)' if place == chosen else ''}" for place in order])
        axes.set(xlabel="pattern (1 is kept)", ylabel="cost of what goes")
        axes.set_title(
            "The six patterns of one group: by the diagonal of H (left bars), by its block of H (right bars)"
        )


def parts(own: Mapping[str, float], cross: Mapping[str, float]) -> None:
    """The error of each mask as the sum of its own part and its cross part."""
    says = "Own part plus cross part: " + ", ".join(
        f"{theme.method_style(name).label} {own[name]:.3f} {cross[name]:+.3f} = {own[name] + cross[name]:.3f}"
        for name in own
    )
    with picture(60 + 52 * len(own), says) as figure:
        axes = figure.subplots()
        for row, name in enumerate(own):
            color = theme.method_style(name).light
            axes.barh(row - 0.17, own[name], 0.3, color=color)
            axes.barh(row + 0.17, cross[name], 0.3, left=own[name], color=color, alpha=0.45)
            total = own[name] + cross[name]
            axes.plot([total, total], [row - 0.4, row + 0.4], color=PALETTE.ink, linewidth=2)
            axes.text(max(own[name], total) + 0.002, row, f"{total:.3f}", va="center")
        axes.set_yticks(range(len(own)), [theme.method_style(name).label for name in own])
        axes.invert_yaxis()
        axes.set(xlabel="relative error")
        axes.set_title(
            "Own part (solid), then cross part (pale) to the left or right; the black line is the sum"
        )


def agreement(shares: Float[np.ndarray, "masks masks"], names: Sequence[str]) -> None:
    """Share of groups that two methods decide alike, for every pair."""
    labels = [theme.method_style(name).label for name in names]
    pairs = [(shares[i, j], labels[i], labels[j]) for i in range(len(names)) for j in range(i)]
    least, most = min(pairs), max(pairs)
    says = (
        f"Share of groups decided alike: most by {most[1]} and {most[2]} ({most[0]:.0%}), least by {least[1]} and "
        f"{least[2]} ({least[0]:.0%})."
    )
    with picture(260, says, width_px=760) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap=theme.magnitudes(), vmin=1 / 6, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            color = PALETTE.ink if share > 0.6 else PALETTE.background
            axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=color)
        axes.set_xticks(range(len(names)), labels)
        axes.set_yticks(range(len(names)), labels)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title("Groups decided alike")


def before_and_after(kept: Mapping[str, float], refitted: Mapping[str, float]) -> None:
    """Errors of masks with the original weights and after a refit, joined by lines that may cross."""
    says = "Error with original weights, and after least squares: " + ", ".join(
        f"{theme.method_style(name).label} {kept[name]:.4f} and {refitted[name]:.4f}" for name in kept
    )
    with picture(360, says, width_px=760) as figure:
        axes = figure.subplots()
        for name in kept:
            style = theme.method_style(name)
            axes.plot([0, 1], [kept[name], refitted[name]], color=style.light, marker=style.marker)
        for side, values, align in ((0, kept, "right"), (1, refitted, "left")):
            for name, height in _apart(values, 0.05).items():
                style = theme.method_style(name)
                axes.text(
                    side + (0.04 if side else -0.04),
                    height,
                    f"{style.label}  {values[name]:.4f}",
                    ha=align,
                    va="center",
                    color=style.light,
                )
        axes.set_yscale("log")
        axes.set_xticks([0, 1], ["original weights", "after least squares"])
        axes.set(xlim=(-0.7, 1.7), yticks=[0.02, 0.03, 0.05, 0.1], ylabel="relative error")
        axes.set_yticklabels(["0.02", "0.03", "0.05", "0.1"])
        axes.minorticks_off()
        axes.set_title("The best mask to keep is not the best mask to mend")


def _apart(values: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places for labels on a log axis, in the order of the values and at least ``gap`` (in log10) apart."""
    places: dict[str, float] = {}
    above = -np.inf
    for name in sorted(values, key=lambda name: values[name]):
        above = max(float(np.log10(values[name])), above + gap)
        places[name] = 10**above
    return places


def depth(ours: Sequence[float], theirs: Sequence[float], labels: tuple[str, str]) -> None:
    """Two methods' mean errors by block."""
    says = f"Mean error by block: {labels[0]} {_listed(ours)}; {labels[1]} {_listed(theirs)}."
    with picture(260, says) as figure:
        axes = figure.subplots()
        for errors, name in ((ours, labels[0]), (theirs, labels[1])):
            style = theme.method_style(name)
            axes.plot(errors, color=style.light, marker=style.marker)
            axes.annotate(
                style.label,
                (len(errors) - 1, errors[-1]),
                xytext=(10, -4),
                textcoords="offset points",
                color=style.light,
            )
        axes.set(xlabel="block", ylabel="mean relative error", ylim=(0, None), xlim=(-0.2, len(ours) - 0.1))
        axes.set_title("All linears of the model, block by block")


def _listed(errors: Sequence[float]) -> str:
    return ", ".join(f"{error:.3f}" for error in errors)
