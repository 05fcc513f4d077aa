"""A run's events as progress for people: bars on a terminal, a line per block elsewhere.

Knows nothing about where events come from, and keeps no result.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from hyperprune_lab.cli.tables import millions, time_text
from hyperprune_lab.events import (
    BlockFinished,
    BlockStarted,
    EvaluationFinished,
    Event,
    ModuleDecided,
    Notice,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
    StageFinished,
    StageStarted,
    StepMeasured,
)


class ProgressView:
    """Draws each event it is shown. A context manager: the bars live inside it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._blocks: TaskID | None = None
        self._steps: TaskID | None = None
        self._total = 0
        self._errors: dict[str, tuple[float, float | None]] = {}
        self._told = ""

    def __enter__(self) -> ProgressView:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def show(self, event: Event) -> None:
        """Draw one event; events that a person need not see are passed over."""
        match event:
            case RunStarted():
                self._errors.clear()
                self._print(introduction(event))
            case StageStarted():
                self._start_stage(event)
            case BlockStarted():
                self._clear_steps()
            case StepMeasured():
                self._step(event)
            case ModuleDecided():
                if "error_rel" in event.scalars:
                    self._errors[event.module] = (
                        event.scalars["error_rel"],
                        event.scalars.get("error_rel_wanda"),
                    )
                    self._note(self._quality())
            case BlockFinished():
                self._finish_block(event)
            case StageFinished():
                self._finish_stage(event)
            case EvaluationFinished():
                if "perplexity" in event.scalars:
                    self._print(
                        f"  {event.state} on {event.subject}: perplexity {event.scalars['perplexity']:.2f}"
                    )
            case Notice():
                where = f"{event.module}: " if event.module else ""
                self._print(f"  {event.level}: {where}{event.message}")
            case RunPaused():
                self._print("Paused.")
            case RunResumed():
                self._print("Going on from the last checkpoint." if event.from_checkpoint else "Going on.")
            case RunStopped():
                self._print(f"Stopped: {event.reason}")

    def _print(self, text: str) -> None:
        self.bars.console.print(text, markup=False, soft_wrap=True)

    def _start_stage(self, event: StageStarted) -> None:
        self._clear_steps()
        self._total = event.blocks
        total = event.blocks or event.steps
        self._blocks = self.bars.add_task(event.stage, total=total, note=self._quality())
        if not self.console.is_terminal:
            size = f"{event.blocks} blocks" if event.blocks else f"{event.steps or '?'} steps"
            self._print(f"{event.stage}: {size}")

    def _step(self, event: StepMeasured) -> None:
        loss = event.values.get("loss")
        note = "" if loss is None else f"loss {loss:.4g}"
        if event.block is None and self._blocks is not None:
            self.bars.update(self._blocks, completed=event.step + 1, total=event.steps, note=note)
            return
        if self._steps is None:
            self._steps = self.bars.add_task(f"  block {event.block}", total=event.steps, note=note)
        self.bars.update(self._steps, completed=event.step + 1, total=event.steps, note=note)

    def _finish_block(self, event: BlockFinished) -> None:
        self._clear_steps()
        if self._blocks is not None:
            self.bars.advance(self._blocks)
        if not self.console.is_terminal:
            self._print(f"  block {event.block + 1}/{self._total}, {time_text(event.seconds)}{self._news()}")

    def _finish_stage(self, event: StageFinished) -> None:
        self._clear_steps()
        if self._blocks is not None:
            self.bars.remove_task(self._blocks)
            self._blocks = None
        mean = event.scalars.get("error_rel_mean")
        news = self._news() or ("" if mean is None else f", mean error {mean:.4f}")
        self._print(f"  {event.stage} took {time_text(event.seconds)}{news}")

    def _clear_steps(self) -> None:
        if self._steps is not None:
            self.bars.remove_task(self._steps)
            self._steps = None

    def _note(self, text: str) -> None:
        if self._blocks is not None:
            self.bars.update(self._blocks, note=text)

    def _news(self) -> str:
        """The quality so far, as the end of a sentence; empty where it was told before."""
        quality = self._quality()
        if quality == self._told:
            return ""
        self._told = quality
        return f", {quality}"

    def _quality(self) -> str:
        """The relative error so far, averaged over modules, beside that of Wanda's masks of the same."""
        if not self._errors:
            return ""
        ours = [error for error, _ in self._errors.values()]
        wanda = [error for _, error in self._errors.values() if error is not None]
        text = f"mean error {sum(ours) / len(ours):.4f}"
        return text + (f" (Wanda {sum(wanda) / len(wanda):.4f})" if len(wanda) == len(ours) else "")


def introduction(event: RunStarted) -> str:
    """What is about to be pruned and what is not, from the run's first event."""
    config, rows = event.config, event.coverage
    pruned = [row for row in rows if row["status"] == "pruned"]
    count = sum(row["parameters"] for row in pruned)
    total = sum(row["parameters"] for row in rows)
    lines = [
        f"{config['method']} at {config['pattern']} on {config['model']}: {len(pruned)} matrices, "
        f"{millions(count)} of {millions(total)} parameters ({count / max(total, 1):.0%})"
    ]
    lines += [f"  left as it is: {text}" for text in left_dense(rows)]
    return "\n".join(lines)


def left_dense(rows: list[dict[str, Any]]) -> list[str]:
    """One sentence for each reason why parameters stay dense, largest first."""
    sizes: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] != "pruned":
            sizes[row["reason"]] += row["parameters"]
            names.setdefault(row["reason"], []).append(row["name"])
    return [
        f"{names[reason][0] if len(names[reason]) == 1 else f'{len(names[reason])} tensors'}, "
        f"{millions(size)}: {reason}"
        for reason, size in sizes.most_common()
    ]
