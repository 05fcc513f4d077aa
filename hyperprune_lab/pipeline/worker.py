"""The process that a launched run lives in: reads a configuration from stdin, prunes, records, ends.

With ``--resume`` it goes on with the run that is there. Knows nothing about who started it, except that it ends with
its parent unless it was started detached, and tells ``--events`` on stdout if asked to.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import torch

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import CheckpointReached, Event, NetworkSaved, WeightsChanged
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import FileControl, RunControl
from hyperprune_lab.pipeline.process import (
    EVENTS_OPTION,
    MISTAKE_OF_INPUT,
    PARENT_VARIABLE,
    RESUME_OPTION,
    THREADS_OPTION,
)
from hyperprune_lab.pipeline.session import resume_record, run_to_record
from hyperprune_lab.pipeline.wire import encode

_NOT_TOLD = (CheckpointReached, NetworkSaved, WeightsChanged)
_PATIENCE_SECONDS = 10.0


def main() -> int:
    """Run to the end; exit code 2 with one line on stderr for a mistake of input."""
    asked = _arguments()
    out: Path = asked.out
    control = FileControl(out)
    obey_signals(control)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    parent = os.environ.get(PARENT_VARIABLE, "")
    if parent:
        threading.Thread(target=_end_with, args=(int(parent), control), daemon=True).start()
    tell = _teller(control) if asked.events else None
    try:
        if asked.resume:
            events = resume_record(out, control)
        else:
            events = run_to_record(RunConfig.from_json(json.load(sys.stdin)), out, control)
        for event in events:
            if tell is not None and not isinstance(event, _NOT_TOLD):
                tell(event)
    except UserError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return MISTAKE_OF_INPUT
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hyperprune_lab.pipeline.worker")
    parser.add_argument("out", type=Path)
    parser.add_argument(EVENTS_OPTION, action="store_true")
    parser.add_argument(RESUME_OPTION, action="store_true")
    parser.add_argument(THREADS_OPTION, type=int, default=0)
    return parser.parse_args()


def obey_signals(control: RunControl) -> None:
    """Leave Ctrl-C to the process that follows the run; SIGTERM stops after the step, a second one at once."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        control.stop()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)


def _teller(control: RunControl) -> Callable[[Event], None]:
    """Writes events to what was stdout; whatever else prints goes to stderr from now on."""
    lines: TextIO = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def tell(event: Event) -> None:
        try:
            lines.write(encode(event) + "\n")
            lines.flush()
        except BrokenPipeError:
            # Nobody follows any more. The run ends in good order, to be resumed.
            control.stop()

    return tell


def _end_with(parent: int, control: FileControl) -> None:
    """Stop the run when the parent is gone: at the next step if it takes one, soon in any case."""
    while os.getppid() == parent:
        time.sleep(0.5)
    control.stop()
    time.sleep(_PATIENCE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
