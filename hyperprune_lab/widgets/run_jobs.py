"""What takes a moment, done beside the interface: looking before a run, starting, resuming and steering runs.

Knows nothing about widgets. Nothing here blocks: work runs in threads of its own, and whoever asked is told when there
is something new to see. A run that was started lives in a process of its own and outlives all of this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.controller import take_reins
from hyperprune_lab.pipeline.inquiry import Inquiries, Inquiry
from hyperprune_lab.pipeline.launch import background_threads, launch, resume_detached, steer
from hyperprune_lab.runs import new_folder
from hyperprune_lab.views.run_control import Looked, Work
from hyperprune_lab.widgets.start_form import Request

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class JobState:
    """How things stand: the newest look before a run and what it was about, what is being done, what went wrong."""

    asked: Request | None = None
    looked: Looked | None = None
    work: Work | None = None
    trouble: str | None = None
    version: int = 0


class Jobs:
    """One large piece of work at a time (a check, a start, a resumption), small ones beside it.

    ``changed`` is called, in any thread, when the state is another; ``begun`` with the folder of a run that has begun
    or gone on. ``token`` is who steers the runs that are started here.
    """

    def __init__(self, token: str, changed: Callable[[], None], begun: Callable[[Path], None]) -> None:
        self._token = token
        self._changed = changed
        self._begun = begun
        self._lock = threading.RLock()
        self._state = JobState()
        self._inquiries: Inquiries | None = None
        self._inquiry: Inquiry | None = None
        self._threads: set[threading.Thread] = set()
        self._closed = False
        self._expected: dict[Path, Mapping[str, Any]] = {}

    @property
    def state(self) -> JobState:
        """How things stand at this instant."""
        return self._state

    def expected(self, path: Path) -> Mapping[str, Any] | None:
        """What was found before the run in this folder began, if it was started here."""
        return self._expected.get(path.absolute())

    # -- asked for by a person; none of them waits

    def warm(self) -> None:
        """Have the process at hand that looks before runs: its first answer takes seconds otherwise."""
        self._go(None, lambda: self._questions().warm())

    def check(self, request: Request, home: Path, runs: tuple[Path, ...]) -> None:
        """Look before the run."""
        self._go(Work("checking", cancellable=True), lambda: self._check(request, home, runs))

    def start(self, request: Request, home: Path, runs: tuple[Path, ...]) -> None:
        """Look before the run, unless that was just done, and begin it if nothing stands in its way."""
        self._go(Work("checking", cancellable=True), lambda: self._start(request, home, runs))

    def resume(self, path: Path) -> None:
        """Go on with an interrupted run."""
        self._go(Work("resuming", path.name), lambda: self._resume(path))

    def steer(self, path: Path, word: str, then: Callable[[], None]) -> None:
        """Tell the process that writes this run to ``run``, ``pause`` or ``stop``; then have a look."""

        def tell() -> None:
            steer(path, word)
            then()

        self._go(None, tell)

    def take_over(self, path: Path, then: Callable[[], None]) -> None:
        """Steer this run from here, whoever did before."""

        def take() -> None:
            take_reins(path, self._token)
            then()

        self._go(None, take)

    def do(self, work: Callable[[], None]) -> None:
        """Something small that may wait for a disk; what goes wrong is told."""
        self._go(None, work)

    def cancel(self) -> None:
        """Give up the look that is on its way, and the start behind it."""
        inquiry = self._inquiry
        if inquiry is not None:
            self._go(None, inquiry.cancel)

    def dismiss(self) -> None:
        """What went wrong was read."""
        self._put(trouble=None)

    def close(self, seconds: float = 2.0) -> None:
        """End what is on its way here; runs that have begun go on."""
        with self._lock:
            self._closed = True
            inquiries, self._inquiries = self._inquiries, None
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        if inquiries is not None:
            inquiries.close()
        for thread in threads:
            thread.join(seconds)

    # -- inside

    def _go(self, large: Work | None, work: Callable[[], object]) -> None:
        """Do it in a thread; of large pieces of work only one, further ones are not taken."""

        def run() -> None:
            try:
                work()
            except (UserError, OSError) as error:
                self._put(trouble=str(error))
            except Exception as error:  # nobody above this thread could tell the person
                self._put(trouble=f"{type(error).__name__}: {error}")
            finally:
                if large is not None:
                    self._put(work=None)
                with self._lock:
                    self._threads.discard(threading.current_thread())

        with self._lock:
            if self._closed or (large is not None and self._state.work is not None):
                return
            if large is not None:
                self._put(work=large, trouble=None)
            thread = threading.Thread(target=run, name="hyperprune-lab job", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _put(self, **news: Any) -> None:
        with self._lock:
            same = all(getattr(self._state, name) == value for name, value in news.items())
            if same:
                return
            self._state = replace(self._state, **news, version=self._state.version + 1)
        self._changed()

    def _questions(self) -> Inquiries:
        with self._lock:
            if self._closed:
                raise UserError("this run control is closed")
            if self._inquiries is None:
                self._inquiries = Inquiries()
            return self._inquiries

    def _check(self, request: Request, home: Path, runs: tuple[Path, ...]) -> Looked | None:
        """The look; None where it was given up."""
        out = _folder(request, home)
        asked = {"config": dict(request.settings), "out": str(out), "shelf": [str(folder) for folder in runs]}
        inquiry = self._inquiry = self._questions().ask("check", asked)
        looked = Looked("asking")
        self._put(asked=request, looked=looked)
        while not inquiry.wait(_LOOK_SECONDS):
            progress = inquiry.progress or {}
            self._put(looked=Looked("asking", True, str(progress.get("text", "")), progress.get("share")))
        self._inquiry = None
        if inquiry.cancelled:
            self._put(asked=None, looked=None)
            return None
        if inquiry.error is not None:
            looked = Looked("failed", True, inquiry.error)
        else:
            looked = Looked("done", answer=inquiry.answer)
        self._put(looked=looked)
        return looked

    def _start(self, request: Request, home: Path, runs: tuple[Path, ...]) -> None:
        state = self._state
        looked: Looked | None = state.looked if state.asked == request else None
        if looked is None or looked.state != "done":
            looked = self._check(request, home, runs)
        if looked is None or (looked.state == "done" and not looked.ok):
            return  # given up, or what stands in the way is told at its field
        out = _folder(request, home)
        self._put(work=Work("starting", out.name))
        launch(RunConfig.from_json(dict(request.settings)), out, detach=True, threads=background_threads())
        if looked.answer is not None:
            self._expected[out.absolute()] = looked.answer
        self._put(asked=None, looked=None)
        self._taken(out)
        # The process that looked holds memory and cores that the run needs now.
        with self._lock:
            inquiries, self._inquiries = self._inquiries, None
        if inquiries is not None:
            inquiries.close()

    def _resume(self, path: Path) -> None:
        resume_detached(path)
        self._taken(path)

    def _taken(self, path: Path) -> None:
        take_reins(path, self._token)
        self._begun(path)


def _folder(request: Request, home: Path) -> Path:
    """Where the record of a run goes that begins now."""
    if request.out:
        return Path(request.out).expanduser().absolute()
    return new_folder(home, str(request.settings["method"]), str(request.settings["pattern"]))
