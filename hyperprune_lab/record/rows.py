"""An event as rows of the database: columns, JSON payload, scalars.

Knows nothing about transactions or files; arrays are left to ``artefacts``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import NamedTuple

from hyperprune_lab.events import (
    EvaluationFinished,
    Event,
    InputMeasured,
    ModuleDecided,
    ModuleMeasured,
    StepMeasured,
)
from hyperprune_lab.record.values import encode, storable

_COLUMNS = frozenset({"stage", "block", "step"})
_ARRAYS = frozenset({"arrays", "mask", "weights"})
_SUBJECT: dict[type, str] = {
    ModuleDecided: "module",
    ModuleMeasured: "module",
    InputMeasured: "input",
    EvaluationFinished: "subject",
}


@dataclass(frozen=True)
class EventColumns:
    """The columns of the table ``event`` but the last, which holds what no column is for."""

    seq: int
    time: float
    kind: str
    stage: str | None
    block: int | None
    step: int | None
    subject: str | None


@dataclass(frozen=True)
class EventRow(EventColumns):
    """One row of the table ``event``; ``payload`` is JSON."""

    payload: str

    def cells(self) -> tuple[object, ...]:
        """In the order of the table's columns."""
        return tuple(getattr(self, name) for name in EVENT_COLUMNS)


EVENT_COLUMNS = tuple(column.name for column in fields(EventRow))
"""The table's columns in order."""


class MetricRow(NamedTuple):
    """One row of the table ``metric``; a value of None is NaN."""

    seq: int
    name: str
    value: float | None


def event_rows(event: Event, seq: int) -> tuple[EventRow, list[MetricRow]]:
    """The event's row and its scalars' rows.

    Raises:
        TypeError: a field holds something that JSON cannot, or a scalar that is no number.
    """
    kind = type(event)
    scalars_field = "values" if kind is StepMeasured else "scalars"
    subject_field = _SUBJECT.get(kind, "")
    elsewhere = _COLUMNS | _ARRAYS | {scalars_field, subject_field}
    payload = {
        entry.name: getattr(event, entry.name) for entry in fields(event) if entry.name not in elsewhere
    }
    if isinstance(event, ModuleDecided):
        payload["shape"] = list(event.mask.shape)
    scalars: dict[str, float] = getattr(event, scalars_field, {})
    metrics = []
    for name, value in scalars.items():
        number = float(value)
        metrics.append(MetricRow(seq, storable(name), None if number != number else number))
    row = EventRow(
        seq,
        time.time(),
        kind.__name__,
        _optional_text(getattr(event, "stage", None)),
        getattr(event, "block", None),
        getattr(event, "step", None),
        _optional_text(getattr(event, subject_field) if subject_field else None),
        encode(payload),
    )
    return row, metrics


def _optional_text(text: str | None) -> str | None:
    return None if text is None else storable(text)
