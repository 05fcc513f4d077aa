"""The pictures of notebook 05.

Knows nothing about where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from hyperprune_lab.teaching.pictures import picture
from hyperprune_lab.views import theme

PALETTE = theme.PALETTES["light"]
OURS = theme.METHODS["hyperprune"].light
_PARTS = {
    "inherited": ("inherited", theme.METHODS["wanda"].light),
    "local": ("local", OURS),
    "total": ("total", PALETTE.ink),
}


def ladder(errors: Mapping[str, float]) -> None:
    """Errors of a few ways to change one layer, on one log axis."""
    says = "Relative error: " + ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    with picture(56 + 34 * len(errors), says) as figure:
        axes = figure.subplots()
        for row, error in enumerate(errors.values()):
            axes.plot([0.03, error], [row, row], color=PALETTE.grid, zorder=0)
            axes.plot(error, row, "o", color=OURS, markersize=8)
            axes.text(error * 1.1, row, f"{error:.2f}", va="center")
        axes.axvline(1, color=PALETTE.soft, dashes=(2, 2), linewidth=1)
        axes.set_xscale("log")
        axes.set_yticks(range(len(errors)), list(errors))
        axes.invert_yaxis()
        axes.set(xlim=(0.03, 7), xlabel="relative error", xticks=[0.05, 0.1, 0.25, 0.5, 1, 2, 4])
        axes.set_xticklabels(["0.05", "0.1", "0.25", "0.5", "1", "2", "4"])
        axes.minorticks_off()
        axes.set_title("The same layer, changed in different ways (dashed: nothing is left)")


def channels(shares: Mapping[str, Float[np.ndarray, " in"]]) -> None:
    """The share of the error that every input channel brings, one panel a mask."""
    says = "; ".join(
        f"{theme.method_style(name).label}: error {found.sum():.3f}, largest share from channel {found.argmax()}, "
        f"{found.max():.4f}"
        for name, found in shares.items()
    )
    with picture(260, says) as figure:
        panels = figure.subplots(1, len(shares), sharey=True)
        for axes, (name, found) in zip(panels, shares.items(), strict=True):
            style = theme.method_style(name)
            axes.vlines(np.arange(len(found)), 0, found, color=style.light, linewidth=1)
            peak = int(found.argmax())
            if found[peak] > 0.02 * found.sum():
                axes.annotate(
                    f"channel {peak}", (peak, found[peak]), xytext=(7, -9), textcoords="offset points"
                )
            axes.set(xlabel="input channel", ylim=(0, None))
            axes.set_title(f"{style.label}: error {found.sum():.3f}")
        panels[0].set_ylabel("share of the error")


def texts(
    tokens: Sequence[int],
    own: Mapping[str, Sequence[float]],
    others: Mapping[str, Sequence[float]],
    inputs: int,
) -> None:
    """Errors on the texts that something was fitted to, and on others, by number of tokens."""
    says = "; ".join(
        f"{count} tokens: "
        + ", ".join(f"{name} {own[name][place]:.3f}, on others {others[name][place]:.3f}" for name in own)
        for place, count in enumerate(tokens)
    )
    styles = {"original weights": (theme.METHODS["wanda"].light, "o"), "refitted": (OURS, "^")}
    with picture(330, says, width_px=820) as figure:
        axes = figure.subplots()
        for name in own:
            color, marker = styles[name]
            axes.plot(tokens, others[name], color=color, marker=marker, label=f"{name}, other texts")
            axes.plot(
                tokens,
                own[name],
                color=color,
                marker=marker,
                markerfacecolor=PALETTE.background,
                dashes=(3, 2),
                label=f"{name}, own texts",
            )
        axes.axvline(inputs, color=PALETTE.soft, dashes=(2, 2), linewidth=1)
        axes.text(inputs * 1.04, 0.28, f"{inputs} inputs", va="top", color=PALETTE.soft)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(list(tokens), [f"{count:,}" for count in tokens])
        axes.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2], ["0.01", "0.02", "0.05", "0.1", "0.2"])
        axes.minorticks_off()
        axes.set(xlabel="tokens that the weights were fitted to", ylabel="relative error")
        axes.legend(loc="upper right")
        axes.set_title("Own texts flatter; the fewer, the more")


def depth(parts: Mapping[str, Sequence[float]]) -> None:
    """Mean local, inherited and total error of every block."""
    says = "By block: " + "; ".join(
        f"{name} {', '.join(f'{value:.2f}' for value in values)}" for name, values in parts.items()
    )
    with picture(290, says) as figure:
        axes = figure.subplots()
        last = len(parts["total"]) - 1
        for name, values in parts.items():
            label, color = _PARTS[name]
            axes.plot(values, color=color, marker="o", linewidth=3 if name == "total" else 1.8)
            lift = {"total": 6, "inherited": -14, "local": -4}[name]
            axes.annotate(
                label, (last, values[-1]), xytext=(10, lift), textcoords="offset points", color=color
            )
        axes.set(xlabel="block", ylabel="relative error, mean of seven linears", ylim=(0, None))
        axes.set_xlim(-0.2, last + 0.8)
        axes.set_title("With all masks in place: what a block adds, and what it inherits")


def damage(error: Sequence[float], nats: Sequence[float], named: Mapping[str, int]) -> None:
    """Each linear's error beside what the model gains when this linear is dense again."""
    says = f"{len(error)} linears. " + "; ".join(
        f"{name}: error {error[place]:.3f}, {nats[place]:.3f} nats" for name, place in named.items()
    )
    with picture(340, says) as figure:
        axes = figure.subplots()
        axes.axhline(0, color=PALETTE.grid, zorder=0)
        axes.plot(error, nats, "o", color=PALETTE.line, markersize=5)
        for name, place in named.items():
            axes.plot(error[place], nats[place], "o", color=OURS, markersize=8)
            axes.annotate(
                name, (error[place], nats[place]), xytext=(9, 5), textcoords="offset points", color=OURS
            )
        axes.set(
            xlabel="relative error of the linear", ylabel="nats per token when dense again", xlim=(0, 0.155)
        )
        axes.set_title("What a layer loses, and what the model loses by it")


def information(error: Float[np.ndarray, " rows"], found: Float[np.ndarray, " rows"]) -> None:
    """Information of each output row beside its error, with the least that an error leaves."""
    says = (
        f"{len(error)} output rows: errors {error.min():.3f} to {error.max():.3f}, information {found.min():.2f} to "
        f"{found.max():.2f} nats, everywhere at or above one half of log 1 / error."
    )
    with picture(280, says, width_px=760) as figure:
        axes = figure.subplots()
        line = np.linspace(error.min() * 0.95, error.max() * 1.05, 100)
        axes.plot(line, -0.5 * np.log(line), color=PALETTE.ink, linewidth=1.2)
        axes.plot(error, found, ".", color=OURS)
        axes.set(xlabel="relative error of the row", ylabel="information, nats")
        axes.set_title("Dots: what each output still tells; line: the least that its error leaves")
