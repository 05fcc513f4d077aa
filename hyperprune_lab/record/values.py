"""Plain values as JSON text, with the three numbers that JSON lacks.

Knows nothing about events or tables. NaN and the infinities become ``{"$float": "nan" | "inf" |
"-inf"}``; a key that begins with ``$`` gets a second one, so that no data can be mistaken for the
marker.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from hyperprune_lab.errors import UserError

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(value: Any) -> str:
    """JSON text (ASCII) of None, booleans, numbers, strings, lists, tuples and dictionaries with string keys.

    Raises:
        TypeError: anything else; arrays belong into an event's array fields.
    """
    return json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def decode(text: str, source: str) -> Any:
    """Undo ``encode``; tuples come back as lists. ``source`` names the file in messages.

    Raises:
        UserError: ``text`` was not written by ``encode``.
    """
    try:
        return json.loads(text, object_hook=_restored, parse_constant=_refuse)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{source} is damaged: it holds a value that is not JSON ({error}).") from error


def storable(text: str) -> str:
    """Text that UTF-8 can hold: half a surrogate pair, legal only in Python, is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a recorded dictionary has text keys, not {key!r}")
        return {
            storable(f"${key}" if key.startswith("$") else key): _plain(item) for key, item in value.items()
        }
    raise TypeError(f"a value of type {type(value).__name__} cannot be recorded as JSON")


def _restored(pairs: dict[str, Any]) -> Any:
    if len(pairs) == 1 and "$float" in pairs:
        return _NON_FINITE[pairs["$float"]] if pairs["$float"] in _NON_FINITE else _refuse(pairs["$float"])
    return {key[1:] if key.startswith("$$") else key: item for key, item in pairs.items()}


def _refuse(constant: Any) -> Any:
    raise ValueError(f"{str(constant)[:20]!r} is no number")
