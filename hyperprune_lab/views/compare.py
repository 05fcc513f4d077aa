"""Compare, "What differs, and which words broke?": figures, masks, words and continuations of several runs.

Knows neither the browser nor how a run is written. One run is the reference that others are held against; without
one, a run is held against its own dense model and against Wanda's mask beside its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperprune_lab.analysis.pairs import compare_masks
from hyperprune_lab.analysis.scoreboard import (
    STATES,
    Group,
    Standing,
    best,
    errors_compare,
    groups,
    masks_compare,
    standing,
)
from hyperprune_lab.analysis.tokenloss import DENSE
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme
from hyperprune_lab.views.compare_columns import COLUMNS, GROUPS, LEVELS, Column
from hyperprune_lab.views.compare_masks import MaskMap, mask_map
from hyperprune_lab.views.compare_words import Continuation, Words, continuations, words_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_RUNS = 12
REFERENCE = "reference"
"""As ``against``: the reference run; the other choice is the run's own dense model."""
MASKS = ("wanda", "magnitude")
"""Masks that a run records beside its own."""


@dataclass(frozen=True)
class Cell:
    """One figure as it is shown; ``mark`` is ``best``, ``tied`` or nothing."""

    value: float | None
    shown: str
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """One run in the table. ``group`` is its place in ``CompareData.groups``; ``note`` says what is odd about it."""

    key: str
    standing: Standing
    group: int
    cells: Mapping[str, Cell]
    note: str = ""

    @property
    def method(self) -> str:
        """Method and preset in words."""
        label = theme.method_style(self.standing.method).label
        return f"{label}, {self.standing.preset}" if self.standing.preset else label


@dataclass(frozen=True)
class Matrix:
    """Shares of groups with the same pattern, of every two; None where it is not known. ``left`` pairs to be read."""

    names: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    chance: float | None
    left: int


@dataclass(frozen=True)
class CompareData:
    """Everything the view shows; ``focus`` is the run that is held against ``other`` (a run, ``dense`` or a mask)."""

    seq: int
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    sort: str
    reference: str | None
    focus: str
    state: str
    against: str
    map: MaskMap
    matrix: Matrix
    words: Words
    texts: tuple[Continuation, ...]
    texts_problem: str
    candidates: tuple[tuple[str, str], ...] = ()
    removable: tuple[str, ...] = ()

    def row(self, key: str) -> Row:
        return next(row for row in self.rows if row.key == key)

    def rows_of(self, group: int) -> tuple[Row, ...]:
        """The rows of one part of the table, in order."""
        return tuple(row for row in self.rows if row.group == group)


def compare_data(
    runs: Mapping[str, Run],
    *,
    as_of: int | None = None,
    replayed: str | None = None,
    reference: str | None = None,
    focus: str | None = None,
    state: str = STATES[0],
    against: str = REFERENCE,
    measure: str = "patterns",
    domain: str = "",
    page: int = -1,
    sort: str = "",
    candidates: Sequence[tuple[str, str]] = (),
    removable: Sequence[str] = (),
    seconds: float | None = None,
) -> CompareData:
    """Runs by the names they shall be shown with, held against ``reference``.

    The run ``replayed`` (default: the first) is shown as of event ``as_of``, the others as they are now. ``focus`` is
    the run whose masks and words are looked at (default: the first that is not the reference). With ``seconds``
    reading of masks stops after that time, and ``map.left`` says that there is more.

    Raises:
        UserError: a record is damaged.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    names = list(runs)[:MOST_RUNS]
    if reference not in names:
        reference = None
    names.sort(key=lambda name: name != reference)
    moved = replayed if replayed in names else next((name for name in runs), None)
    moments = {name: as_of if name == moved else None for name in names}
    if focus not in names:
        focus = next((name for name in names if name != reference), names[0])
    standings = {name: standing(runs[name], moments[name]) for name in names}
    found = groups([standings[name] for name in names])
    rows = _rows(names, standings, found, runs)
    theirs = reference if reference not in (None, focus) and against == REFERENCE else None
    words = words_of(
        (focus, runs[focus]),
        state,
        (theirs, runs[theirs]) if theirs is not None else (focus, runs[focus]),
        DENSE if theirs is None else state,
        as_of=moments[focus],
        domain=domain,
        page=page,
    )
    mask_other = reference if reference not in (None, focus) else None
    shared = mask_map(
        runs[focus],
        None if mask_other is None else runs[mask_other],
        measure,
        as_of=moments[focus],
        problem=_unlike(standings, focus, mask_other, measure),
        deadline=deadline,
    )
    texts, problem = continuations(
        runs[focus], state, None if theirs is None else runs[theirs], as_of=moments[focus]
    )
    return CompareData(
        seq=standings[moved].seq if moved is not None else 0,
        rows=_sorted(rows, sort, reference),
        groups=found,
        columns=COLUMNS,
        sort=sort,
        reference=reference,
        focus=focus,
        state=state,
        against=theirs if theirs is not None else DENSE,
        map=shared,
        matrix=_matrix(names, runs, standings, moments, deadline),
        words=words,
        texts=texts,
        texts_problem=problem,
        candidates=tuple(candidates),
        removable=tuple(name for name in removable if name in names),
    )


def _rows(
    names: Sequence[str], standings: Mapping[str, Standing], found: Sequence[Group], runs: Mapping[str, Run]
) -> list[Row]:
    ordered = [standings[name] for name in names]
    opened = [runs[name] for name in names]
    of = {place: number for number, group in enumerate(found) for place in group.places}
    marks: dict[tuple[int, str], str] = {}
    for group in found:
        for column in COLUMNS:
            winners, tied = best(ordered, group, column.key, opened)
            marks |= {(place, column.key): "best" for place in winners}
            marks |= {(place, column.key): "tied" for place in tied}
    rows = []
    for place, name in enumerate(names):
        one = ordered[place]
        cells = {
            column.key: Cell(
                one.values.get(column.key),
                column.form(one.values.get(column.key), one.awaits),
                marks.get((place, column.key), ""),
            )
            for column in COLUMNS
        }
        note = "" if errors_compare(ordered[0], one) else "errors on other calibration text"
        rows.append(Row(name, one, of[place], cells, note))
    return rows


def _sorted(rows: Sequence[Row], sort: str, reference: str | None) -> tuple[Row, ...]:
    """By group; in each, the reference first, then by the column (``-`` in front: the largest first)."""
    column, falling = sort.removeprefix("-"), sort.startswith("-")

    def key(row: Row) -> tuple[Any, ...]:
        value = row.cells[column].value if column in row.cells else None
        if column == "name":
            value = 0.0
        missing = value is None or value != value
        number = 0.0 if missing or value is None else value
        return row.group, row.key != reference, missing and bool(column), -number if falling else number

    ordered = sorted(rows, key=lambda row: row.key.casefold(), reverse=falling) if column == "name" else rows
    return tuple(sorted(ordered, key=key))


def _unlike(standings: Mapping[str, Standing], focus: str, other: str | None, measure: str) -> str:
    """Why masks or errors of two runs cannot be compared; empty if they can."""
    if other is None:
        return ""
    fields = masks_compare(standings[focus], standings[other])
    if fields:
        one = fields[0]
        return f"Their masks do not compare: {one.field} {_shown(one.ours)} against {_shown(one.theirs)}."
    if measure == "error" and not errors_compare(standings[focus], standings[other]):
        return "Their errors do not compare: they were measured on other calibration tokens."
    return ""


def _matrix(
    names: Sequence[str],
    runs: Mapping[str, Run],
    standings: Mapping[str, Standing],
    moments: Mapping[str, int | None],
    deadline: float | None,
) -> Matrix:
    decided = [name for name in names if "error_rel" in standings[name].values]
    methods = {standings[name].method for name in decided}
    beside = [mask for mask in MASKS if mask not in methods]
    shares: dict[tuple[str, str], float | None] = {}
    left = 0
    for place, one in enumerate(decided):
        for other in decided[place + 1 :]:
            if masks_compare(standings[one], standings[other]):
                continue
            # Read as of the one that may be looked at in the past.
            first, second = (one, other) if moments[one] is not None else (other, one)
            pair = compare_masks(runs[first], runs[second], moments[first], deadline)
            left += pair.left > 0
            shares[one, other] = None if pair.left else _known(pair.patterns)
        for mask in beside:
            shares[one, _beside(mask)] = _recorded(runs[one], mask, moments[one])
    labels = [*decided, *(_beside(mask) for mask in beside)] if decided else []
    values = tuple(
        tuple(1.0 if a == b else shares.get((a, b), shares.get((b, a))) for b in labels) for a in labels
    )
    patterns = {standings[name].pattern for name in decided}
    return Matrix(tuple(labels), values, _chance(patterns), left)


def _beside(mask: str) -> str:
    """A mask that a run recorded beside its own; no run can have this name, as a folder's name has no slash."""
    return f"{theme.method_style(mask).label} / same input"


def _recorded(run: Run, mask: str, as_of: int | None) -> float | None:
    table = run.modules(as_of=as_of)
    column = f"agreement_{mask}"
    if column not in table:
        return None
    known = table.dropna(subset=column)
    sizes = known["out_features"] * known["in_features"]
    return float((known[column] * sizes).sum() / sizes.sum()) if len(known) else None


def _chance(patterns: set[str]) -> float | None:
    """What two masks without any preference would share."""
    from hyperprune_lab.patterns import NMPattern

    if len(patterns) != 1:
        return None
    return 1 / NMPattern.parse(next(iter(patterns))).count


def _known(value: float) -> float | None:
    return None if value != value else value


def _shown(value: Any) -> str:
    return theme.shown_name("unknown" if value is None else str(value), 24)


# -- what it says


def headline(data: CompareData) -> str:
    """One sentence on the two that are held against each other."""
    from hyperprune_lab.views.compare_text import headline as told

    return told(data)


def payload(data: CompareData) -> dict[str, Any]:
    """What the browser draws."""
    from hyperprune_lab.views.compare_text import group_line, map_other

    return {
        "columns": [
            {
                "key": c.key,
                "label": c.label,
                "group": GROUPS[c.group],
                "from": LEVELS[c.level],
                "help": c.help,
            }
            for c in data.columns
        ],
        "rows": [_row(row) for row in data.rows],
        "groups": [group_line(data, number) for number in range(len(data.groups))],
        "reference": data.reference,
        "focus": data.focus,
        "sort": data.sort,
        "mask_other": map_other(data),
        "headline": headline(data),
        "against": data.against,
        "map": data.map.payload(),
        "matrix": {
            "names": data.matrix.names,
            "values": data.matrix.values,
            "chance": data.matrix.chance,
            "left": data.matrix.left,
        },
        "words": data.words.payload(),
        "texts": [one.payload() for one in data.texts],
        "texts_problem": data.texts_problem,
        "candidates": data.candidates,
        "removable": data.removable,
    }


def _row(row: Row) -> dict[str, Any]:
    one = row.standing
    return {
        "key": row.key,
        "name": theme.shown_name(row.key, 60),
        "method": one.method,
        "label": row.method,
        "about": about(row),
        "pattern": one.pattern,
        "state": one.state,
        "stage": one.stage,
        "group": row.group,
        "note": row.note,
        "cells": {key: [cell.value, cell.shown, cell.mark] for key, cell in row.cells.items()},
    }


def about(row: Row) -> str:
    """What was asked of a run, in a few words."""
    one = row.standing
    words = [row.method, one.pattern, f"budget {one.budget}" if one.budget else ""]
    words += [
        f"compensation {one.compensation}" if one.compensation else "",
        f"seed {one.seed}" if one.seed is not None else "",
    ]
    return " · ".join(theme.shown_name(word, 40) for word in words if word)


def text(data: CompareData) -> str:
    """The view in words."""
    from hyperprune_lab.views.compare_text import tell

    return tell(data)


def picture(data: CompareData, theme_name: theme.Theme = "light") -> Figure:
    """The view as a static picture."""
    from hyperprune_lab.views.compare_picture import draw_comparison

    return draw_comparison(data, theme_name)


def table(data: CompareData) -> list[dict[str, Any]]:
    """One row a run, with every figure unrounded."""
    rows = []
    for row in data.rows:
        one = row.standing
        told = {
            "run": row.key,
            "reference": row.key == data.reference,
            "method": one.method,
            "preset": one.preset,
            "pattern": one.pattern,
            "model": one.model,
            "budget": one.budget,
            "compensation": one.compensation,
            "seed": one.seed,
            "state": one.state,
            "protocol": row.group,
            "evaluation_text": one.text,
            "evaluation_window": one.protocol.get("evaluation window"),
            "evaluation_tokens": one.protocol.get("evaluation tokens"),
            "dense_perplexity": one.dense,
        }
        rows.append(
            told | {column.key.replace("/", " "): row.cells[column.key].value for column in data.columns}
        )
    return rows
