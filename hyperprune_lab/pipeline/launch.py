"""Runs in processes of their own, as interfaces begin, resume and steer them.

Knows nothing about numerics, and needs no torch: a notebook's kernel stays light and free while its runs compute.
A detached run loses nothing by a restarted kernel or a closed tab; whoever opens its record follows it again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import send
from hyperprune_lab.pipeline.process import WorkerProcess
from hyperprune_lab.record.lock import Owner
from hyperprune_lab.record.store import Store

_LOOK_SECONDS = 0.05


def background_threads() -> int:
    """Threads for a run beside an interface: all cores but one, so that the interface stays quick; at least one."""
    return max(1, usable_cores() - 1)


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def launch(config: RunConfig, out: Path | str, detach: bool = True, threads: int | None = None) -> int:
    """Start the run in a process of its own and return its id, once its record can be read.

    A detached run outlives this process; an attached one ends with it. ``threads`` None leaves their number to torch;
    the number that was used stands in the record's environment. Raises ``UserError`` with the child's own message if
    it ends before its record is there.
    """
    out = Path(out)
    require_free(out)
    worker = WorkerProcess(out, detach=detach, threads=threads)
    worker.begin(config)
    return _begun(worker, lambda: _writes(worker.pid, out), "the run ended at once")


def resume_detached(path: Path | str, detach: bool = True, threads: int | None = None) -> int:
    """Go on with an interrupted, stopped or failed run in a process of its own; return its id once it works again.

    ``threads`` None means as many as the run had before (sums in the same order give the same bits), at most the
    cores that there are. Raises ``UserError``: no run, a damaged or finished one, one that never began, one that
    another process is writing (named), or whatever the child says if it cannot go on.
    """
    path = Path(path)
    store = Store(path)
    if (owner := store.owner) is not None:
        raise UserError(f"{path} is being written by {owner}: there is nothing to resume, follow it instead.")
    if store.state == "finished":
        raise UserError(f"{path} is finished: there is nothing to resume.")
    if not store.started:
        raise UserError(f"{path} was interrupted before it began: delete it and start again.")
    last = store.last_seq
    worker = WorkerProcess(path, resume=True, detach=detach, threads=threads or _threads_before(store))
    return _begun(worker, lambda: _goes_on(worker.pid, path, last), f"{path} could not be resumed")


def steer(path: Path | str, command: str) -> Owner:
    """Tell the process that writes the run to ``run``, ``pause`` or ``stop``; return that process.

    It hears after the step at work. Raises ``UserError`` where no process writes the run, so that nobody waits for an
    answer that cannot come.
    """
    store = Store(path)
    owner = store.owner
    if owner is None:
        way_out = "it is finished" if store.state == "finished" else "resume it to go on"
        raise UserError(f"{path} is not being written by any process ({store.state}): {way_out}.")
    send(Path(path), command)
    return owner


def require_free(out: Path) -> None:
    """Raise ``UserError`` where ``out`` exists."""
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists: choose another output directory, or delete this one.")


def _begun(worker: WorkerProcess, works: Callable[[], bool], trouble: str) -> int:
    """Wait until the worker is at work; ``UserError`` with its own words if it ended instead."""
    try:
        while not worker.ended and not works():
            time.sleep(_LOOK_SECONDS)
    except BaseException:
        worker.end()
        raise
    if worker.ended:
        failed = worker.failure()
        if failed is not None:
            raise UserError(f"{trouble}: {failed.cause}")
    worker.collect_later()
    return worker.pid


def _writes(pid: int, out: Path) -> bool:
    """Whether this process has begun the record in ``out``."""
    try:
        store = Store(out)
        return store.owner is not None and store.owner.pid == pid and bool(store.started)
    except UserError:
        return False  # not there yet, or not yet whole


def _goes_on(pid: int, path: Path, last: int) -> bool:
    """Whether this process has written an event of its own that is not the news of its failure."""
    try:
        store = Store(path)
        if store.owner is None or store.owner.pid != pid:
            return False
        events = store.events(after=last)
    except UserError:
        return False  # being written at this very moment
    return bool(events) and events[-1].kind != "RunFailed"


def _threads_before(store: Store) -> int | None:
    """The recorded number of threads; fewer where there are fewer cores now, None where none was recorded."""
    found = store.environment.get("threads")
    return min(found, usable_cores()) if isinstance(found, int) and found > 0 else None
