"""What a learner reads after an answer: a heading, a few sentences, and whether it was right.

Knows nothing about exercises; reads the same in a browser, in a terminal and in a saved notebook.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["right", "wrong", "open", "note"]

_MARKS: dict[Kind, tuple[str, str]] = {
    "right": ("✓", "var(--jp-success-color1, #00805d)"),
    "wrong": ("✗", "var(--jp-warn-color1, #b93a00)"),
    "open": ("…", "var(--jp-border-color1, #8a929c)"),
    "note": ("→", "var(--jp-brand-color1, #0072b2)"),
}


@dataclass(frozen=True)
class Feedback:
    """``kind`` says how it is marked; ``title`` and ``body`` are plain text, with `code` in backticks.

    It is true where the answer was right, so that ``assert check(answer)`` reads as it should.
    """

    kind: Kind
    title: str
    body: str = ""

    def __bool__(self) -> bool:
        return self.kind == "right"

    def __repr__(self) -> str:
        mark, _ = _MARKS[self.kind]
        return f"{mark} {self.title}" + (f"\n{self.body}" if self.body else "")

    def _repr_html_(self) -> str:
        mark, color = _MARKS[self.kind]
        paragraphs = "".join(
            f'<div style="margin-top:4px">{marked_up(line)}</div>' for line in self.body.split("\n") if line
        )
        return (
            f'<div class="hp-feedback" role="status" data-hp-feedback="{self.kind}" '
            f'style="{_BOX};border-left-color:{color}">'
            f'<b><span aria-hidden="true">{mark}</span> {marked_up(self.title)}</b>{paragraphs}</div>'
        )


_BOX = (
    "border-left:4px solid;padding:6px 12px;margin:4px 0;max-width:80ch;line-height:1.5;"
    "background:var(--jp-layout-color2, #f5f6f8);color:var(--jp-ui-font-color1, #1c2128)"
)


def marked_up(text: str) -> str:
    """Plain text as HTML: escaped, with `code` in backticks set as code and *stress* in stars as stress."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"(?<![\w*])\*([^\s*][^*<>]*)\*(?![\w*])", r"<em>\1</em>", coded)


def html_and_text(shown: Any) -> dict[str, str]:
    """The two twins of something that has both."""
    return {"text/html": shown._repr_html_(), "text/plain": repr(shown)}
