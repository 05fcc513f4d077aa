"""The Lab, "One screen, one story": what its frame says about the run and about what is looked at.

Knows nothing about the views inside it; each of them speaks for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure
from matplotlib.image import imread

from hyperprune_lab.record.reader import Run
from hyperprune_lab.record.store import RecordedEvent
from hyperprune_lab.views import theme

NOTHING = (
    "No run is open, and the recorded examples are not here. Press Start above: the embedded model is pruned, and "
    "every view fills while it works. Or open a run from the shelf."
)
_SPOKEN = ("BlockFinished", "RunFailed", "RunStopped", "RunFinished", "Notice")


@dataclass(frozen=True)
class LabData:
    """What the status strip shows. ``spoken`` is the newest end of a block or error: its event and its words."""

    run: str = ""
    seq: int = 0
    badge: str = ""
    example: bool = False
    selection: tuple[str, ...] = ()
    error_rel: float | None = None
    error_rel_wanda: float | None = None
    reference: str = ""
    spoken: tuple[int, str] = (0, "")

    @property
    def focus(self) -> str:
        """The selected module, and how many more there are."""
        if not self.selection:
            return "nothing selected"
        more = len(self.selection) - 1
        return theme.shown_name(self.selection[0]) + (f" and {more} more" if more else "")


def lab_data(
    run: Run | None,
    *,
    as_of: int | None = None,
    selection: Sequence[str] = (),
    reference: Run | None = None,
    badge: str = "",
    example: bool = False,
) -> LabData:
    """The frame around the views of ``run`` as of event ``as_of``.

    Raises:
        UserError: the record is damaged.
    """
    if run is None:
        return LabData(badge=badge)
    seq = run.last_seq if as_of is None else as_of
    known: dict[Any, Any] = {}
    if selection:
        modules = run.modules(as_of=seq)
        chosen = modules[modules["module"] == selection[0]].to_dict("records")
        known = chosen[0] if chosen else {}
    return LabData(
        run=run.directory.root.name,
        seq=seq,
        badge=badge,
        example=example,
        selection=tuple(selection),
        error_rel=_number(known.get("error_rel")),
        error_rel_wanda=_number(known.get("error_rel_wanda")),
        reference="" if reference is None else reference.directory.root.name,
        spoken=_spoken(run, seq),
    )


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _spoken(run: Run, seq: int) -> tuple[int, str]:
    """The newest event that is said aloud: ends of blocks, errors, the end; nothing else."""
    newest = run.newest_seq(_SPOKEN, seq)
    if not newest:
        return 0, ""
    for event in reversed(run.events(after=newest - 1, kinds=_SPOKEN)):
        if event.seq <= seq:
            return event.seq, _words_of(event)
    return 0, ""


def _words_of(event: RecordedEvent) -> str:
    match event.kind:
        case "BlockFinished":
            return f"Block {event.block} done in {theme.shown_name(event.stage or '')}."
        case "RunFinished":
            return "The run is finished."
        case "RunStopped":
            return "The run was stopped."
        case "RunFailed":
            return f"The run failed: {theme.shown_name(str(event.payload.get('cause', '')), 300)}"
    told = str(event.payload.get("level")) == "error"
    return theme.shown_name(str(event.payload.get("message", "")), 300) if told else ""


def payload(data: LabData) -> dict[str, Any]:
    """What the browser draws, but for the views inside."""
    return {
        "run": theme.shown_name(data.run),
        "example": data.example,
        "focus": data.focus,
        "facts": facts(data),
        "reference": theme.shown_name(data.reference),
        "spoken": data.spoken,
        "nothing": "" if data.run else NOTHING,
    }


def facts(data: LabData) -> str:
    """What is known of the selected module, in a few words."""
    if not data.selection or not data.run:
        return ""
    if data.error_rel is None:
        return f"error {theme.NOT_YET}"
    wanda = "" if data.error_rel_wanda is None else f", Wanda {theme.fmt_error(data.error_rel_wanda)}"
    return f"error {theme.fmt_error(data.error_rel)}{wanda}"


def text(data: LabData) -> str:
    """The frame in words."""
    if not data.run:
        return NOTHING
    lines = [f"{data.run}, event {data.seq}: {data.badge}{', an example run' if data.example else ''}"]
    told = facts(data)
    lines.append(f"selected: {data.focus}{f': {told}' if told else ''}")
    lines.append(f"held against: {data.reference or theme.NONE}")
    return "\n".join(lines)


def picture(data: LabData, theme_name: theme.Theme = "light") -> Any:
    """The words of the frame as a figure; ``stacked`` puts the views below it."""
    with theme.drawing(theme_name, 84) as figure:
        figure.set_layout_engine("none")
        figure.text(0.012, 0.8, data.run or "HyperPrune Lab", weight="bold", size=12, va="center")
        lines = text(data).split("\n")
        figure.text(0.012, 0.32, "\n".join([data.badge, *lines[1:2]]), va="center", linespacing=1.5)
        return figure


def stacked(figures: Sequence[Figure], theme_name: theme.Theme = "light") -> Figure:
    """Several pictures of one width as one, from top to bottom."""
    images = [imread(BytesIO(theme.png(figure, theme_name)), format="png") for figure in figures]
    heights = [round(figure.get_figheight() * theme.DPI) for figure in figures]
    total = sum(heights)
    with theme.drawing(theme_name, total) as joined:
        joined.set_layout_engine("none")
        top = total
        for height, image in zip(heights, images, strict=True):
            top -= height
            axes = joined.add_axes((0, top / total, 1, height / total))
            axes.imshow(image, aspect="auto", interpolation="nearest")
            axes.set_axis_off()
        return joined
