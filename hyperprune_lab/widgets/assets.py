"""The JavaScript and CSS of a view, as one text each: shared parts in front, the view's own behind.

Knows nothing about traits. There is no build step: files are joined, and shared functions that a view does not use,
comments and indentation are dropped, because every view carries its own copy.
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
    named = [
        f"const {name} = {json.dumps(value, separators=(',', ':'))};" for name, value in constants().items()
    ]
    common = "\n".join([*named, *(_read(f"js/{name}.js") for name in shared)])
    own = "\n".join(_read(f"js/{name}.js") for name in (*parts, view))
    return _squeezed(f"{_used(common, own)}\n{own}")


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


def _used(common: str, own: str) -> str:
    """Those declarations of ``common`` that ``own`` names, or that one of these names in turn.

    A declaration begins at the left margin. A name counts wherever it stands: too much may stay, nothing is missing.
    """
    found = list(_DECLARED.finditer(common))
    ends = [*(one.start() for one in found[1:]), len(common)]
    texts = {
        one["name"]: _COMMENT.sub("", common[one.start() : end]) for one, end in zip(found, ends, strict=True)
    }
    words = {name: set(_WORD.findall(text)) for name, text in texts.items()}
    wanted, used = set(_WORD.findall(own)), set[str]()
    while wanted & (texts.keys() - used):
        new = wanted & (texts.keys() - used)
        used |= new
        wanted = set().union(*(words[name] for name in new))
    return "".join(text for name, text in texts.items() if name in used)


_DECLARED = re.compile(r"^(?:async )?(?:function|const|class) (?P<name>\w+)", re.MULTILINE)
_COMMENT = re.compile(r"^[ ]*//.*\n?", re.MULTILINE)
_WORD = re.compile(r"\w+")


def _squeezed(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    tight = _TOKENS.sub(_tight, "\n".join(line for line in lines if line and not line.startswith("//")))
    return _NEEDLESS_END.sub("", tight)


# Strings, template literals and regular expressions stay as they are; blanks around other signs go. Line ends stay
# where JavaScript may end a statement at them; no text or pattern goes on over a line end.
_NEEDLESS_END = re.compile(r"(?<=[;,{(\[])\n|\n(?=[})\]])")
_TOKENS = re.compile(
    r"""(?P<kept>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"""
    r"""|(?:(?<=[(,=:\[!&|?{};])|(?<=[(,=:\[!&|?{};] ))/(?![/*])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*)"""
    r"""|;(?=\s*\})"""
    r"""|[ ]*(?P<sign>=>|[=!]==|&&|\|\||\?\?|[-+*/<>]=|[{}()\[\],;:?=<>*])[ ]*"""
    r"""|(?<![-+])[ ]?(?P<math>[-+/%|&])[ ](?![-+])"""
)


def _tight(found: re.Match[str]) -> str:
    return found["kept"] or found["sign"] or found["math"] or ""
