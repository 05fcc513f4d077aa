"""The JavaScript and CSS of a view, as one text each: shared parts in front, the view's own behind.

Knows nothing about traits. There is no build step: files are joined, and lines that are only comment or
indentation are dropped, because every view carries its own copy.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from hyperprune_lab.views.theme import constants

LARGEST_BYTES = 40_000
"""What the ES module of a view may weigh."""

_FOLDER = Path(__file__).parent
_SHARED = ("dom", "format", "scales", "canvas", "link", "frame")


@cache
def esm(view: str, *parts: str) -> str:
    """The ES module of ``js/<view>.js``, with ``js/<part>.js`` before it.

    All of them live in one scope: no imports, no template literal over several lines.
    """
    shared = [f"shared/{name}" for name in _SHARED]
    texts = [_read(f"js/{name}.js") for name in (*shared, *parts, view)]
    named = [
        f"const {name}={json.dumps(value, separators=(',', ':'))};" for name, value in constants().items()
    ]
    return "\n".join([*named, *map(_squeezed, texts)])


@cache
def css(view: str) -> str:
    """The style sheet: ``css/shared.css`` and, if there is one, ``css/<view>.css``."""
    own = _FOLDER / f"css/{view}.css"
    texts = [_read("css/shared.css"), *([own.read_text(encoding="utf-8")] if own.exists() else [])]
    return "\n".join(texts)


def static_model() -> str:
    """The ES module that makes a model without a kernel, for pages outside a notebook."""
    return _read("js/static.js")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _squeezed(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return _TOKENS.sub(_tight, "\n".join(line for line in lines if line and not line.startswith("//")))


# Strings, template literals and regular expressions stay as they are; blanks around other signs go. Line ends stay,
# because JavaScript ends statements at some of them.
_TOKENS = re.compile(
    r"""(?P<kept>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"""
    r"""|(?:(?<=[(,=:\[!&|?{};])|(?<=[(,=:\[!&|?{};] ))/(?![/*])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*)"""
    r"""|[ ]*(?P<sign>=>|[=!]==|&&|\|\||\?\?|[-+*/<>]=|[{}()\[\],;:?=<>*])[ ]*"""
)


def _tight(found: re.Match[str]) -> str:
    return found["kept"] or found["sign"]
