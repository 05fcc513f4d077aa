"""The steps of a run, read once: while it goes on, only what is new is read again; so are answers that seldom change.

Knows nothing about what the numbers mean. ``network.steps`` gives the same table from the record in one go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import pandas as pd

from hyperprune_lab.record.reader import RecordedEvent, Run

_PLACE = ["seq", "stage", "block", "step"]
Answer = TypeVar("Answer")


class _Log:
    """What is known of one run; holds nothing of the run itself."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.generation = -1
        self.table = _as_table([])
        self.answers: dict[str, tuple[object, object]] = {}


_LOGS: WeakKeyDictionary[Run, _Log] = WeakKeyDictionary()
_GUARD = threading.Lock()


def step_table(run: Run, as_of: int | None = None) -> pd.DataFrame:
    """Every step in which a network was trained, up to event ``as_of``: the rows and columns of ``network.steps``,
    and NaN in columns that are measured later only.
    """
    log = _log_of(run)
    with log.lock:
        if log.generation != run.generation:
            # After a resume, events that were read may no longer be those of the record.
            log.generation, log.table = run.generation, _as_table([])
        known = int(log.table["seq"].iloc[-1]) if len(log.table) else 0
        trained = [one for one in run.events(known, ("StepMeasured",)) if "temperature" in one.scalars]
        if trained:
            new = _as_table(trained)
            log.table = pd.concat([log.table, new], ignore_index=True) if len(log.table) else new
            log.table["axis"] = range(len(log.table))
        table = log.table
    return table if as_of is None else table.iloc[: int(table["seq"].searchsorted(as_of, "right"))]


@dataclass(frozen=True)
class Milestone:
    """The last event that matters, up to a moment: as long as it stays, so do answers that depend on such events."""

    run: Run
    key: tuple[int, int, int]

    @classmethod
    def of(cls, run: Run, kinds: tuple[str, ...], as_of: int) -> Milestone:
        """The newest event of ``kinds``, at all and up to event ``as_of``."""
        return cls(run, (run.generation, run.newest_seq(kinds), run.newest_seq(kinds, as_of)))

    @property
    def seq(self) -> int:
        """Number of that event; 0 before the first."""
        return self.key[2]

    def remember(self, name: str, make: Callable[[], Answer], more: object = None) -> Answer:
        """``make()``, or what it gave last time if neither the milestone nor ``more`` has changed since."""
        log, key = _log_of(self.run), (self.key, more)
        with log.lock:
            kept = log.answers.get(name)
        if kept is not None and kept[0] == key:
            return kept[1]  # type: ignore[return-value]
        answer = make()
        with log.lock:
            log.answers[name] = (key, answer)
        return answer


def _log_of(run: Run) -> _Log:
    with _GUARD:
        log = _LOGS.get(run)
        if log is None:
            log = _LOGS[run] = _Log()
        return log


def _as_table(trained: list[RecordedEvent]) -> pd.DataFrame:
    rows = [{"seq": e.seq, "stage": e.stage, "block": e.block, "step": e.step, **e.scalars} for e in trained]
    table = pd.DataFrame(rows, columns=None if rows else _PLACE)
    table = table.astype({"seq": "int64", "block": "Int64", "step": "int64"})
    table.insert(0, "axis", range(len(table)))
    return table
