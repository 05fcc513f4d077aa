"""Diagnoses of a run as it grows, made beside the pump so that no other view waits for one.

Knows nothing about widgets or what a diagnosis says.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from hyperprune_lab.analysis.diagnosis import Diagnosis, diagnose
from hyperprune_lab.record.reader import Run

_KEPT = 24
_COLUMNS = ("module", "block", "local", "error", "times", "damage", "damage_se", "cause", "severity")

NOTHING_YET = Diagnosis((), pd.DataFrame(columns=[*_COLUMNS, "rank_damage", "rank_error"]))

_Key = tuple[Run, int, int]


class Found(NamedTuple):
    """A diagnosis, and whether it is that of the moment asked for; None: there is none yet."""

    diagnosis: Diagnosis | None
    present: bool


class Diagnoses:
    """``changed`` is called, in any thread, when a diagnosis has been made that somebody did not wait for."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._condition = threading.Condition()
        self._made: OrderedDict[_Key, Diagnosis | Exception] = OrderedDict()
        self._wanted: tuple[_Key, Run] | None = None
        self._at_work = False
        self.version = 0

    def of(self, run: Run, seq: int, patience: float | None = None) -> Found:
        """As of event ``seq``. Waits ``patience`` seconds at most (None: until it is there).

        Raises:
            UserError: the record is damaged.
        """
        key = (run, run.generation, seq)
        with self._condition:
            if key not in self._made and patience is not None:
                self._wanted = (key, run)
                if not self._at_work:
                    self._at_work = True
                    threading.Thread(target=self._work, name="hyperprune-lab diagnosis", daemon=True).start()
                self._condition.wait_for(lambda: key in self._made, patience)
            if key in self._made:
                return Found(self._kept(key), True)
            if patience is not None:
                earlier = [made for made in self._made if made[:2] == key[:2]]
                newest = self._made[earlier[-1]] if earlier else None
                return Found(newest if isinstance(newest, Diagnosis) else None, False)
        self._make(key, run)
        with self._condition:
            return Found(self._kept(key), True)

    def _kept(self, key: _Key) -> Diagnosis:
        self._made.move_to_end(key)
        made = self._made[key]
        if isinstance(made, Exception):
            del self._made[key]  # it may go better next time
            raise made
        return made

    def _make(self, key: _Key, run: Run) -> None:
        try:
            made: Diagnosis | Exception = diagnose(run, key[2])
        except Exception as error:  # told to whoever asks
            made = error
        with self._condition:
            self._made[key] = made
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            self._condition.notify_all()

    def _work(self) -> None:
        """Make what is wanted; of what was wanted meanwhile, only the last."""
        while True:
            with self._condition:
                wanted, self._wanted = self._wanted, None
                if wanted is None or wanted[0] in self._made:
                    self._at_work = False
                    return
            self._make(*wanted)
            with self._condition:
                self.version += 1
            self._changed()
