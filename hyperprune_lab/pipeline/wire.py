"""Events as lines of text between two processes: every field but the arrays.

Knows nothing about processes or pipes. Numbers that JSON lacks survive; arrays, which belong into the record, arrive
empty.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from hyperprune_lab import events
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Arrays, Event
from hyperprune_lab.record import values

KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
_SOURCE = "the stream of a run's events"


def encode(event: Event) -> str:
    """One line of ASCII; raises ``TypeError`` for a field that holds what JSON cannot."""
    hints = _hints(type(event))
    kept = {name: getattr(event, name) for name, hint in hints.items() if not _is_array(hint)}
    return values.encode({"kind": type(event).__name__, "fields": kept})


def decode(line: str) -> Event:
    """The event of a line; raises ``UserError`` for a line that :func:`encode` did not write."""
    found = values.decode(line, _SOURCE)
    kind = KINDS.get(str(found.get("kind"))) if isinstance(found, dict) else None
    if kind is None or not isinstance(found.get("fields"), dict):
        raise UserError(f"{_SOURCE} is damaged: {line[:60]!r} is no event of this version.")
    given = found["fields"]
    hints = _hints(kind)
    if given.keys() != {name for name, hint in hints.items() if not _is_array(hint)}:
        raise UserError(f"{_SOURCE} is damaged: {kind.__name__} has other fields here.")
    made: Event = kind(**{name: _restored(hint, given.get(name)) for name, hint in hints.items()})
    return made


def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind, vars(events))
    return {item.name: hints[item.name] for item in fields(kind)}


def _is_array(hint: Any) -> bool:
    return hint is np.ndarray or hint == Arrays


def _restored(hint: Any, value: Any) -> Any:
    """A field's value: lists become the tuples that they were, arrays are empty."""
    if hint is np.ndarray:
        return np.zeros((0, 0), dtype=bool)
    if hint == Arrays:
        return {}
    return tuple(value) if get_origin(hint) is tuple else value
