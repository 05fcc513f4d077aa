"""The pictures of notebook 01.

Knows nothing about where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from hyperprune_lab.teaching.pictures import draw_weights, picture
from hyperprune_lab.views import theme

PALETTE = theme.PALETTES["light"]


def groups(
    weight: Float[np.ndarray, "out in"], along: Bool[np.ndarray, "out in"], down: Bool[np.ndarray, "out in"]
) -> None:
    """One matrix pruned along its inputs and down its outputs, with what each output has left."""
    says = (
        f"A matrix of {weight.shape[0]} outputs and {weight.shape[1]} inputs, pruned to one half in two directions. "
        f"Groups along the inputs leave {_listed(along)} weights to the outputs, groups down the outputs "
        f"{_listed(down)}."
    )
    with picture(250, says) as figure:
        right, wrong = figure.subplots(1, 2)
        draw_weights(right, weight, along)
        draw_weights(wrong, weight, down, group=0)
        for row in range(0, weight.shape[0] + 1, 4):
            wrong.axhline(row - 0.5, color=PALETTE.ink, linewidth=1.6)
        right.set_title("groups along the inputs: 2:4")
        wrong.set_title("groups down the outputs: not 2:4")
        for axes, mask in ((right, along), (wrong, down)):
            axes.set(xlabel="inputs", ylabel="outputs")
            axes.set_xlim(right=weight.shape[1] + 0.9)
            for row, left in enumerate(mask.sum(axis=1)):
                axes.text(weight.shape[1] - 0.2, row, f"{left} left", va="center", color=PALETTE.soft)


def freedom(rows: Sequence[tuple[str, float, float, float]], anywhere: float) -> None:
    """Error against bits of freedom: ``rows`` are (pattern, bits, Wanda's error, coordinate descent's error)."""
    first, last = rows[0], rows[-1]
    says = (
        f"Error against bits of freedom per weight, from {first[0]} to {last[0]}: by Wanda it falls from "
        f"{first[2]:.3f} to {last[2]:.3f}, by coordinate descent from {first[3]:.3f} to {last[3]:.3f}. Anywhere in a "
        f"row: {anywhere:.3f}."
    )
    with picture(340, says) as figure:
        axes = figure.subplots()
        bits = [row[1] for row in rows]
        by_wanda, by_descent = [row[2] for row in rows], [row[3] for row in rows]
        for errors, name, side in ((by_wanda, "wanda", (6, 6)), (by_descent, "descent", (-96, -16))):
            style = theme.method_style(name)
            axes.plot(bits, errors, color=style.light, marker=style.marker)
            place = (bits[0] + bits[1]) / 2, (errors[0] + errors[1]) / 2
            axes.annotate(style.label, place, xytext=side, textcoords="offset points", color=style.light)
        for text, x, y, _ in rows:
            axes.annotate(text, (x, y), xytext=(0, 9), textcoords="offset points", ha="center")
        axes.axhline(anywhere, color=PALETTE.soft, dashes=(2, 2))
        where = (bits[0], anywhere)
        axes.annotate("Wanda, anywhere in a row", where, xytext=(0, -13), textcoords="offset points")
        axes.set(xlabel="bits of freedom per weight", ylabel="relative error of the output", ylim=(0, 0.145))
        axes.set_title("One half kept, with more and more freedom")


def from_afar(mask: Bool[np.ndarray, "out in"]) -> None:
    """A mask up close, averaged over whole groups, and averaged over outputs only."""
    outputs, inputs = mask.shape
    blocks = mask.reshape(outputs // 8, 8, inputs // 8, 8).mean(axis=(1, 3))
    strips = mask.reshape(outputs // 8, 8, inputs).mean(axis=1)
    says = (
        f"Three pictures of one mask. Up close: weights kept and pruned. Averaged over 8 by 8 weights: "
        f"{blocks.min():.2f} everywhere. Averaged over 8 outputs, inputs apart: from {strips.min():.2f} to "
        f"{strips.max():.2f}, in vertical stripes."
    )
    with picture(440, says) as figure:
        close, flat, striped = figure.subplots(3, 1)
        style = {"aspect": "auto", "interpolation": "nearest"}
        close.imshow(mask[:16, :128], cmap="Greys", vmin=0, vmax=1.6, **style)
        close.set_title("up close: the first 16 outputs and 128 inputs (dark is kept)")
        flat.imshow(blocks, cmap=theme.deviations(), vmin=0, vmax=1, **style)
        flat.set_title("the whole mask, averaged over 8 × 8 weights")
        colors = striped.imshow(strips, cmap=theme.deviations(), vmin=0, vmax=1, **style)
        striped.set_title("the whole mask, averaged over 8 outputs, inputs left apart")
        figure.colorbar(colors, ax=[flat, striped], label="share kept", ticks=[0, 0.5, 1])
        for axes in (close, flat, striped):
            axes.set(xticks=[], yticks=[], ylabel="outputs")
        striped.set_xlabel("inputs")


def _listed(mask: Bool[np.ndarray, "out in"]) -> str:
    return ", ".join(str(left) for left in mask.sum(axis=1))
