"""When everything of a run happened, as one line of time: what a scrubber moves along.

Knows nothing about what was measured. Times during which nobody worked on the run - it was paused, stopped, or its
process had died - are cut out, so that a replay goes by what was done.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from hyperprune_lab.record.store import RecordedEvent, Store

CUT_SECONDS = 0.5
"""What remains of a time during which nobody worked."""
_RESTS = ("RunPaused", "RunStopped", "RunFailed")


@dataclass(frozen=True)
class Stage:
    """A stage on the line: events ``start`` to ``stop``; ``stop`` is the newest event while it goes on."""

    name: str
    start: int
    stop: int
    over: bool


@dataclass(frozen=True)
class Block:
    """Work on one block within a stage: events ``start`` to ``stop``."""

    stage: str
    block: int
    start: int
    stop: int
    over: bool


@dataclass
class Timeline:
    """The line of one record; ``extended`` reads what has been added since."""

    seqs: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """When each event happened: seconds of work since the first."""
    stages: list[Stage] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    """Events after which there is something new to look at: the end of a block, a stage, an evaluation, the run."""
    cut_seconds: float = 0.0
    """How long nobody worked in all."""
    generation: int = -1
    _last: RecordedEvent | None = None

    @classmethod
    def of(cls, run: Store) -> Timeline:
        """The whole line of a run, as it stands.

        Raises:
            UserError: the record cannot be read.
        """
        return cls().extended(run)

    def extended(self, run: Store) -> Timeline:
        """This line with what the record has gained since; a new one, if the run was resumed meanwhile.

        Raises:
            UserError: the record cannot be read.
        """
        generation = run.generation
        line = self if generation == self.generation else Timeline(generation=generation)
        line._add(run.events(after=line.last))
        return line

    @property
    def length(self) -> float:
        """Seconds of work in all."""
        return self.seconds[-1] if self.seconds else 0.0

    @property
    def last(self) -> int:
        """The newest event, 0 before the first."""
        return self.seqs[-1] if self.seqs else 0

    def at(self, second: float) -> int:
        """The newest event at this second; the first event before it."""
        if not self.seqs:
            return 0
        return self.seqs[max(0, bisect_right(self.seconds, second) - 1)]

    def second_of(self, seq: int) -> float:
        """When event ``seq`` happened."""
        place = bisect_right(self.seqs, seq) - 1
        return self.seconds[place] if place >= 0 else 0.0

    def step(self, seq: int, by: int) -> int:
        """The stop that lies ``by`` stops after event ``seq`` (before it, if negative); the ends are stops too."""
        ends = [*self.seqs[:1], *self.stops, *self.seqs[-1:]]
        line = list(dict.fromkeys(ends))
        place = bisect_right(line, seq) - 1 + by if by > 0 else bisect_left(line, seq) + by
        return line[min(max(place, 0), len(line) - 1)] if line else 0

    def thinned(self, most: int) -> tuple[list[float], list[int]]:
        """At most about ``most`` events, evenly spread, with every stop and every end of a block among them."""
        kept = (
            set(self.stops) | {block.start for block in self.blocks} | {stage.start for stage in self.stages}
        )
        room = max(1, most - len(kept))
        stride = max(1, -(-len(self.seqs) // room))
        kept |= set(self.seqs[::stride]) | set(self.seqs[-1:])
        pairs = [(second, seq) for second, seq in zip(self.seconds, self.seqs, strict=True) if seq in kept]
        return [second for second, _ in pairs], [seq for _, seq in pairs]

    def _add(self, events: Iterable[RecordedEvent]) -> None:
        for event in events:
            self._add_second(event)
            self.seqs.append(event.seq)
            match event.kind:
                case "StageStarted":
                    self.stages.append(Stage(event.stage or "", event.seq, event.seq, False))
                case "BlockStarted":
                    self.blocks.append(
                        Block(event.stage or "", event.block or 0, event.seq, event.seq, False)
                    )
                case "BlockFinished" | "StageFinished" | "EvaluationFinished" | "RunFinished":
                    self.stops.append(event.seq)
            self._reach(event)
            self._last = event

    def _add_second(self, event: RecordedEvent) -> None:
        before = self._last
        if before is None:
            self.seconds.append(0.0)
            return
        passed = max(0.0, event.time - before.time)
        died = event.kind == "RunResumed" and bool(event.payload.get("from_checkpoint"))
        if (died or before.kind in _RESTS) and passed > CUT_SECONDS:
            self.cut_seconds += passed - CUT_SECONDS
            passed = CUT_SECONDS
        self.seconds.append(self.seconds[-1] + passed)

    def _reach(self, event: RecordedEvent) -> None:
        """Let the running stage and block go on to this event, and end where it ends them."""
        if self.blocks and not self.blocks[-1].over:
            one = self.blocks[-1]
            ended = event.kind in ("BlockFinished", "StageFinished", "StageStarted")
            self.blocks[-1] = Block(one.stage, one.block, one.start, event.seq, ended)
        if self.stages and not self.stages[-1].over:
            stage = self.stages[-1]
            self.stages[-1] = Stage(stage.name, stage.start, event.seq, event.kind == "StageFinished")
