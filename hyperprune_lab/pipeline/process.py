"""One run in a process of its own: how it is started, and what it is said to have died of.

Knows nothing about what the run does; the other end is ``worker``.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import RunFailed
from hyperprune_lab.pipeline.config import RunConfig

PARENT_VARIABLE = "HYPERPRUNE_LAB_PARENT"
EVENTS_OPTION = "--events"
RESUME_OPTION = "--resume"
THREADS_OPTION = "--threads"
MISTAKE_OF_INPUT = 2
_LAST_BYTES = 1 << 16


class WorkerProcess:
    """A worker for the run in ``out``; ``lines`` is its stream of events where it was asked for one.

    It makes itself ready, which takes seconds, and then waits for its configuration; with ``resume`` it goes on with
    the run that is there. A detached worker outlives this process, another ends with it. What it says on stderr goes
    to a nameless file: a pipe would fill up, and would break with this process.
    """

    def __init__(
        self,
        out: Path,
        *,
        resume: bool = False,
        detach: bool = False,
        events: bool = False,
        threads: int | None = None,
    ) -> None:
        command = [sys.executable, "-m", "hyperprune_lab.pipeline.worker", str(out)]
        command += [RESUME_OPTION] if resume else []
        command += [] if threads is None else [THREADS_OPTION, str(threads)]
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the worker is let go)
        self._process = subprocess.Popen(
            [*command, EVENTS_OPTION] if events else command,
            stdin=subprocess.DEVNULL if resume else subprocess.PIPE,
            stdout=subprocess.PIPE if events else subprocess.DEVNULL,
            stderr=self._errors,
            env=os.environ | {PARENT_VARIABLE: "" if detach else str(os.getpid())},
            start_new_session=detach,
        )
        self.pid = self._process.pid
        self.lines = self._process.stdout

    def begin(self, config: RunConfig) -> None:
        """Hand the worker the run that it waits for."""
        assert self._process.stdin is not None
        # A worker that ended at once has said why on stderr.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as entrance:
            entrance.write(json.dumps(config.to_json()).encode())

    @property
    def ended(self) -> bool:
        """Whether the worker is no more."""
        return self._process.poll() is not None

    def end(self) -> None:
        """End the worker at once if it still runs; what its last checkpoint holds is kept."""
        self._process.kill()
        self._process.wait()
        entrance = self._process.stdin
        if (
            entrance is not None and not entrance.closed
        ):  # it was never given a run, so nobody reads its lines
            entrance.close()
            if self.lines is not None:
                self.lines.close()
        self._errors.close()

    def collect_later(self) -> None:
        """Leave the worker to itself, but take note of its end, so that no dead process stays in the table."""
        self._errors.close()
        threading.Thread(target=self._process.wait, daemon=True).start()

    def failure(self) -> RunFailed | None:
        """What went wrong in a worker that has ended; raises its ``UserError`` where the input was at fault."""
        code = self._process.wait()
        message = self._last_words()
        if code == 0:
            return None
        if code == MISTAKE_OF_INPUT:
            raise UserError(message or "the run was refused without a word")
        if code < 0:
            cause = f"the run's process was ended by signal {-code}"
            return RunFailed(f"{cause}: memory may have run out" if code == -9 else cause, "killed")
        kind, _, cause = message.partition(": ")
        return RunFailed(cause or message or f"the run's process ended with code {code}", kind or "unknown")

    def _last_words(self) -> str:
        with self._errors as errors:
            errors.seek(0, os.SEEK_END)
            errors.seek(max(0, errors.tell() - _LAST_BYTES))
            return errors.read().decode(errors="replace").strip().rpartition("\n")[2]
