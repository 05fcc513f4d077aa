"""How far a run has come: its stages, its blocks, the quality so far, and what a stop would keep.

Knows nothing about speed, which is told by ``pace``; needs neither torch nor pandas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from hyperprune_lab.record.store import RecordedEvent, Store

StageState = Literal["done", "now", "to come"]

_RESUMED = "RunResumed"
_MARKS = (
    *("StageStarted", "BlockStarted", "BlockFinished", "StageFinished", "CheckpointReached"),
    *("Notice", "EvaluationFinished", "RunPaused", _RESUMED, "RunStopped", "RunFailed", "RunFinished"),
)


@dataclass(frozen=True)
class StagePart:
    """One stage; ``seconds`` it took, where it is done."""

    name: str
    state: StageState
    seconds: float | None = None


@dataclass(frozen=True)
class Quality:
    """Mean relative error of the ``decided`` modules, out of ``modules``, beside Wanda's masks of the same modules."""

    decided: int
    modules: int
    error: float | None = None
    error_wanda: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over Wanda's."""
        if self.error is None or not self.error_wanda:
            return None
        return self.error / self.error_wanda


@dataclass(frozen=True)
class Kept:
    """What the newest checkpoint holds: so many blocks (or steps, in a stage on the whole model) of a stage."""

    stage: str
    count: int
    of: int | None
    unit: Literal["blocks", "steps"]


@dataclass(frozen=True)
class Progress:
    """Where a run stood after one of its events.

    ``blocks_done`` are those that the stage at work has put behind it; ``block`` is the one at work, None between
    blocks and in stages that work on the whole model. ``step`` of ``steps`` is counted from 1, 0 before the first.
    ``seconds`` is the time spent, waits left out; ``newest`` the moment of the newest event. ``kept`` is what a stop
    leaves to be resumed, None before the first checkpoint. ``perplexities`` are by state (dense, wanda, mask-only,
    compensated ...). ``words`` is the run's last word where it was stopped or has failed.
    """

    stages: tuple[StagePart, ...] = ()
    stage: str | None = None
    block: int | None = None
    blocks: int = 0
    blocks_done: tuple[int, ...] = ()
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    newest: float = 0.0
    peak_memory_bytes: int | None = None
    kept: Kept | None = None
    perplexities: tuple[tuple[str, float], ...] = ()
    notice: str | None = None
    words: str | None = None

    def perplexity(self, state: str) -> float | None:
        """The perplexity of this state, where it was measured."""
        return dict(self.perplexities).get(state)


def progress(store: Store, as_of: int | None = None) -> Progress:
    """How far the run had come after event ``as_of`` (None: the newest).

    Raises:
        UserError: the record cannot be read.
    """
    started = store.events(kinds=("RunStarted",))[-1:]
    if not started:
        return Progress()
    marks = started + [event for event in store.events(kinds=_MARKS) if as_of is None or event.seq <= as_of]
    finished = marks[-1].kind == "RunFinished"
    current = _newest(marks, ("StageStarted",))
    at_work = current is not None and _newest(marks, ("StageStarted", "StageFinished")) is current
    stages = tuple(_stages(marks, current, at_work, finished))
    stage = next((part.name for part in stages if part.state == "now"), None)
    if current is not None and at_work and not finished:
        stage = current.stage
    block = done = None
    step = steps = 0
    if current is not None and at_work and not finished:
        inside = [event for event in marks if event.seq > current.seq]
        done = dict.fromkeys(event.block for event in inside if event.kind == "BlockFinished")
        newest = _newest(inside, ("BlockStarted", "BlockFinished"))
        if newest is not None and newest.kind == "BlockStarted":
            block = newest.block
        since = newest.seq if newest is not None and block is not None else current.seq
        step, steps = _steps(store, since, as_of, block is not None)
    return Progress(
        stages=stages,
        stage=stage,
        block=block,
        blocks=int((current.payload.get("blocks") if current is not None else None) or 0),
        blocks_done=tuple(sorted(number for number in done or () if number is not None)),
        step=step,
        steps=steps,
        seconds=_seconds(marks),
        newest=marks[-1].time,
        peak_memory_bytes=_peak(marks),
        kept=_kept(marks),
        perplexities=tuple(_perplexities(marks)),
        notice=_notice(marks),
        words=_words(marks),
    )


def quality(store: Store, as_of: int | None = None) -> Quality:
    """The quality so far, from the newest decision of every module (after event ``as_of``, None: the newest).

    Raises:
        UserError: the record cannot be read.
    """
    newest: dict[str | None, dict[str, float]] = {}
    for event in store.events(kinds=("ModuleDecided",)):
        if as_of is None or event.seq <= as_of:
            newest[event.subject] = event.scalars
    rows = store.started.get("coverage", [])
    modules = sum(row.get("status") == "pruned" for row in rows)
    ours = [scalars.get("error_rel", math.nan) for scalars in newest.values()]
    theirs = [scalars.get("error_rel_wanda", math.nan) for scalars in newest.values()]
    return Quality(len(newest), max(modules, len(newest)), _mean(ours), _mean(theirs))


def _mean(values: Sequence[float]) -> float | None:
    if not values or not all(math.isfinite(value) for value in values):
        return None
    return sum(values) / len(values)


def _newest(events: Sequence[RecordedEvent], kinds: tuple[str, ...]) -> RecordedEvent | None:
    return next((event for event in reversed(events) if event.kind in kinds), None)


def _stages(
    marks: Sequence[RecordedEvent], current: RecordedEvent | None, at_work: bool, finished: bool
) -> list[StagePart]:
    """The stages in order. The last one never says that it begins: it is at work when the others are done."""
    names = [str(name) for name in marks[0].payload.get("stages", [])]
    ended = {event.stage: event for event in marks if event.kind == "StageFinished"}
    behind = names.index(current.stage) if current is not None and current.stage in names else -1
    now = behind if at_work else (behind + 1 if current is not None else -1)
    parts = []
    for place, name in enumerate(names):
        state: StageState = "done" if finished or place < now else "now" if place == now else "to come"
        seconds = ended[name].payload.get("seconds") if name in ended and state == "done" else None
        parts.append(StagePart(name, state, float(seconds) if isinstance(seconds, int | float) else None))
    return parts


def _steps(store: Store, since: int, as_of: int | None, in_block: bool) -> tuple[int, int]:
    """The newest step after event ``since``, and of how many."""
    newest = store.newest_seq(("StepMeasured",), as_of)
    if newest <= since:
        return 0, 0
    event = store.events(after=newest - 1, kinds=("StepMeasured",))[0]
    if in_block is (event.block is None):
        return 0, 0
    steps = event.payload.get("steps")
    return (event.step or 0) + 1, steps if isinstance(steps, int) else 0


def _seconds(marks: Sequence[RecordedEvent]) -> float:
    waits = sum(after.time - before.time for before, after in pairwise(marks) if after.kind == _RESUMED)
    return max(0.0, marks[-1].time - marks[0].time - waits)


def _peak(marks: Sequence[RecordedEvent]) -> int | None:
    peaks = [event.payload.get("peak_memory_bytes") for event in marks if event.kind == "BlockFinished"]
    return max((peak for peak in peaks if isinstance(peak, int)), default=None)


def _kept(marks: Sequence[RecordedEvent]) -> Kept | None:
    found = _newest(marks, ("CheckpointReached",))
    if found is None:
        return None
    begun = next(
        (event for event in marks if event.kind == "StageStarted" and event.stage == found.stage), None
    )
    payload = {} if begun is None else begun.payload
    steps, blocks = payload.get("steps"), payload.get("blocks")
    whole = isinstance(steps, int)
    of = steps if whole else blocks
    count = found.block or 0
    return Kept(str(found.stage), count, of if isinstance(of, int) else None, "steps" if whole else "blocks")


def _perplexities(marks: Sequence[RecordedEvent]) -> list[tuple[str, float]]:
    found: dict[str, float] = {}
    for event in marks:
        value = event.scalars.get("perplexity")
        if event.kind == "EvaluationFinished" and value is not None and math.isfinite(value):
            found[str(event.payload.get("state"))] = value
    return list(found.items())


def _notice(marks: Sequence[RecordedEvent]) -> str | None:
    """The newest warning or error."""
    for event in reversed(marks):
        if event.kind == "Notice" and event.payload.get("level") in ("warning", "error"):
            return _told(event.payload.get("module"), event.payload.get("message"))
    return None


def _words(marks: Sequence[RecordedEvent]) -> str | None:
    """What the run said when it was stopped or failed, unless it has gone on since."""
    last = _newest(marks, ("RunStopped", "RunFailed", _RESUMED, "RunFinished"))
    match last.kind if last is not None else "":
        case "RunStopped":
            return str(last.payload.get("reason", "")) if last else None
        case "RunFailed":
            return _told(last.payload.get("module"), last.payload.get("cause")) if last else None
    return None


def _told(module: Any, text: Any) -> str:
    return f"{module}: {text}" if module else str(text)
