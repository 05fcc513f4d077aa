"""What a run is doing at one moment of its record: live, paused, finished, stale, failed, and in which words.

Knows nothing about views.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hyperprune_lab.record.reader import Run

ViewState = Literal["empty", "loading", "live", "paused", "finished", "stale", "error"]

_ENDS = ("RunStopped", "RunFailed", "RunFinished")
_MARKS = (
    *("StageStarted", "BlockStarted", "BlockFinished", "StageFinished"),
    *("RunPaused", "RunResumed", *_ENDS),
)


@dataclass(frozen=True)
class Running:
    """Where a run stands: ``block`` is None between blocks and in whole-model stages, ``steps`` 0 without steps."""

    stage: str
    block: int | None = None
    blocks: int = 0
    step: int = 0
    steps: int = 0

    def __str__(self) -> str:
        place = self.stage
        if self.block is not None:
            place += f", block {self.block} ({self.block + 1} of {self.blocks})"
        if self.steps:
            place += f", step {self.step} of {self.steps}"
        return place


@dataclass(frozen=True)
class Status:
    """How a view of the run is marked; ``problem`` says what went wrong and what to do.

    Its keys: ``cause``, ``module``, ``button`` (its label), ``copy`` (what the button copies), ``kind``.
    """

    state: ViewState
    badge: str
    problem: dict[str, str] | None = None
    running: Running | None = None

    def place(self) -> dict[str, Any] | None:
        """Where a running run stands, for the browser."""
        return None if self.running is None else asdict(self.running)


EMPTY = Status("empty", "no run")
LOADING = Status("loading", "starting")


def status_of(run: Run, seq: int, replayed: bool) -> Status:
    """The status as of event ``seq``. A replayed moment tells what the run was doing then.

    Raises:
        UserError: the record cannot be read.
    """
    started = run.started
    if not started:
        return LOADING
    last, payload, running = _place(run, seq)
    config = started.get("config", {})
    name = " ".join(str(config[key]) for key in ("method", "pattern") if key in config)
    if last in _ENDS:
        return _ended(run, last, payload, name)
    place = str(running or "starting")
    if replayed:
        return Status("paused" if last == "RunPaused" else "live", f"replay · {place}", running=running)
    if run.state == "interrupted":
        cause = "The process that wrote this run ended without a word. It can go on from its last checkpoint."
        return Status("stale", f"interrupted · {place}", _problem(run, cause))
    if last == "RunPaused":
        return Status("paused", f"paused · {place}", running=running)
    return Status("live", f"live · {place}", running=running)


def _place(run: Run, seq: int) -> tuple[str, dict[str, Any], Running | None]:
    """The last telling event, its payload, and where the run stands after event ``seq``."""
    last, stage, block, blocks, since = "", "", None, 0, 0
    payload: dict[str, Any] = {}
    for event in run.events(kinds=_MARKS):
        if event.seq > seq:
            break
        last, payload = event.kind, event.payload
        if event.kind == "StageStarted":
            stage, block, blocks, since = event.stage or "", None, int(payload.get("blocks", 0)), event.seq
        elif event.kind == "BlockStarted":
            block, since = event.block, event.seq
        elif event.kind in ("BlockFinished", "StageFinished"):
            block, since = None, event.seq
    if not stage:
        return last, payload, None
    step, steps = 0, 0
    newest = run.newest_seq(("StepMeasured",), seq)
    if newest > since:
        measured = run.events(after=newest - 1, kinds=("StepMeasured",))[0]
        step, steps = (measured.step or 0) + 1, int(measured.payload.get("steps", 0))
    return last, payload, Running(stage, block, blocks, step, steps)


def _ended(run: Run, last: str, payload: dict[str, Any], name: str) -> Status:
    if last == "RunFinished":
        return Status("finished", f"finished · {name}" if name else "finished")
    if last == "RunStopped":
        cause = f"The run was stopped: {payload.get('reason', '')}. It can go on from its last checkpoint."
        return Status("stale", "stopped", _problem(run, cause))
    module = str(payload.get("module") or "")
    return Status("error", "failed", _problem(run, str(payload.get("cause", "")), module))


def _problem(run: Run, cause: str, module: str = "") -> dict[str, str]:
    command = f"hyperprune-lab resume {shlex.quote(str(run.directory.root))}"
    label = "Copy the command that resumes it"
    return {"cause": cause, "module": module, "button": label, "copy": command, "kind": "run"}
