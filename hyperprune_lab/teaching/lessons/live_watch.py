"""Waiting for a live run in notebook 07, reading it from elsewhere, and tidying up behind it.

Knows nothing about what the lesson asks, and never steers a run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.widgets.run_control import RunControl

PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_ELSEWHERE = """
import sys
from hyperprune_lab import open_run
run = open_run(sys.argv[1])
print(run.state, len(run.modules()))
"""


def begun(control: RunControl) -> Run:
    """The run that ``control.start()`` began, once it is on the desk.

    Raises:
        UserError: it could not begin; the control says why.
    """
    before = time.time()
    while control.busy and time.time() - before < PATIENCE_SECONDS:
        time.sleep(_LOOK_SECONDS)
    run = control.desk.run
    if run is None or control.home not in run.directory.root.absolute().parents:
        raise UserError(f"No run has begun.\n{control.text}")
    return run


def until_blocks(run: Run, count: int) -> None:
    """Wait until ``count`` blocks have their first masks, or the run is no longer at work."""
    _until(lambda: len(run.blocks("layers")) >= count or run.state != "running", f"{count} blocks are done")


def until_paused(run: Run) -> None:
    """Wait until the run has heard that it is to pause, or is no longer at work."""
    heard = ("RunPaused", "RunResumed")
    _until(
        lambda: run.newest_seq(heard[:1]) > run.newest_seq(heard[1:]) or run.state != "running", "it pauses"
    )


def until_ended(run: Run) -> None:
    """Wait until no process is at work on the run."""
    _until(lambda: run.state != "running", "it ends")


def until_resumed(control: RunControl) -> None:
    """Wait until the run on the desk works again after ``control.resume()``, and the control knows."""
    _until(lambda: not control.busy, "it goes on")


def from_elsewhere(run: Run) -> tuple[str, int]:
    """What a Python process that knows only the folder says: the run's state, and how many matrices have a mask."""
    command = [sys.executable, "-c", _ELSEWHERE, str(run.directory.root.absolute())]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return said[0], int(said[1])


def clear_away(run: Run) -> str:
    """Delete the folder of a run that was stopped; say what was done."""
    if run.state != "stopped":
        return f"{run.directory.root.name} is {run.state} and stays."
    shutil.rmtree(run.directory.root)
    return f"{run.directory.root.name} was stopped halfway and is gone."


def _until(there: Callable[[], bool], what: str) -> None:
    before = time.time()
    while not there():
        if time.time() - before > PATIENCE_SECONDS:
            raise UserError(
                f"Waited {PATIENCE_SECONDS:.0f} seconds until {what}, in vain. Is the machine busy?"
            )
        time.sleep(_LOOK_SECONDS)
