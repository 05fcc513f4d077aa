"""Run control: what a run will do, what one is doing, and which runs there are, as data, text and picture.

Knows nothing about widgets, and starts nothing: what was found elsewhere is put together and told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hyperprune_lab.analysis.pace import Pace, pace, stage_seconds
from hyperprune_lab.analysis.progress import Progress, Quality
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.store import Store
from hyperprune_lab.shelf import ShelfEntry
from hyperprune_lab.views import check_words, theme
from hyperprune_lab.views import run_control_words as words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Place = Literal["row", "decide", "data", "run"]
Kind = Literal["choice", "text", "number"]
LIKE_SPREAD = (0.85, 1.3)
"""How far a run may lie from the times that one like it took."""
MOST_ENTRIES = 60
"""Runs that a page lists; the newest come first."""


@dataclass(frozen=True)
class Field:
    """One setting of the run to come, as a control shows it.

    ``default`` is what the empty ``value`` means; ``fault`` says what is wrong with the value, ``off`` why the setting
    does not apply now.
    """

    name: str
    label: str
    place: Place
    kind: Kind
    value: str
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[str, ...] = ()
    hint: str = ""
    fault: str | None = None
    warning: str | None = None
    off: str | None = None

    @property
    def changed(self) -> bool:
        """Whether it is not what it would be if nobody had touched it."""
        return self.off is None and self.value not in ("", self.default)


@dataclass(frozen=True)
class Rule:
    """Modules that are treated differently: left dense or given another pattern.

    ``origin`` says where the rule was made: on the map's scope, for ``modules``, or as a regular expression.
    """

    origin: Literal["map", "expression"]
    label: str
    wanted: str
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """The run to come. ``faults`` keep it from beginning and belong to none of its ``fields``: (name, message).

    ``unable`` says why no run can be made on this machine at all.
    """

    fields: tuple[Field, ...] = ()
    rules: tuple[Rule, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    unable: str | None = None

    def __getitem__(self, name: str) -> Field:
        return next(one for one in self.fields if one.name == name)

    @property
    def faulty(self) -> bool:
        """Whether something has to be mended before a run can begin."""
        return bool(self.faults) or any(one.fault for one in self.fields)

    @property
    def changed(self) -> tuple[Field, ...]:
        """What was changed of the settings that are folded away."""
        return tuple(one for one in self.fields if one.changed and one.place != "row")


@dataclass(frozen=True)
class Looked:
    """The look before the run: on its way, done or failed; ``fresh`` while it is about the settings as they stand."""

    state: Literal["asking", "done", "failed"]
    fresh: bool = True
    text: str = ""
    share: float | None = None
    answer: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether the run can begin."""
        return self.answer is not None and bool(self.answer.get("ok"))


@dataclass(frozen=True)
class Work:
    """Something that was asked for and takes a moment: ``checking``, ``starting``, ``resuming``, ``opening`` ..."""

    kind: str
    subject: str = ""
    cancellable: bool = False


@dataclass(frozen=True)
class Shown:
    """The run on the desk. ``follows`` names who steers it, where that is somebody else."""

    entry: ShelfEntry
    progress: Progress
    quality: Quality
    pace: Pace | None = None
    waited: float = 0.0
    threads: int | None = None
    follows: str | None = None
    example: bool = False
    replayed: bool = False

    @property
    def at_work(self) -> bool:
        """Whether what is shown is a run that has not ended: it runs, or it did at the moment that is replayed."""
        return self.entry.running or self.replayed


@dataclass(frozen=True)
class RunControlData:
    """Everything that the run control shows."""

    form: Form
    seq: int = 0
    looked: Looked | None = None
    work: Work | None = None
    trouble: str | None = None
    shown: Shown | None = None
    shelf: tuple[ShelfEntry, ...] = ()
    home: Path = Path("runs")
    examples: Path | None = None
    shelf_open: bool = False
    reference: Path | None = None


def expected_seconds(
    entry: ShelfEntry, shelf: Sequence[ShelfEntry], checked: Mapping[str, Any] | None
) -> dict[str, tuple[float, float]] | None:
    """Seconds by stage, as a check told them before the run, or as the newest run like it took; None: nobody knows."""
    seconds = (checked or {}).get("seconds")
    if seconds:
        return {str(stage): (float(low), float(high)) for stage, (low, high) in seconds["stages"].items()}
    for other in shelf:
        if other.state == "finished" and other.path != entry.path and _alike(entry, other):
            try:
                took = stage_seconds(Store(other.path))
            except UserError:
                continue
            return {stage: (LIKE_SPREAD[0] * s, LIKE_SPREAD[1] * s) for stage, s in took.items()}
    return None


def pace_of(store: Store, expected: Mapping[str, tuple[float, float]] | None) -> Pace | None:
    """The pace of a run at work; None where its record does not tell it."""
    try:
        return pace(store, expected)
    except UserError:
        return None


def payload(data: RunControlData) -> dict[str, Any]:
    """What JavaScript draws from: words as in the text, and the numbers of the bars."""
    return {
        "form": _form_json(data.form),
        "check": None if data.looked is None else check_words.check_json(data.looked),
        "work": None
        if data.work is None
        else {"kind": data.work.kind, "text": check_words.work_words(data.work)}
        | {"subject": data.work.subject, "cancellable": data.work.cancellable},
        "trouble": data.trouble,
        "run": None if data.shown is None else words.shown_json(data.shown),
        "shelf": _shelf_json(data),
    }


def text(data: RunControlData) -> str:
    """The same in words."""
    lines = [f"Next run: {check_words.form_words(data.form)}."]
    lines += check_words.form_lines(data.form)
    if data.work is not None:
        lines.append(check_words.work_words(data.work))
    if data.trouble:
        lines.append(f"Trouble: {data.trouble}")
    if data.looked is not None:
        lines += check_words.check_lines(data.looked)
    if data.shown is not None:
        lines += words.shown_lines(data.shown, data.seq)
    lines += [f"Runs: {words.counts(data.shelf)}."]
    lines += [sentence for _, sentence in words.elsewhere(data.shelf, data.shown)]
    if data.shelf_open:
        lines += [f"  {words.entry_words(entry)}" for entry in data.shelf[:MOST_ENTRIES]]
    return "\n".join(lines)


def picture(data: RunControlData, theme_name: theme.Theme = "light") -> Figure:
    """The static twin."""
    from hyperprune_lab.views.run_control_picture import draw_run_control

    return draw_run_control(data, theme_name)


def table(data: RunControlData) -> list[dict[str, Any]]:
    """The shelf, a row a run."""
    keys = ("name", "state", "method", "preset", "model", "pattern", "budget", "seed", "stage", "blocks_done")
    more = ("blocks", "dense_ppl", "mask_only_ppl", "compensated_ppl", "seconds", "device", "error")
    return [{key: getattr(entry, key) for key in (*keys, *more)} for entry in data.shelf]


def _alike(one: ShelfEntry, other: ShelfEntry) -> bool:
    names = ("method", "preset", "model", "pattern", "budget", "device")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _form_json(form: Form) -> dict[str, Any]:
    return {
        "fields": [
            {
                "name": one.name,
                "label": one.label,
                "place": one.place,
                "kind": one.kind,
                "value": one.value,
                "default": one.default,
                "choices": [list(pair) for pair in one.choices],
                "suggestions": list(one.suggestions),
                "hint": one.hint,
                "changed": one.changed,
                "fault": one.fault,
                "warning": one.warning,
                "off": one.off,
            }
            for one in form.fields
        ],
        "rules": [
            {"origin": one.origin, "label": one.label, "wanted": one.wanted, "modules": list(one.modules)}
            for one in form.rules
        ],
        "faults": [list(pair) for pair in form.faults],
        "faulty": form.faulty,
        "changed": [one.label for one in form.changed],
        "unable": form.unable,
    }


def _shelf_json(data: RunControlData) -> dict[str, Any]:
    shown = data.shelf[:MOST_ENTRIES] if data.shelf_open else ()
    here = None if data.shown is None else data.shown.entry.path
    return {
        "words": words.counts(data.shelf),
        "count": len(data.shelf),
        "live": sum(entry.running for entry in data.shelf),
        "elsewhere": [
            {"path": str(entry.path), "name": entry.name, "state": entry.state, "words": sentence}
            for entry, sentence in words.elsewhere(data.shelf, data.shown)
        ],
        "left_out": max(0, len(data.shelf) - MOST_ENTRIES),
        "entries": [
            words.entry_json(entry)
            | {
                "here": entry.path == here,
                "example": data.examples is not None and data.examples in entry.path.parents,
                "reference": entry.path == data.reference,
            }
            for entry in shown
        ],
    }
