"""Static pictures in a lesson: the project's style, always with words for those who cannot see them.

Knows nothing about what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def picture(height_px: int, says: str, width_px: int = theme.WIDTH_PX) -> Iterator[Figure]:
    """A figure to draw on inside the ``with`` statement; it is shown when that ends.

    ``says`` is what the picture shows, in words: screen readers and plain terminals get it.
    """
    from IPython.display import display

    with theme.drawing("light", height_px, width_px) as figure:
        yield figure
        image = theme.png(figure)
    size = {"width": width_px, "height": height_px, "alt": says}
    display({"image/png": image, "text/plain": says}, metadata={"image/png": size}, raw=True)
