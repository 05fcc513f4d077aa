"""Which ink can be read on a color; the browser decides by the same rule.

Knows nothing about pictures.
"""

from __future__ import annotations

_WHITE_BELOW = 0.179
"""At this luminance black and white stand out alike, by 4.6 to 1."""


def ink_on(color: str) -> str:
    """Black or white, whichever stands out more on ``#rrggbb``."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > _WHITE_BELOW else "#ffffff"
