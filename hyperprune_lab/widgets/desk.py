"""The desk: what linked views share - which run, which moment, what is selected.

Knows nothing about how views look or how they reach the browser. Plain Python: a notebook cell, a message from the
browser and the pump may all change it, from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.widgets.status import EMPTY, Status, status_of

if TYPE_CHECKING:
    from hyperprune_lab.widgets.pump import Pump

Listener = Callable[[frozenset[str]], None]
THEMES = ("auto", "light", "dark")


@dataclass(frozen=True)
class Now:
    """What a view is to show: the desk as it stood at one instant, and the last event to be drawn.

    Everything is drawn as of ``seq``; ``replayed`` says that a person chose that moment, so that it is not the newest.
    """

    run: Run | None
    reference: Run | None = None
    seq: int = 0
    replayed: bool = False
    status: Status = EMPTY
    selection: tuple[str, ...] = ()
    groups: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    hovered_channel: tuple[str, int] | None = None
    scope: Mapping[str, str] = field(default_factory=dict)
    theme: str = "auto"
    following: bool = True

    @property
    def focus(self) -> str | None:
        """The module that single-module views show: the first selected."""
        return self.selection[0] if self.selection else None


class Desk(traitlets.HasTraits):
    """The shared state of a set of linked views. Views that are given the same desk move together."""

    run = traitlets.Instance(Run, allow_none=True, help="The run that is shown.")
    reference = traitlets.Instance(Run, allow_none=True, help="The run to hold it against.")
    selection = traitlets.Tuple(help="Modules a person looks at; the first is the focus.")
    groups = traitlets.Dict(help="module -> (row, group): where the mask explorer stands.")
    moment = traitlets.Int(None, allow_none=True, min=0, help="Draw as of this event; None: the newest.")
    theme = traitlets.Enum(THEMES, default_value="auto")
    hovered_channel: Any = traitlets.Tuple(default_value=None, allow_none=True, help="(module, channel).")
    scope = traitlets.Dict(help="module -> 'dense' or a pattern: what a next run shall do differently.")
    following = traitlets.Bool(True, help="Whether the selection goes with a live run.")

    def __init__(
        self, run: Run | Path | str | None = None, *, reference: Run | Path | str | None = None
    ) -> None:
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._leading = False
        self._status: tuple[object, Status] | None = None
        self.wanted: tuple[str, dict[str, Any]] | None = None
        """The view that was asked for and that is not there yet, and the choices to make in it."""
        self._taken = False
        super().__init__()
        from hyperprune_lab.widgets.pump import Pump

        self.pump: Pump = Pump(self)
        self.observe(self._changed, list(self.trait_names()))
        if reference is not None:
            self.reference = as_run(reference)
        if run is not None:
            self.open(run)

    # -- what a person does

    def open(self, run: Run | Path | str) -> Desk:
        """Show another run, from its newest moment on; a selection that it does not know is dropped.

        Raises:
            UserError: this is no run, or a damaged one.
        """
        opened = as_run(run)
        modules = {row["name"] for row in opened.started.get("coverage", [])}
        with self._lock:
            self.moment = None
            self._lead_to(tuple(name for name in self.selection if name in modules))
            self.run = opened
            self.following = not self.selection
        self.lead()
        return self

    def follow(self) -> None:
        """Go back to the newest moment, and let the selection go with a live run."""
        with self._lock:
            self.moment = None
            self.following = True
        self.lead()

    def select(self, modules: Iterable[str]) -> None:
        """Select modules, as a person does: the first is the focus, and a live run leads no longer."""
        with self._lock:
            self.following = False
            self.selection = tuple(dict.fromkeys(modules))

    def show(self, view: str, **options: Any) -> None:
        """Ask for a view by its ``view_name``, with these choices made in it, wherever it is shown.

        Listeners are told ``wanted``. If there is no such view yet, one that is made later takes it.
        """
        with self._lock:
            self.wanted = (view, options)
        self.tell("wanted")
        with self._lock:
            if self._taken:
                self.wanted, self._taken = None, False

    def take(self, view: str) -> dict[str, Any]:
        """The choices that were asked for in this view; empty where it was not asked for."""
        with self._lock:
            if self.wanted is None or self.wanted[0] != view:
                return {}
            self._taken = True
            return dict(self.wanted[1])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else changes the desk meanwhile."""
        with self._lock:
            yield

    def close(self) -> None:
        """Stop the pump; views keep their last picture."""
        self.pump.stop()

    def settle(self, seconds: float = 10.0) -> bool:
        """Wait until every view shows the present state; False if that takes longer. Not from a listener."""
        return self.pump.settle(seconds)

    # -- what views need

    def now(self) -> Now:
        """The state at this instant, in one piece.

        Raises:
            UserError: the record cannot be read.
        """
        with self._lock:
            shared: dict[str, Any] = {
                "run": self.run,
                "reference": self.reference,
                "selection": self.selection,
                "groups": dict(self.groups),
                "hovered_channel": self.hovered_channel,
                "scope": dict(self.scope),
                "theme": self.theme,
                "following": self.following,
            }
            run, moment = self.run, self.moment
        if run is None:
            return Now(**shared)
        last = run.last_seq
        seq = last if moment is None else min(moment, last)
        replayed = seq < last
        return Now(**shared, seq=seq, replayed=replayed, status=self._status_of(run, seq, replayed))

    def connect(self, listener: Listener) -> Callable[[], None]:
        """Be told what changed: names of traits, or ``record`` when the run has grown. Returns how to stop that.

        A listener is called by whichever thread made the change; it must be quick and must not wait.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def lead(self) -> None:
        """Unless a person has selected: select the worst module of a finished run, the newest block of a live one."""
        with self._lock:
            run = self.run
            if run is None or not self.following or self.moment is not None:
                return
        led = _deserves_a_look(run)
        if led is None:
            return
        with self._lock:
            if self.run is run and self.following and self.moment is None:
                self._lead_to((led,))

    def tell(self, *names: str) -> None:
        """Tell the listeners that something changed."""
        for listener in tuple(self._listeners):
            listener(frozenset(names))

    # -- inside

    def __setattr__(self, name: str, value: Any) -> None:
        lock = self.__dict__.get("_lock")
        if lock is None:
            super().__setattr__(name, value)
            return
        with lock:
            super().__setattr__(name, value)

    @traitlets.validate("selection")
    def _modules(self, proposal: Any) -> tuple[str, ...]:
        return tuple(str(name) for name in dict.fromkeys(proposal["value"]))

    def _changed(self, change: Any) -> None:
        # Whoever selects something wants to look at it, wherever a live run goes meanwhile.
        if change["name"] == "selection" and not self._leading:
            self.following = False
        self.tell(change["name"])

    def _lead_to(self, modules: tuple[str, ...]) -> None:
        """Select on behalf of the run, not of a person."""
        with self._lock:
            self._leading = True
            try:
                self.selection = modules
            finally:
                self._leading = False

    def _status_of(self, run: Run, seq: int, replayed: bool) -> Status:
        # A live run may end without an event.
        key = (run, seq, replayed, run.state)
        if self._status is None or self._status[0] != key:
            self._status = (key, status_of(run, seq, replayed))
        return self._status[1]


def _deserves_a_look(run: Run) -> str | None:
    """The module with the largest error of a finished run; of a live one, the first of the newest block."""
    decided = run.modules().to_dict("records")
    if not decided:
        return None
    if run.state == "finished":
        return str(max(decided, key=lambda row: np.nan_to_num(row.get("error_rel", 0.0)))["module"])
    newest = max(decided, key=lambda row: row["seq"])
    return str(next(row["module"] for row in decided if row["block"] == newest["block"]))


def as_run(run: Run | Path | str) -> Run:
    """The run itself, or the one in this directory."""
    return run if isinstance(run, Run) else open_run(run)


def as_desk(source: Desk | Run | Path | str | None, reference: Run | Path | str | None = None) -> Desk:
    """The desk itself, or a new one with this run."""
    if not isinstance(source, Desk):
        return Desk(source, reference=reference)
    if reference is not None:
        source.reference = as_run(reference)
    return source
