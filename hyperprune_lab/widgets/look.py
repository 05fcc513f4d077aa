"""A look: everything about what a person has before the eyes that one may want to come back to, as a short string.

Knows nothing about widgets or runs: names and plain values only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from itertools import takewhile
from typing import Any
from urllib.parse import quote, unquote

from hyperprune_lab.errors import UserError

LONGEST = 20_000
_PLAIN = "/:.,{}* -|="
_OWN = ("run", "tab", "beside", "maximized", "select", "moment", "against")


@dataclass(frozen=True)
class Look:
    """``options`` holds what differs from a view's usual choice, as ``view.option`` -> plain value.

    ``run`` and ``against`` are names of folders; ``moment`` None is the newest.
    """

    run: str = ""
    tab: str = ""
    beside: str = ""
    maximized: str = ""
    select: tuple[str, ...] = ()
    moment: int | None = None
    against: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Such as ``run=hyperprune&tab=outliers&select=model.layers.{3.mlp.up_proj,4.mlp.up_proj}&moment=130``."""
        told: dict[str, str] = {
            name: getattr(self, name) for name in _OWN if name not in ("select", "moment")
        }
        told["select"] = _joined(self.select)
        told["moment"] = "" if self.moment is None else str(self.moment)
        parts = {name: told[name] for name in _OWN if told[name]}
        parts |= {name: _value(value) for name, value in sorted(self.options.items())}
        return "&".join(
            f"{quote(name, safe='._-')}={quote(value, safe=_PLAIN)}" for name, value in parts.items()
        )

    @classmethod
    def of(cls, text: str) -> Look:
        """The look that such a string tells.

        Raises:
            UserError: it tells none.
        """
        if len(text) > LONGEST:
            raise UserError(f"A look is a short string; this one has {len(text)} characters.")
        known: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for part in filter(None, text.strip().split("&")):
            name, sign, value = part.partition("=")
            name, value = unquote(name), unquote(value)
            if not sign or (name not in _OWN and "." not in name):
                known_names = ", ".join(_OWN)
                raise UserError(
                    f"{part!r} is no part of a look. Parts are name=value, joined by &: {known_names}."
                )
            if name == "select":
                known[name] = _split(value)
            elif name == "moment":
                if not value.isdecimal():
                    raise UserError(f"The moment of a look is the number of an event, not {value!r}.")
                known[name] = int(value)
            elif name in _OWN:
                known[name] = value
            else:
                options[name] = _plain(value)
        return cls(**known, options=options)

    def changed(self, other: Look) -> frozenset[str]:
        """The names of what is different in the other."""
        return frozenset(
            one.name for one in fields(self) if getattr(self, one.name) != getattr(other, one.name)
        )


def _value(value: Any) -> str:
    """Words as they are, unless they would be read as something else."""
    if isinstance(value, str) and _plain(value) == value:
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _joined(names: tuple[str, ...]) -> str:
    """Names with what they begin with in common told once: ``model.layers.{1.mlp.up,2.mlp.up}``."""
    if len(names) < 2 or any(sign in name for name in names for sign in ",{}"):
        return json.dumps(names) if any(sign in name for name in names for sign in ",{}") else ",".join(names)
    columns = zip(*(name.split(".")[:-1] for name in names), strict=False)
    common = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
    if not common:
        return ",".join(names)
    start = ".".join(common) + "."
    return start + "{" + ",".join(name[len(start) :] for name in names) + "}"


def _split(text: str) -> tuple[str, ...]:
    if text.startswith("["):
        names = _plain(text)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError("The selection of a look is a list of names.")
        return tuple(names)
    start, brace, rest = text.partition("{")
    if brace and rest.endswith("}"):
        return tuple(start + name for name in rest[:-1].split(",") if name)
    return tuple(name for name in text.split(",") if name)
