"""The pictures of notebook 06.

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


def matrices(found: Mapping[str, Float[np.ndarray, "moments blocks"]], top: float = 0.5) -> None:
    """Forgetting matrices side by side on one scale, with their numbers."""
    says = "; ".join(
        f"{name}: at the end "
        + ", ".join(f"block {block} {share:.0%}" for block, share in enumerate(values[-1]))
        for name, values in found.items()
    )
    with picture(300, f"Share of groups decided differently. {says}", 100 + 360 * len(found)) as figure:
        panels = figure.subplots(1, len(found))
        for axes, (name, values) in zip(np.atleast_1d(panels), found.items(), strict=True):
            image = axes.imshow(values, cmap=theme.magnitudes(), vmin=0, vmax=top)
            for (row, column), share in np.ndenumerate(values):
                if np.isfinite(share):
                    ink = PALETTE.ink if share > 0.55 * top else PALETTE.background
                    axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=ink)
            axes.set_xticks(range(values.shape[1]))
            axes.set_yticks(range(values.shape[0]))
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
            axes.set(xlabel="block asked again", ylabel="after training block")
            axes.set_title(name)
        figure.colorbar(
            image, ax=list(np.atleast_1d(panels)), format=lambda value, _: f"{value:.0%}", label="changed"
        )


def then_and_now(then: Sequence[float], now: Sequence[float]) -> None:
    """Errors of the masks that blocks got, and of those that the network would give them at the end."""
    says = "Error at decision, and of the mask of the final network: " + ", ".join(
        f"block {block} {before:.3f}, {after:.3f}"
        for block, (before, after) in enumerate(zip(then, now, strict=True))
    )
    with picture(280, says) as figure:
        axes = figure.subplots()
        where = np.arange(len(then))
        axes.vlines(where, then, now, color=PALETTE.line, linewidth=2)
        axes.plot(where, then, "o", color=PALETTE.ink, markersize=8, label="when it was decided")
        axes.plot(where, now, "^", color=OURS, markersize=9, label="asked again at the end")
        axes.set_xticks(where)
        axes.set(xlabel="block", ylabel="relative error", ylim=(0.09, 0.155))
        axes.legend(loc="upper left")
        axes.set_title("Is what it would say now better or worse?")


def price(blocks: Mapping[str, Float[np.ndarray, " blocks"]]) -> None:
    """Errors at decision, block by block, of trainings that differ in how much they hold on."""
    says = "; ".join(
        f"{name}: " + ", ".join(f"block {block} {error:.3f}" for block, error in enumerate(errors))
        for name, errors in blocks.items()
    )
    colors = (PALETTE.line, OURS)
    with picture(270, f"Error at decision. {says}", width_px=820) as figure:
        axes = figure.subplots()
        width = 0.36
        for place, ((name, errors), color) in enumerate(zip(blocks.items(), colors, strict=True)):
            where = np.arange(len(errors)) + (place - 0.5) * width
            axes.bar(where, errors, width * 0.94, color=color, label=name)
            for x, error in zip(where, errors, strict=True):
                axes.text(x, error + 0.002, f"{error:.3f}", ha="center")
        axes.set_xticks(range(len(next(iter(blocks.values())))))
        axes.set(xlabel="block", ylabel="relative error when decided", ylim=(0, 0.19))
        axes.legend(loc="upper left", ncols=2)
        axes.set_title("The price of holding on is paid by the blocks to come")
