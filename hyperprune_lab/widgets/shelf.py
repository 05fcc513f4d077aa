"""Keeping an eye on folders of runs: what lies there now, and who steers what.

Knows nothing about widgets. One thread while somebody looks, none otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from hyperprune_lab.pipeline.controller import Controller, controller_of
from hyperprune_lab.shelf import ShelfEntry, shelf

BUSY_SECONDS = 0.5
"""How often the folders are looked at while a run is at work."""
QUIET_SECONDS = 3.0


class ShelfWatch:
    """The newest look at some folders. ``changed`` is called, in the thread that looked, when it shows something new.

    ``folders`` is asked for before each look: what is watched may change.
    """

    def __init__(self, folders: Callable[[], Sequence[Path]], changed: Callable[[], None]) -> None:
        self._folders = folders
        self._changed = changed
        self._condition = threading.Condition()
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._entries: tuple[ShelfEntry, ...] = ()
        self._reins: dict[Path, Controller | None] = {}
        self.looks = 0
        """How many looks have shown something new."""

    @property
    def entries(self) -> tuple[ShelfEntry, ...]:
        """The runs as of the newest look: live ones first, then newest."""
        return self._entries

    def entry(self, path: Path) -> ShelfEntry | None:
        """The run in this folder, as of the newest look."""
        wanted = path.absolute()
        return next((one for one in self._entries if one.path.absolute() == wanted), None)

    def reins(self, path: Path) -> Controller | None:
        """Who steered this run at the newest look; None where nobody did, or it is not running."""
        return self._reins.get(path.absolute())

    def look(self) -> None:
        """Look now, in this thread."""
        with self._looking:
            entries = tuple(shelf(self._folders()))
            reins = {one.path.absolute(): controller_of(one.path) for one in entries if one.running}
            news = (entries, reins) != (self._entries, self._reins)
            self._entries, self._reins = entries, reins
            self.looks += news
        if news:
            self._changed()

    def begin(self) -> None:
        """Look now and then from now on, in a thread."""
        with self._condition:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="hyperprune-lab shelf", daemon=True)
                self._thread.start()

    def end(self, seconds: float = 0.0) -> None:
        """Look no more; wait at most this long for the thread to be gone."""
        with self._condition:
            self._wanted = False
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread() and seconds > 0:
            thread.join(seconds)

    def _loop(self) -> None:
        while True:
            with self._condition:
                busy = any(one.running for one in self._entries)
                self._condition.wait(BUSY_SECONDS if busy else QUIET_SECONDS)
                if not self._wanted:
                    self._thread = None
                    return
            self.look()
