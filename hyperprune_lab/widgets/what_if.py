"""What-if questions asked from a view: one after the other, each with its progress and its answer.

Knows nothing about widgets or diagnoses. Nothing here waits: a thread of its own looks at the inquiry, and whoever
asked is told when there is something new to see.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hyperprune_lab.pipeline.inquiry import Inquiries, Inquiry
from hyperprune_lab.views.findings import Trial

_LOOK_SECONDS = 0.15
_KEPT = 40


class Trials:
    """The trials about runs, the newest first. ``changed`` is called, in any thread, when they are others."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.RLock()
        self._inquiries: Inquiries | None = None
        self._made: list[tuple[Path, Trial]] = []
        self._asked: dict[int, Inquiry] = {}
        self._watcher: threading.Thread | None = None
        self._count = 0
        self._closed = False
        self.version = 0

    def of(self, path: Path) -> tuple[Trial, ...]:
        """Those about the run in this folder."""
        with self._lock:
            return tuple(trial for run, trial in self._made if run == path)

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        with self._lock:
            return bool(self._asked)

    def warm(self) -> None:
        """Have the process at hand: its first answer takes seconds longer otherwise."""
        with self._lock:
            if not self._closed and self._watcher is None:
                threading.Thread(target=self._warm, name="hyperprune-lab what-if", daemon=True).start()

    def ask(self, path: Path, module: str, setting: Mapping[str, Any]) -> Inquiry:
        """Ask what another setting would change; the same question about a run is not asked twice at once."""
        with self._lock:
            for run, trial in self._made:
                if trial.number in self._asked and (run, trial.setting) == (path, setting):
                    return self._asked[trial.number]
            inquiry = self._questions().ask("what-if", {"run": str(path), **setting})
            self._count += 1
            self._asked[self._count] = inquiry
            self._made.insert(0, (path, Trial(self._count, module, dict(setting), progress="waiting")))
            del self._made[_KEPT:]
            if self._watcher is None:
                self._watcher = threading.Thread(
                    target=self._watch, name="hyperprune-lab what-if", daemon=True
                )
                self._watcher.start()
        self._tell()
        return inquiry

    def cancel(self, number: int | None = None) -> None:
        """Give up one question, or all."""
        with self._lock:
            chosen = [one for key, one in self._asked.items() if number in (None, key)]
        # Giving up waits for the process to end, which no click should.
        for inquiry in chosen:
            threading.Thread(target=inquiry.cancel, daemon=True).start()

    def forget(self, number: int) -> None:
        """Take a trial that is over off the list."""
        with self._lock:
            self._made = [pair for pair in self._made if pair[1].number != number or number in self._asked]
        self._tell()

    def close(self, seconds: float = 2.0) -> None:
        """End the process; what was not answered is cancelled."""
        with self._lock:
            self._closed = True
            inquiries, self._inquiries = self._inquiries, None
            watcher = self._watcher
        if inquiries is not None:
            inquiries.close()
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(seconds)

    # -- inside

    def _warm(self) -> None:
        with self._lock:
            if not self._closed:
                self._questions().warm()

    def _questions(self) -> Inquiries:
        if self._inquiries is None:
            self._inquiries = Inquiries()
        return self._inquiries

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._asked:
                    self._watcher = None
                    return
                first = next(iter(self._asked.values()))
            first.wait(_LOOK_SECONDS)
            if self._look():
                self._tell()

    def _look(self) -> bool:
        """Take over what has come; whether it is anything new."""
        with self._lock:
            before = list(self._made)
            for number, inquiry in list(self._asked.items()):
                self._made = [
                    (path, _as_it_stands(trial, inquiry) if trial.number == number else trial)
                    for path, trial in self._made
                ]
                if inquiry.done:
                    del self._asked[number]
            return self._made != before

    def _tell(self) -> None:
        with self._lock:
            self.version += 1
        self._changed()


def _as_it_stands(trial: Trial, inquiry: Inquiry) -> Trial:
    if not inquiry.done:
        progress = inquiry.progress or {}
        share = progress.get("share")
        told = str(progress.get("text", "")) or "starting the process that answers"
        return replace(trial, progress=told, share=None if share is None else float(share))
    if inquiry.cancelled:
        return replace(trial, state="cancelled", progress="", share=None)
    if inquiry.error is not None:
        return replace(trial, state="failed", error=inquiry.error, progress="", share=None)
    return replace(trial, state="done", answer=inquiry.answer, progress="", share=None)


def unable() -> str:
    """Why nothing can be tried here; empty where it can."""
    if find_spec("torch") is None:
        return "What-if needs torch, which is not installed here: open the run where it was made."
    return ""
