"""Forgetting, "Does the network still know what it decided?": matrix, curves, sums, and a second run beside it.

Knows neither the browser nor how a run is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from hyperprune_lab.analysis import forgetting as analysis
from hyperprune_lab.analysis.forgetting import FINAL, ForgettingSummary
from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme
from hyperprune_lab.views.forgetting_words import after_label, lines_of, message_of, text
from hyperprune_lab.views.measures import ModuleMeasure

__all__ = ["MEASURES", "ForgettingData", "figure", "forgetting_data", "payload", "picture", "table", "text"]

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Matrix = Float[np.ndarray, "rows blocks"]


@dataclass(frozen=True)
class ForgettingMeasure(ModuleMeasure):
    """A measure of forgetting; ``reach``: differences of two runs are drawn from -reach to +reach."""

    short: str = ""
    reach: float = 1.0

    def form_difference(self, value: float | None) -> str:
        """A difference with its sign, in the measure's unit."""
        if value is None or self.name == "divergence":
            return theme.fmt_signed(value)
        return f"{theme.fmt_signed(100 * value, 1)} points"

    def brief_difference(self, value: float) -> str:
        """The same where there is no room."""
        words = theme.fmt_signed(value, 1) if self.name == "divergence" else theme.fmt_signed(100 * value, 0)
        return words if words.strip("+−0.") else "0"

    def brief(self, value: float) -> str:
        """A value where there is no room for its unit."""
        if self.name != "divergence":
            return self.form(value).removesuffix(" %").removesuffix("×")
        if not 0 < value < 1:
            return f"{value:.1f}" if value else "0"
        return "≈0" if value < 0.005 else f"{value:.2f}".removeprefix("0")


MEASURES: dict[str, ForgettingMeasure] = {
    measure.name: measure
    for measure in (
        ForgettingMeasure(
            "changed",
            "groups that it would now decide differently",
            domain=(0.0, 0.5),
            scale="linear",
            colors="cividis",
            form=theme.fmt_share,
            format_name="share",
            short="changed groups",
            reach=0.5,
            extreme="most",
            high_is_worse=True,
        ),
        ForgettingMeasure(
            "divergence",
            "KL from its choice then to its choice now, nats per group",
            domain=(1e-3, 10.0),
            scale="log",
            colors="cividis",
            form=theme.fmt_error,
            format_name="error",
            short="divergence",
            reach=2.0,
            extreme="most",
            high_is_worse=True,
        ),
        ForgettingMeasure(
            "error_rel",
            "error of the regenerated mask, over that when decided",
            domain=(0.8, 1.25),
            scale="log",
            colors="deviation",
            form=theme.fmt_ratio,
            format_name="ratio",
            short="error if regenerated",
            reach=0.25,
            extreme="most",
            high_is_worse=True,
        ),
    )
}
"""What can be shown. Domains are the same in every run; ``error_rel`` is a ratio around 1."""


@dataclass(frozen=True, eq=False)
class ReferenceMatrix:
    """A second run's matrix over the same blocks and rows, and ours minus theirs; both None where it has none."""

    run: str
    continual_weight: float | None
    values: Matrix | None
    difference: Matrix | None
    sentence: str


@dataclass(frozen=True, eq=False)
class ForgettingData:
    """Everything the view shows as of event ``seq``.

    ``rows`` are the labels of the matrix' rows: the block that was trained last, or ``FINAL``; ``asked`` those that
    hold numbers. ``values[rows, blocks]`` is the chosen measure, ``now`` and ``then`` the errors behind a ratio.
    ``leads[block]`` is the module that a click on a block selects. ``regenerated`` is the perplexity of the masks that
    the network would now give, ``stored`` that of the run's masks; None where not measured.
    """

    run: str
    seq: int
    method: str
    applies: bool
    measure: ForgettingMeasure
    domain: tuple[float, float]
    fitted: bool
    blocks: int
    rows: tuple[int, ...]
    asked: tuple[int, ...]
    values: Matrix
    now: Matrix
    then: Matrix
    summary: ForgettingSummary
    leads: tuple[str, ...]
    selected: int | None = None
    continual_weight: float | None = None
    stored: float | None = None
    regenerated: float | None = None
    reference: ReferenceMatrix | None = None

    @property
    def last(self) -> int | None:
        """Place of the newest row that holds numbers."""
        return self.rows.index(self.asked[-1]) if self.asked else None

    @property
    def worst(self) -> int | None:
        """The earlier block that changed for the worse most, by the newest row of this measure; None if none did."""
        if self.last is None:
            return None
        row = np.nan_to_num(self.values[self.last], nan=-np.inf)
        if self.rows[self.last] != FINAL:
            row = row[: self.rows[self.last]]
        unchanged = 1.0 if self.measure.name == "error_rel" else 0.0
        return int(row.argmax()) if len(row) and row.max() > unchanged else None

    def curve(self, block: int, values: Matrix | None = None) -> list[tuple[int, float]]:
        """Place of the row, and value, of every time that a block was asked again; the first is its decision."""
        column = (self.values if values is None else values)[:, block]
        return [(place, float(value)) for place, value in enumerate(column) if not np.isnan(value)]


def forgetting_data(
    run: Run,
    *,
    as_of: int | None = None,
    measure: str = "changed",
    selection: Iterable[str] = (),
    reference: Run | None = None,
    fit: bool = False,
) -> ForgettingData:
    """The forgetting of a run as of event ``as_of`` (default: now) by ``measure``, one of ``MEASURES``.

    ``reference`` is a second run to hold it against. With ``fit`` the scale spans what was measured.

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else as_of
    chosen = MEASURES[measure]
    applies = analysis.applies(run)
    table = linears(run)
    of_module = dict(zip(table["module"], table["block"], strict=True))
    selection = tuple(selection)
    selected = of_module.get(selection[0]) if selection else None
    blocks = 1 + max(of_module.values(), default=-1) if applies else 0
    index = _index(run, seq) if applies else []
    # A last stage that asks again leaves a row to come.
    rows = (*range(blocks), *([FINAL] if FINAL in index or "model" in run.started["stages"] else []))
    now, then, values = (_fitted(part, rows) for part in _matrices(run, chosen, seq))
    held_against = None
    if reference is not None and applies:
        held_against = _held_against(run, reference, chosen, seq, rows, values)
    drawn = [values] + ([held_against.values] if held_against and held_against.values is not None else [])
    measured = [float(value) for part in drawn for value in part.ravel() if not np.isnan(value)]
    stored, regenerated = _perplexities(run, seq)
    return ForgettingData(
        run=run.directory.root.name,
        seq=seq,
        method=str(run.config.get("method", "")),
        applies=applies,
        measure=chosen,
        domain=chosen.fitted(measured) if fit else chosen.domain,
        fitted=fit,
        blocks=blocks,
        rows=rows,
        asked=tuple(index),
        values=values,
        now=now,
        then=then,
        summary=analysis.summary(run, seq),
        leads=_leads(table["module"], table["block"], table["local"], selection, blocks),
        selected=selected if selected is not None and selected < blocks else None,
        continual_weight=analysis.continual_weight(run),
        stored=stored,
        regenerated=regenerated,
        reference=held_against,
    )


def _index(run: Run, seq: int) -> list[int]:
    """Rows that hold numbers, in order."""
    table = analysis.matrix(run, "changed", seq)
    return [int(after) for after in table.dropna(how="all").index]


def _matrices(run: Run, measure: ForgettingMeasure, seq: int) -> tuple[pd.DataFrame, ...]:
    """Errors of the masks of now and then, and the measure."""
    now = analysis.matrix(run, "error_rel", seq)
    then = analysis.matrix(run, "error_rel_at_decision", seq)
    # Asked right after its decision, a block's error is that of its decision.
    then = then.fillna(now.notna() * np.diagonal(now)).where(now.notna())
    if measure.name == "error_rel":
        return now, then, now / then.where(then > 0)
    return now, then, analysis.matrix(run, measure.name, seq)  # type: ignore[arg-type]


def _fitted(matrix: pd.DataFrame, rows: tuple[int, ...]) -> Matrix:
    """With these rows and as many columns as there are blocks."""
    blocks = [row for row in rows if row != FINAL]
    return matrix.reindex(index=list(rows), columns=blocks).to_numpy(float)


def _held_against(
    run: Run,
    reference: Run,
    measure: ForgettingMeasure,
    seq: int,
    rows: tuple[int, ...],
    values: Matrix,
) -> ReferenceMatrix:
    name, weight = reference.directory.root.name, analysis.continual_weight(reference)
    if not analysis.applies(reference):
        method = theme.shown_name(str(reference.config.get("method", "it")), 40)
        sentence = f"The reference run has no shared network: {method} has nothing to forget."
        return ReferenceMatrix(name, weight, None, None, sentence)
    theirs = _fitted(_matrices(reference, measure, reference.last_seq)[2], rows)
    sentence = analysis.compare(run, reference, "changed", seq).sentence
    return ReferenceMatrix(name, weight, theirs, values - theirs, sentence)


def _leads(
    modules: Iterable[str],
    blocks: Iterable[int],
    locals_: Iterable[str],
    selection: tuple[str, ...],
    count: int,
) -> tuple[str, ...]:
    """Of each block, the counterpart of the module in focus, or its first module."""
    known = list(zip(modules, blocks, locals_, strict=True))
    focus = selection[0] if selection else None
    wanted = next((local for module, _, local in known if module == focus), None)
    found: dict[int, str] = {}
    for module, block, local in known:
        if block not in found or local == wanted:
            found[block] = module
    return tuple(found.get(block, "") for block in range(count))


def _perplexities(run: Run, seq: int) -> tuple[float | None, float | None]:
    """Of the masks as stored and as the network would give them again, on the run's own evaluation text."""
    found = {
        event.payload.get("state"): event.scalars.get("perplexity")
        for event in run.events(kinds=("EvaluationFinished",))
        if event.seq <= seq
    }
    return found.get("mask-only"), found.get("regenerated")


# -- what it says


def payload(data: ForgettingData) -> dict[str, Any]:
    """What the browser draws."""
    common = {"applies": data.applies, "message": message_of(data), "measure": _measure_payload(data.measure)}
    if not data.applies:
        return common
    held = data.reference
    return common | {
        "domain": data.domain,
        "fitted": data.fitted,
        "blocks": data.blocks,
        "rows": [[after, after_label(after)] for after in data.rows],
        "asked": [data.rows.index(after) for after in data.asked],
        "values": _ragged(data, data.values),
        "errors": _errors(data),
        "tiles": lines_of(data),
        "note": analysis.NOTE,
        "worst": data.worst,
        "selected": data.selected,
        "leads": data.leads,
        "name": theme.shown_name(data.run, 40),
        "weight": data.continual_weight,
        "reference": None
        if held is None
        else {
            "name": theme.shown_name(held.run, 40),
            "weight": held.continual_weight,
            "values": None if held.values is None else _ragged(data, held.values),
            "difference": None if held.difference is None else _ragged(data, held.difference),
            "sentence": held.sentence,
        },
    }


def _measure_payload(measure: ForgettingMeasure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "label": measure.label,
        "scale": measure.scale,
        "colors": measure.colors,
        "format": measure.format_name,
        "short": measure.short,
        "reach": measure.reach,
    }


def _errors(data: ForgettingData) -> dict[str, Any] | None:
    """The two errors behind each ratio."""
    if data.measure.name != "error_rel":
        return None
    return {"now": _ragged(data, data.now), "then": _ragged(data, data.then)}


def _ragged(data: ForgettingData, matrix: Matrix) -> list[list[float | None]]:
    """Rows up to the diagonal, with five digits."""
    return [
        [_rounded(value) for value in matrix[place, : data.blocks if after == FINAL else after + 1]]
        for place, after in enumerate(data.rows)
    ]


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.5g}")


def table(data: ForgettingData) -> list[dict[str, Any]]:
    """One row per cell of the matrix, for spreadsheets."""
    held = data.reference.values if data.reference is not None else None
    return [
        {
            "after": "final stage" if after == FINAL else after,
            "block": block,
            data.measure.name if data.measure.name != "error_rel" else "error_ratio": data.values[
                place, block
            ],
            "error_rel": data.now[place, block],
            "error_rel_at_decision": data.then[place, block],
            **({} if held is None else {"reference": held[place, block]}),
        }
        for place, after in enumerate(data.rows)
        for block in range(data.blocks)
        if not np.isnan(data.values[place, block])
    ]


def picture(data: ForgettingData, theme_name: theme.Theme = "light") -> Figure:
    """The view as a matplotlib figure."""
    from hyperprune_lab.views.forgetting_picture import draw_forgetting

    return draw_forgetting(data, theme_name)


def figure(data: ForgettingData, theme_name: theme.Theme = "light") -> Any:
    """Matrix and curves as a plotly figure, for analysis cells."""
    from hyperprune_lab.views.forgetting_chart import chart_forgetting

    return chart_forgetting(data, theme_name)
