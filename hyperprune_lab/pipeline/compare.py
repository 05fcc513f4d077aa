"""Several runs under one protocol, one after the other, each in a process of its own so that memory is its own.

Knows nothing about what the runs do; it hands on what their workers tell.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Event, RunStopped
from hyperprune_lab.methods.registry import require_method
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import RunControl, send
from hyperprune_lab.pipeline.launch import require_free
from hyperprune_lab.pipeline.process import WorkerProcess
from hyperprune_lab.pipeline.wire import decode

_LOOK_SECONDS = 0.2


def compare(configs: list[RunConfig], out: Path, control: RunControl | None = None) -> Iterator[Event]:
    """Yield the events of each run in turn, without their arrays; records go to ``out/<method>``.

    A request to stop reaches the run at work, and no further one begins; neither does after a run that failed. Raises
    ``UserError`` where ``out`` exists, a configuration is at fault or two runs would have the same name.
    """
    out = Path(out)
    require_free(out)
    names = [config.method for config in configs]
    if len(set(names)) < len(names):
        raise UserError(f"a method stands twice in {', '.join(names)}: name each once")
    for config in configs:
        _check(config)
    workers: list[WorkerProcess] = []
    try:
        for place, config in enumerate(configs):
            if control is not None and control.stopping:
                yield RunStopped("stopped on request")
                return
            # The next worker makes itself ready while this one works.
            ahead = configs[len(workers) : place + 2]
            workers += [WorkerProcess(out / one.method, events=True) for one in ahead]
            if not (yield from _follow(workers[place], config, out / config.method, control)):
                return
    finally:
        for worker in workers:
            worker.end()


def _check(config: RunConfig) -> None:
    """What can be told of a configuration without opening its model; each run checks the rest before its first step."""
    require_method(config.method)
    if config.device not in ("auto", "cpu"):
        # Only here is torch needed, which takes seconds to import.
        from hyperprune_lab.pipeline.environment import choose_device

        choose_device(config.device)


def _follow(
    worker: WorkerProcess, config: RunConfig, out: Path, control: RunControl | None
) -> Generator[Event, None, bool]:
    """Yield what a run tells; return whether it came to its end."""
    worker.begin(config)
    assert worker.lines is not None
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(worker.lines, waiting), daemon=True).start()
    told = stopped = False
    while True:
        if control is not None and control.stopping and not told:
            told = _ask_to_stop(out)
        try:
            line = waiting.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
        if not line:
            break
        event = decode(line.decode("ascii", "replace"))
        stopped = stopped or isinstance(event, RunStopped)
        yield event
    failed = worker.failure()
    if failed is not None:
        yield failed
    return failed is None and not stopped


def _read(lines: IO[bytes], waiting: queue.SimpleQueue[bytes]) -> None:
    """Put every line into the queue, and an empty one behind the last."""
    with lines:
        for line in lines:
            waiting.put(line)
    waiting.put(b"")


def _ask_to_stop(out: Path) -> bool:
    """Whether the run has begun its record, so that it can be asked there."""
    if not out.is_dir():
        return False
    try:
        send(out, "stop")
    except OSError:
        return False  # the record was given up, or the disk is full: the worker says so
    return True
