"""The looks a person has had, for going back.

Knows nothing about what a look shows. A walk through one thing - a replay, arrow keys over a map - is one step back.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from hyperprune_lab.record.reader import Run
from hyperprune_lab.widgets.look import Look

MOST = 100
TOGETHER_SECONDS = 1.0
"""Changes of the same things within this time are one."""


class Past(NamedTuple):
    """A look, with the runs that it was a look at, and whether it went with a live run."""

    look: Look
    run: Run | None
    reference: Run | None
    following: bool


class History:
    """``note`` is told of every look; ``back`` gives the one before the present."""

    def __init__(self) -> None:
        self.paused = False
        self._present: Past | None = None
        self._past: list[Past] = []
        self._moved: tuple[frozenset[str], float] = (frozenset(), 0.0)

    @property
    def can_go_back(self) -> bool:
        """Whether there is anything to go back to."""
        return bool(self._past)

    def begin(self, present: Past) -> None:
        """This is what is looked at; nothing new."""
        self._present = present
        self._moved = (frozenset(), 0.0)

    def note(self, present: Past) -> None:
        """What is looked at now. A selection that goes with a live run is nobody's look."""
        before = self._present
        if self.paused or before is None:
            return
        changed = before.look.changed(present.look)
        if not changed:
            return
        self._present = present
        if present.following and changed == {"select"}:
            return
        last, moment = self._moved
        now = time.monotonic()
        self._moved = (changed, now)
        together = changed == last and (changed == {"moment"} or now - moment < TOGETHER_SECONDS)
        if not together:
            self._past = [*self._past[1 - MOST :], before]

    def back(self) -> Past | None:
        """The look before the present one, None if there is none."""
        if not self._past:
            return None
        self._present = self._past.pop()
        return self._present
