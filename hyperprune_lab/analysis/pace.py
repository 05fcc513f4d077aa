"""How fast a run goes: what a step takes, when a request will be heard, and how long is left, as a range.

Knows nothing about why steps take as long as they do; it reads the moments of recorded events.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hyperprune_lab.record.store import RecordedEvent, Store

Range = tuple[float, float]
_NEWEST = 200
_SPREAD = (0.85, 1.3)
"""How far a stage's remainder may lie from what its blocks or steps have taken so far."""
_WAITS = ("RunPaused", "RunResumed")


@dataclass(frozen=True)
class Pace:
    """Seconds, where not said otherwise; None where nothing is known yet.

    ``step`` is what a step takes in the stage at work. A request to pause or stop is heard after the step at work, in
    about ``heard_in``. ``stage_left`` and ``left`` are ranges: of the stage at work, and of the run, the latter only
    where stages to come have been expected (see :func:`pace`).
    """

    stage: str | None = None
    block: int | None = None
    blocks: int | None = None
    blocks_done: int = 0
    step_at: int | None = None
    steps: int | None = None
    step: float | None = None
    heard_in: float | None = None
    stage_left: Range | None = None
    left: Range | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def pace(store: Store, expected: Mapping[str, Range] | None = None, now: float | None = None) -> Pace:
    """The pace of a run at work; ``now`` is a moment in seconds since 1970 (None: this one).

    ``expected`` has seconds by stage, as a check before the run or :func:`stage_seconds` of a similar run gives them;
    stages that have ended correct it by how long they took in fact.
    """
    now = time.time() if now is None else now
    marks = store.events(kinds=("StageStarted", "StageFinished"))
    started = [event for event in marks if event.kind == "StageStarted"]
    if not started or store.state == "finished":
        return Pace()
    stages = [str(stage) for stage in store.started.get("stages", [])]
    current, finished = started[-1], marks[-1].kind == "StageFinished"
    stage = _next_stage(stages, current.stage) if finished else current.stage
    recent = store.events(after=max(marks[-1].seq - 1, store.last_seq - _NEWEST))
    gaps = _gaps(recent)
    typical = float(np.median(gaps)) if len(gaps) else None
    blocks = int(current.payload.get("blocks") or 0) or None
    at = next((event for event in reversed(recent) if event.kind == "StepMeasured"), None)
    done = _blocks_done(store, current)
    steps = None if at is None else _count(at.payload.get("steps"))
    known = Pace(
        stage=stage,
        block=None if finished else _newest_block(recent),
        blocks=blocks,
        blocks_done=0 if finished else len(done),
        step_at=None if at is None or finished else at.step,
        steps=None if finished else steps,
        step=typical,
        heard_in=_heard_in(gaps, recent, now),
    )
    left = None if finished else _stage_left(known, done, at, typical)
    return _with_left(known, left, stages, marks, expected or {})


def stage_seconds(store: Store) -> dict[str, float]:
    """Seconds of every stage that a run has put behind it; the last one's from its events."""
    marks = store.events(kinds=("StageFinished", "RunFinished"))
    seconds = {
        str(event.stage): float(event.payload.get("seconds") or 0.0)
        for event in marks
        if event.kind == "StageFinished"
    }
    stages = [str(stage) for stage in store.started.get("stages", [])]
    if len(marks) > 1 and marks[-1].kind == "RunFinished" and stages and stages[-1] not in seconds:
        seconds[stages[-1]] = max(0.0, marks[-1].time - marks[-2].time)
    return seconds


def _next_stage(stages: list[str], stage: str | None) -> str | None:
    if stage not in stages:
        return stage
    return stages[min(stages.index(str(stage)) + 1, len(stages) - 1)]


def _gaps(events: list[RecordedEvent]) -> np.ndarray:
    """Seconds between events, waits left out. Events of one moment belong to one step: their gap is no time to wait."""
    gaps = [later.time - earlier.time for earlier, later in pairwise(events) if later.kind not in _WAITS]
    return np.array([gap for gap in gaps if gap > 1e-3])


def _heard_in(gaps: np.ndarray, recent: list[RecordedEvent], now: float) -> float | None:
    """What is left of the step at work if it takes as long as most; at least a tenth of it when it takes longer."""
    if not len(gaps) or not recent:
        return None
    long = float(np.quantile(gaps, 0.8))
    return max(long - max(0.0, now - recent[-1].time), 0.1 * long)


def _blocks_done(store: Store, current: RecordedEvent) -> dict[int, float]:
    """Seconds by block, of the blocks that the stage at work has finished."""
    events = store.events(after=current.seq, kinds=("BlockFinished",))
    return {
        int(event.block): float(event.payload.get("seconds") or 0.0)
        for event in events
        if event.stage == current.stage and event.block is not None
    }


def _newest_block(recent: list[RecordedEvent]) -> int | None:
    for event in reversed(recent):
        if event.kind == "BlockStarted":
            return event.block
    blocks = [event.block for event in recent if event.block is not None]
    return blocks[-1] if blocks else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _stage_left(
    known: Pace, done: dict[int, float], at: RecordedEvent | None, typical: float | None
) -> float | None:
    """Seconds left of the stage: by its blocks, or by its steps where it has no blocks at work."""
    if at is not None and at.block is None and known.steps and typical is not None:
        return max(0, known.steps - 1 - (at.step or 0)) * typical
    if known.blocks and done:
        return max(0, known.blocks - len(done)) * float(np.mean(list(done.values())))
    if known.blocks and known.steps and typical is not None and known.step_at is not None:
        of_block = max(0, known.steps - 1 - known.step_at) * typical
        return of_block + (known.blocks - 1) * known.steps * typical
    return None


def _with_left(
    known: Pace,
    left: float | None,
    stages: list[str],
    marks: list[RecordedEvent],
    expected: Mapping[str, Range],
) -> Pace:
    values = asdict(known)
    own = expected.get(str(known.stage))
    factor = _factor(marks, expected)
    if left is not None:
        values["stage_left"] = (left * _SPREAD[0], left * _SPREAD[1])
    elif own is not None:
        values["stage_left"] = (own[0] * factor, own[1] * factor)
    to_come = stages[stages.index(known.stage) + 1 :] if known.stage in stages else []
    if values["stage_left"] is not None and all(stage in expected for stage in to_come):
        low, high = values["stage_left"]
        values["left"] = (
            low + factor * sum(expected[stage][0] for stage in to_come),
            high + factor * sum(expected[stage][1] for stage in to_come),
        )
    return Pace(**values)


def _factor(marks: list[RecordedEvent], expected: Mapping[str, Range]) -> float:
    """How much slower than expected the stages behind it were; 1 where there are none."""
    took = wanted = 0.0
    for event in marks:
        awaited = expected.get(str(event.stage))
        if event.kind == "StageFinished" and awaited is not None:
            took += float(event.payload.get("seconds") or 0.0)
            wanted += (awaited[0] + awaited[1]) / 2
    return took / wanted if took > 0 and wanted > 0 else 1.0
