"""The live scrubber: play, drag and step through a run; every view of the desk goes with it.

Knows no times: they come from ``hyperprune_lab.views.scrubber``. The page keeps the clock of a replay and asks for
one moment after the other, so that a replay shows the same moments at the same times however fast the kernel is.
"""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from hyperprune_lab.analysis.timeline import Timeline
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import scrubber
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.view import View

WHOLE = 0.0
"""The speed at which every run takes the same short time."""


class Scrubber(View):
    """A line of time with play and speed; ← → go by block, Shift+← → by event, Home and End to the ends."""

    _esm = esm("scrubber")
    _css = css("scrubber")

    view_name = "scrubber"
    title = "Scrubber"
    question = "When did it happen?"
    help = (
        (
            "How to read it.",
            "The line is the run's time at work, its stages side by side, each tick the end of a block. Every view "
            "shows the run as of the handle. Times in which the run was paused, or nobody worked on it, are left out.",
        ),
        (
            "How it can mislead.",
            "The past is drawn from the record, so nothing is run again. A mask comes to disk with its whole block: "
            "before a block's end the mask explorer shows its last finished state.",
        ),
        (
            "Keys.",
            "Space or . play and pause, ← → a block back and on, Shift with them an event, Home the start, End the "
            "newest moment, + and − the speed.",
        ),
    )
    drawing: ClassVar[Any] = scrubber
    kinds = (
        *(
            "RunStarted",
            "StageStarted",
            "BlockStarted",
            "BlockFinished",
            "StageFinished",
            "EvaluationFinished",
        ),
        *("ModuleDecided", "RunPaused", "RunResumed", "RunStopped", "RunFailed", "RunFinished"),
    )
    follows = ()

    speed = traitlets.Float(WHOLE, help="Times the recorded speed; 0: the whole run in half a minute.").tag(
        asked=True
    )
    compact = traitlets.Bool(False, help="The line only, for a strip below other views.").tag(asked=True)

    _line: tuple[Run, Timeline] | None = None

    @traitlets.validate("speed")
    def _known_speed(self, proposal: Any) -> float:
        return min((WHOLE, *scrubber.SPEEDS), key=lambda speed: abs(speed - proposal["value"]))

    def data(self, now: Now) -> scrubber.ScrubberData:
        assert now.run is not None
        line = self._line[1] if self._line is not None and self._line[0] is now.run else None
        data = scrubber.scrubber_data(now.run, as_of=now.seq, line=line)
        self._line = (now.run, data.line)
        return data

    def pandas_code(self, now: Now) -> str:
        return f"run.modules(as_of={now.seq})  # as it stood at this moment"

    def _key(self, now: Now) -> object:
        # The line goes on to the newest event, whichever moment is shown.
        run = now.run
        newest = None if run is None else (id(run), run.generation, run.newest_seq(self.kinds), run.state)
        return newest, now.seq, self.speed, self.compact
