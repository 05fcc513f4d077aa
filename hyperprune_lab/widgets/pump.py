"""The pump: the one background thread of a desk, which looks at the record and brings the views up to date.

Knows nothing about what a view shows. It is the only writer of every view's synced traits: two writers on one
widget lose messages. Cells and messages from the browser change the desk, or leave a question; the pump does the
rest, so that it does not matter in which thread they ran.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run

if TYPE_CHECKING:
    from hyperprune_lab.widgets.desk import Desk

SHORTEST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 1.0
STALE_POLL_SECONDS = 2.0
"""How often a run that has stopped or was interrupted is looked at: it may be resumed."""
FRAME_SECONDS = 0.1
"""The shortest time between two updates of one view."""
LINGER_SECONDS = 1.0
"""How long the thread stays when there is nothing to do."""


_Seen = tuple[Run | None, int, int, str]

_log = logging.getLogger(__name__)


@runtime_checkable
class Refreshed(Protocol):
    """A view, as the pump sees it."""

    def refresh(self) -> None:
        """Show the present state of the desk. Never raises."""


class Pump:
    """Runs while there is something to do and then ends by itself; started again by whoever changes something."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._busy = False
        self._views: list[Refreshed] = []
        self._due: dict[int, float] = {}
        self._stale: set[int] = set()
        self._asked: deque[Callable[[], None]] = deque()
        self._interval = SHORTEST_POLL_SECONDS
        self._next_poll: float | None = None
        self._seen: _Seen = (None, -1, -1, "")
        self._disconnect = desk.connect(self._desk_changed)

    def __enter__(self) -> Pump:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- called from any thread

    def attach(self, view: Refreshed) -> None:
        """Keep this view up to date from now on. It has already drawn itself once."""
        with self._condition:
            if view not in self._views:
                self._views.append(view)
                self._due[id(view)] = time.monotonic()
                self._next_poll = time.monotonic()
            self._awake()

    def detach(self, view: Refreshed) -> None:
        """Leave this view alone."""
        with self._condition:
            if view in self._views:
                self._views.remove(view)
            self._due.pop(id(view), None)
            self._stale.discard(id(view))

    def wake(self, view: Refreshed) -> None:
        """This view shows something old."""
        with self._condition:
            if id(view) in self._due:
                self._stale.add(id(view))
                self._awake()

    def do(self, work: Callable[[], None]) -> None:
        """Run ``work`` in the pump's thread, soon: answers to the browser's questions. It must not raise."""
        with self._condition:
            self._asked.append(work)
            self._awake()

    def settle(self, seconds: float = 10.0) -> bool:
        """Wait until nothing is left to do and the record has been looked at since now; False if that takes longer."""
        if threading.current_thread() is self._thread:
            return False
        end = time.monotonic() + seconds
        with self._condition:
            if self._views and not self._stopped:
                self._next_poll = time.monotonic()
                self._awake()
            while self._asked or self._stale or self._busy or self._poll_is_due():
                left = end - time.monotonic()
                if left <= 0 or self._stopped:
                    return False
                self._condition.wait(min(left, 0.05))
        return True

    def stop(self, seconds: float = 5.0) -> None:
        """End the thread for good and wait for it."""
        self._disconnect()
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    @property
    def running(self) -> bool:
        """Whether there is a thread now."""
        with self._condition:
            return self._thread is not None

    # -- inside

    def _desk_changed(self, names: frozenset[str]) -> None:
        with self._condition:
            if "run" in names:
                self._next_poll, self._interval = time.monotonic(), SHORTEST_POLL_SECONDS
            # The selection, the theme and the like stand on every view's frame, whatever its picture shows.
            self._stale.update(self._due)
            if self._due:
                self._awake()

    def _awake(self) -> None:
        """Have a thread, and let it look. The condition is held."""
        if self._stopped:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="hyperprune-lab pump", daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def _poll_is_due(self) -> bool:
        return self._next_poll is not None and self._next_poll <= time.monotonic()

    def _loop(self) -> None:
        while True:
            with self._condition:
                if not self._wait_for_work():
                    self._thread = None
                    self._condition.notify_all()
                    return
                self._busy = True
                asked = [self._asked.popleft() for _ in range(len(self._asked))]
                poll = self._poll_is_due()
                if poll:
                    self._next_poll = None  # a look that is asked for from now on is another one
            try:
                for work in asked:
                    self._guarded(work)
                if poll:
                    self._guarded(self._poll)
                for view in self._take_due():
                    self._guarded(view.refresh)
            finally:
                with self._condition:
                    self._busy = False
                    self._condition.notify_all()

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False when the thread is to end. The condition is held."""
        idle_since = time.monotonic()
        while not self._stopped:
            now = time.monotonic()
            times = [self._due[key] for key in self._stale if key in self._due]
            if self._next_poll is not None and self._views:
                times.append(self._next_poll)
            if self._asked or any(moment <= now for moment in times):
                return True
            if not times and now - idle_since >= LINGER_SECONDS:
                return False
            self._condition.wait(min(times) - now if times else LINGER_SECONDS)
        return False

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # Nobody above this thread could mend it; the others go on.
            _log.exception("the pump failed at %s", work)

    def _take_due(self) -> list[Refreshed]:
        now = time.monotonic()
        with self._condition:
            due = [view for view in self._views if id(view) in self._stale and self._due[id(view)] <= now]
            for view in due:
                self._stale.discard(id(view))
                self._due[id(view)] = now + FRAME_SECONDS
        return due

    def _poll(self) -> None:
        """Look at the record: mark the views whose events it has grown by, and choose when to look again."""
        run = self._desk.run
        try:
            seen: _Seen = (None, -1, -1, "")
            if run is not None:
                seen = (run, run.last_seq, run.generation, run.state)
        except UserError:
            # Each view says what is wrong when it draws itself; the record may come back.
            seen = (run, -1, -1, "unreadable")
        before, self._seen = self._seen, seen
        try:
            if seen != before:
                self._lead(run, before)
                self._desk.tell("record")
        finally:
            with self._condition:
                later = self._when(seen, seen != before)
                if self._next_poll is None:
                    self._next_poll = later

    def _lead(self, run: Run | None, before: _Seen) -> None:
        """Let the selection follow the run when something was decided."""
        with contextlib.suppress(UserError):
            since = before[1] if before[0] is run else -1
            if run is not None and run.newest_seq(("ModuleDecided", "RunFinished")) > since:
                self._desk.lead()

    def _when(self, seen: _Seen, moved: bool) -> float | None:
        run, _, _, state = seen
        self._interval = SHORTEST_POLL_SECONDS if moved else min(LONGEST_POLL_SECONDS, 1.5 * self._interval)
        if run is None or state == "finished":
            return None
        wait = self._interval if state == "running" else STALE_POLL_SECONDS
        return time.monotonic() + wait
