"""How a command speaks: one answer on stdout, everything else on stderr.

Knows nothing about what is said.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType


def messages() -> Console:
    """The console for people: stderr, so that a pipe on stdout sees only the answer."""
    return Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Tell a person something in passing."""
    messages().print(message, markup=False, soft_wrap=True)


def complain(message: str) -> None:
    """Tell a person what is wrong, in one paragraph."""
    console = messages()
    console.print("Error:", style="bold red", end=" ")
    console.print(message, markup=False, soft_wrap=True)


def answer(value: Any, picture: RenderableType, as_json: bool) -> None:
    """Give the command's answer: ``value`` as one line of JSON, or ``picture`` for people.

    With ``as_json`` the picture goes to stderr, and the last line of stdout is the JSON. A picture that is
    mere text is never broken into lines: it may be a table of its own.
    """
    console = messages() if as_json else Console(highlight=False)
    console.print(picture, markup=False, soft_wrap=isinstance(picture, str))
    if as_json:
        sys.stdout.write(json.dumps(plain(value), allow_nan=False) + "\n")
        sys.stdout.flush()


def plain(value: Any) -> Any:
    """``value`` in JSON's own types: what is not a finite number becomes null, a path its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "item"):  # a numpy scalar
        return plain(value.item())
    return value
