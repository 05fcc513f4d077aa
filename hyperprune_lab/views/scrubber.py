"""The scrubber, "When did it happen?": a run as a line of time, and the moment that all views show.

Knows nothing about what the views show, nor who moves the moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperprune_lab.analysis.timeline import Timeline
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme

MOST_MOMENTS = 1200
"""Events that a page can go to; of longer runs, an even choice with every end of a block."""
WHOLE_SECONDS = 30.0
"""How long the whole run takes at the speed "whole run"."""
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class ScrubberData:
    """The line of a run's time up to its newest event, and the event that is shown."""

    run: str
    seq: int
    last: int
    line: Timeline
    live: bool

    @property
    def second(self) -> float:
        """When the shown event happened."""
        return self.line.second_of(self.seq)

    @property
    def replayed(self) -> bool:
        """Whether something newer than what is shown has happened."""
        return self.seq < self.last


def scrubber_data(run: Run, *, as_of: int | None = None, line: Timeline | None = None) -> ScrubberData:
    """The line of ``run`` with event ``as_of`` (default: the newest) on it; ``line`` is what is known of it already.

    Raises:
        UserError: the record is damaged.
    """
    known = (Timeline() if line is None else line).extended(run)
    last = run.last_seq
    return ScrubberData(
        run=run.directory.root.name,
        seq=last if as_of is None else min(as_of, last),
        last=last,
        line=known,
        live=run.state == "running",
    )


def payload(data: ScrubberData) -> dict[str, Any]:
    """What the browser draws; where it stands on it follows from the event that every view shows."""
    line = data.line
    seconds, seqs = line.thinned(MOST_MOMENTS)
    return {
        "seconds": [round(second, 3) for second in seconds],
        "seqs": seqs,
        "length": line.length,
        "last": line.last,
        "live": data.live,
        "whole": WHOLE_SECONDS,
        "speeds": SPEEDS,
        "stages": [
            [one.name, line.second_of(one.start), line.second_of(one.stop), one.over] for one in line.stages
        ],
        "blocks": [[one.stage, one.block, one.start, one.stop, one.over] for one in line.blocks],
        "stops": line.stops,
    }


def place_of(data: ScrubberData) -> str:
    """Stage and block at the shown event."""
    block = next((one for one in reversed(data.line.blocks) if one.start <= data.seq <= one.stop), None)
    if block is not None:
        return f"{theme.shown_name(block.stage)}, block {block.block}"
    stage = next((one for one in reversed(data.line.stages) if one.start <= data.seq <= one.stop), None)
    if stage is not None:
        return theme.shown_name(stage.name)
    return (
        "evaluation"
        if data.line.stages and data.seq > data.line.stages[0].start
        else "before the first stage"
    )


def text(data: ScrubberData) -> str:
    """The line in words."""
    line = data.line
    shown = f"{theme.fmt_seconds(data.second)} of {theme.fmt_seconds(line.length)}"
    newest = " (the newest)" if not data.replayed else ""
    lines = [f"{data.run}, event {data.seq} of {data.last}{newest}: {shown}, {place_of(data)}"]
    for stage in line.stages:
        begun, ended = line.second_of(stage.start), line.second_of(stage.stop)
        blocks = sum(one.over for one in line.blocks if stage.start <= one.start <= stage.stop)
        done = f", {blocks} blocks" if blocks else ""
        end = theme.fmt_seconds(ended) if stage.over else "goes on"
        lines.append(f"{theme.shown_name(stage.name)}: {theme.fmt_seconds(begun)} to {end}{done}")
    if line.cut_seconds:
        lines.append(f"{theme.fmt_seconds(line.cut_seconds)} during which nobody worked on it are left out")
    return "\n".join(lines)


def table(data: ScrubberData) -> list[dict[str, Any]]:
    """One row per stage and block, for spreadsheets."""
    line = data.line
    return [
        {
            "stage": one.stage,
            "block": one.block,
            "first_event": one.start,
            "last_event": one.stop,
            "begins_seconds": line.second_of(one.start),
            "ends_seconds": line.second_of(one.stop),
        }
        for one in line.blocks
    ]


def picture(data: ScrubberData, theme_name: theme.Theme = "light") -> Any:
    """The line as a matplotlib figure."""
    palette = theme.PALETTES[theme_name]
    line = data.line
    with theme.drawing(theme_name, 96) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(0, max(line.length, 1e-3)), ylim=(0, 1), yticks=[])
        axes.set_xlabel("seconds of work")
        axes.set_title(f"{theme.fmt_seconds(data.second)}: {place_of(data)}", loc="left", fontsize=10)
        for number, stage in enumerate(line.stages):
            begun, ended = line.second_of(stage.start), line.second_of(stage.stop)
            axes.axvspan(begun, ended, color=palette.panel if number % 2 else palette.grid, lw=0)
            if ended - begun > 0.012 * len(stage.name) * line.length:
                middle = (begun + ended) / 2
                axes.text(
                    middle, 0.5, theme.shown_name(stage.name), ha="center", va="center", color=palette.soft
                )
        for block in line.blocks:
            axes.axvline(line.second_of(block.stop), 0, 0.18, color=palette.line, lw=1)
        axes.axvspan(0, data.second, 0, 0.1, color=palette.accent, lw=0)
        axes.axvline(data.second, color=palette.accent, lw=2)
        return figure
