"""Static pictures in a lesson: the project's style, always with words for those who cannot see them.

Knows nothing about what a picture is to show, except how a few weights look.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.patches import Rectangle

from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hyperprune_lab.widgets.view import View


@contextmanager
def picture(height_px: int, says: str, width_px: int = theme.WIDTH_PX) -> Iterator[Figure]:
    """A figure to draw on inside the ``with`` statement; it is shown when that ends.

    ``says`` is what the picture shows, in words: screen readers and plain terminals get it.
    """
    from IPython.display import display

    with theme.drawing("light", height_px, width_px) as figure:
        yield figure
        image = _small(theme.png(figure))
    size = {"width": width_px, "height": height_px, "alt": says}
    display({"image/png": image, "text/plain": says}, metadata={"image/png": size}, raw=True)


def show(view: View) -> None:
    """A live view of a finished run; where no kernel is behind the page, its static picture takes its place.

    Readers of a saved notebook get the picture and, where there are no pictures, the view in words.
    """
    from IPython.display import display

    live, _ = view._repr_mimebundle_()
    image = _small(theme.png(view.figure()))
    words = {"text/plain": view.text}
    size = {"width": theme.WIDTH_PX, "alt": view.question}
    display({**live, "image/png": image, **words}, metadata={"image/png": size}, raw=True)


def _small(image: bytes) -> bytes:
    """A chart's PNG in 256 colors: looks the same, and a notebook with a dozen of them stays quick to open."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as full:
        few = full.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def draw_weights(
    axes: Axes,
    weight: Float[np.ndarray, "out in"],
    mask: Bool[np.ndarray, "out in"] | None = None,
    group: int = 4,
    loudest: float | None = None,
) -> None:
    """A few weights as cells: filled by size with the value written in, pruned ones empty with a dot.

    Lines divide the groups along the inputs (none with ``group`` 0). ``loudest`` is the size that gets the darkest
    color (default: the largest here), so that several pictures can share one scale.
    """
    palette = theme.PALETTES["light"]
    rows, columns = weight.shape
    top = loudest or float(np.abs(weight).max()) or 1.0
    colors = theme.magnitudes().reversed()
    for row in range(rows):
        for column in range(columns):
            kept = mask is None or bool(mask[row, column])
            share = min(1.0, abs(float(weight[row, column])) / top)
            color = colors(share) if kept else palette.background
            axes.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5), 1, 1, facecolor=color, edgecolor=palette.grid, linewidth=0.8
                )
            )
            ink = palette.ink if share < 0.55 else palette.background
            if kept:
                text = theme.fmt_signed(float(weight[row, column]), 1)
                axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8.6)
            else:
                axes.plot(column, row, ".", color=palette.line, markersize=4)
    for column in range(0, columns + 1, group) if group else ():
        axes.axvline(column - 0.5, color=palette.ink, linewidth=1.6)
    axes.set(xlim=(-0.56, columns - 0.44), ylim=(rows - 0.44, -0.56), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
