"""Presentation mode: large type for a room, in the notebook's text, code and outputs, and in the words of its views.

Knows nothing about projectors; it is a few lines of style in a cell's output, gone when the cell is cleared. Drawings
keep their size, since the mouse has to find its way in them: the browser's own zoom enlarges those.
"""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST, LARGEST = 1.0, 3.0


@dataclass(frozen=True)
class Presentation:
    """Style as a cell's output. It sets the variable ``--hp-scale`` for whatever wants to grow along."""

    scale: float

    def __repr__(self) -> str:
        if self.scale == 1:
            return "Presentation mode is off."
        return (
            f"Presentation mode: type is {self.scale:g} times as large; present(on=False) ends it. "
            "To enlarge pictures as well, zoom the page (Ctrl and +)."
        )

    def _repr_html_(self) -> str:
        scale = f"{self.scale:g}"
        return f"""<style>
:root {{ --hp-scale: {scale}; }}
.jp-Notebook {{
  --jp-content-font-size1: calc(14px * {scale}); --jp-content-font-size2: calc(16.8px * {scale});
  --jp-content-font-size3: calc(20.2px * {scale}); --jp-content-font-size4: calc(24.2px * {scale});
  --jp-content-font-size5: calc(29px * {scale}); --jp-content-font-size0: calc(11.7px * {scale});
  --jp-code-font-size: calc(13px * {scale}); --jp-ui-font-size1: calc(13px * {scale});
  --jp-widgets-font-size: calc(13px * {scale}); --jp-widgets-inline-height: calc(28px * {scale});
}}
.hp-predict .widget-radio-box label {{
  display: flex; align-items: center; gap: 8px; height: auto; line-height: 1.6; margin: 0 0 4px;
}}
.hp-predict .widget-radio-box input {{ margin: 0; }}
.jp-Notebook .hp .hp-question {{ font-size: calc(15px * {scale}); }}
.jp-Notebook .hp :is(.hp-text, .hp-badge, .hp-help, .hp-notice) {{ font-size: calc(12px * {scale}); }}
</style><i>{self!r}</i>"""


def present(on: bool = True, scale: float = 1.5) -> Presentation:
    """Large type in this notebook; run again with ``on=False`` (or clear the output) to end it.

    ``scale`` is cut to 1 to 3.
    """
    return Presentation(min(max(float(scale), SMALLEST), LARGEST) if on else 1.0)
