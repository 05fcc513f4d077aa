"""Reconstruction, "Where does the error come from?": by depth, by cause, by output row, by input channel.

Knows neither the browser nor how a run is written. Errors are relative: lost output energy over the dense output's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from hyperprune_lab.analysis import reconstruction as facts
from hyperprune_lab.analysis.channel_digest import filed_blocks
from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme
from hyperprune_lab.views.reconstruction_words import OURS, payload, table, text

__all__ = ["ReconstructionData", "figure", "payload", "picture", "reconstruction_data", "table", "text"]

REFERENCES = ("wanda", "magnitude")
PARTS_DOMAIN = (0.0, 1.2)
"""Of local, inherited and total error, on a linear scale."""
BARS = 8
"""So many rows, channels and pairs are listed."""
COMPARED = 3
"""So many selected modules have their parts drawn."""


@dataclass(frozen=True)
class Point:
    """The linears of one kind in one block: their median error, and the worst of them, which stands for them.

    Without experts there is one linear, and both are its error.
    """

    block: int
    value: float
    worst: float
    module: str
    count: int = 1


@dataclass(frozen=True)
class Panel:
    """Linears of one kind over depth; ``curves`` by method: ``this run``, ``wanda``, ``magnitude``."""

    name: str
    experts: int
    curves: Mapping[str, tuple[Point, ...]]

    @property
    def ours(self) -> tuple[Point, ...]:
        return self.curves.get(OURS, ())

    @property
    def worst(self) -> Point | None:
        """Where this run loses most."""
        return max(self.ours, key=lambda point: point.worst, default=None)


@dataclass(frozen=True)
class Compensated:
    """Errors of whole block outputs after one stage of compensation, ``(block, error)``: another quantity."""

    stage: str
    least_squares: tuple[tuple[int, float], ...]
    refit: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Parts:
    """Where one linear's error inside the pruned model comes from. ``total = local + inherited + cross``."""

    module: str
    local: float
    inherited: float
    cross: float
    total: float


@dataclass(frozen=True)
class Pair:
    """One linear's error on the text it was decided on, and on held-out text."""

    module: str
    block: int
    calibration: float
    held_out: float
    ratio: float


@dataclass(frozen=True)
class WorstRow:
    """One output row: its share of the error, that over the mean row's, and its error over its own energy."""

    row: int
    share: float
    times_mean: float
    of_own: float | None


@dataclass(frozen=True)
class Shares:
    """Signed shares of a linear's error by input channel, of all: the largest by size, and the sums of either sign."""

    channels: tuple[tuple[int, float], ...]
    positive: float
    negative: float
    rest: float
    others: int


@dataclass(frozen=True)
class ReconstructionData:
    """Everything the view shows as of event ``seq``.

    ``places`` are panel and block of the selected and the listed linears; ``parts`` those of the first selected, as
    far as they are known. ``audit`` says whether they ever will be: ``done``, ``not yet`` or ``none``. ``pairs`` are
    the focus and those with the largest ratio.
    """

    run: str
    seq: int
    method: str
    finished: bool
    blocks: int
    linears: int
    decided: int
    provisional: bool
    domain: tuple[float, float]
    fitted: bool
    panels: tuple[Panel, ...]
    compensated: tuple[Compensated, ...]
    means: Mapping[str, float]
    worst: Point | None
    selection: tuple[str, ...]
    places: Mapping[str, tuple[int, int]]
    focus: str | None
    focus_errors: Mapping[str, float]
    audit: str
    parts: tuple[Parts, ...]
    rows: tuple[WorstRow, ...]
    shares: Shares | None
    pairs: tuple[Pair, ...]
    paired: int
    median_ratio: float | None

    @property
    def references(self) -> tuple[str, ...]:
        """The masks to hold this run's against: not its own."""
        return tuple(name for name in REFERENCES if name != self.method)

    @property
    def unseen(self) -> int:
        """Selected linears whose parts are not drawn for want of room."""
        return max(0, len(self.selection) - COMPARED)

    @property
    def parts_domain(self) -> tuple[float, float]:
        """Of the bars: fixed, or just wide enough."""
        most = max((max(p.local, p.inherited, p.total) for p in self.parts), default=0.0)
        return (0.0, 1.05 * most) if self.fitted and most > 0 else PARTS_DOMAIN


def reconstruction_data(
    run: Run, *, as_of: int | None = None, selection: Sequence[str] = (), fit: bool = False
) -> ReconstructionData:
    """The errors of a run as of event ``as_of`` (default: now), and the causes of those of ``selection``.

    With ``fit`` the axes span what was measured instead of the fixed domains.

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else as_of
    pruned = linears(run)
    errors = facts.errors(run, as_of=seq)
    errors = errors[errors["error_rel"].notna()]
    ours = errors[errors["method"] == OURS]
    panels = _panels(pruned, errors)
    compensated = _compensated(facts.compensated_blocks(run, seq))
    parts = facts.decomposition(run, seq)
    focus = selection[0] if selection else None
    gaps = facts.held_out(run, as_of=seq)
    pairs = _pairs(gaps, focus)
    points = [point for panel in panels for point in panel.ours]
    started = run.started
    filed = _filed(run, pruned, focus, seq)
    audited = bool(len(parts))
    finished = run.newest_seq(("RunFinished",), seq) > 0
    return ReconstructionData(
        run=run.directory.root.name,
        seq=seq,
        method=str(started.get("config", {}).get("method", "")),
        finished=finished,
        blocks=int(pruned["block"].max()) + 1 if len(pruned) else 0,
        linears=len(pruned),
        decided=ours["module"].nunique(),
        provisional=len(ours) > 0 and not finished,
        domain=_fitted(errors, compensated) if fit else theme.ERROR_DOMAIN,
        fitted=fit,
        panels=panels,
        compensated=compensated,
        means={str(name): float(mean) for name, mean in errors.groupby("method")["error_rel"].mean().items()},
        worst=max(points, key=lambda point: point.worst, default=None),
        selection=tuple(selection),
        places=_places(pruned, [*selection, *(pair.module for pair in pairs)]),
        focus=focus,
        focus_errors=_errors_of(errors, focus),
        audit="done" if audited else "not yet" if "audit" in started.get("stages", []) else "none",
        parts=_parts(parts, selection),
        rows=_rows(run, focus, filed),
        shares=_shares(run, focus, filed, pruned),
        pairs=pairs,
        paired=len(gaps),
        median_ratio=float(gaps["ratio"].median()) if gaps["ratio"].notna().any() else None,
    )


# -- from the tables


def _panels(pruned: pd.DataFrame, errors: pd.DataFrame) -> tuple[Panel, ...]:
    # Plain loops: a live run asks for this ten times a second, and grouping tables costs more than all the rest.
    members: dict[str, Counter[int]] = {}
    for name, block in zip(pruned["panel"], pruned["block"], strict=True):
        members.setdefault(str(name), Counter())[int(block)] += 1
    columns = ("panel", "method", "block", "error_rel", "module")
    found: dict[str, dict[str, dict[int, list[tuple[float, str]]]]] = {}
    for name, method, block, error, module in zip(*(errors[column] for column in columns), strict=True):
        curves = found.setdefault(str(name), {})
        curves.setdefault(str(method), {}).setdefault(int(block), []).append((float(error), str(module)))
    return tuple(
        Panel(
            name,
            max(blocks.values()),
            {
                method: tuple(_point(block, linears_) for block, linears_ in sorted(curve.items()))
                for method, curve in found.get(name, {}).items()
            },
        )
        for name, blocks in members.items()
    )


def _point(block: int, of: list[tuple[float, str]]) -> Point:
    worst, module = max(of, key=lambda one: one[0])
    return Point(block, median(error for error, _ in of), worst, module, len(of))


def _compensated(table: pd.DataFrame) -> tuple[Compensated, ...]:
    return tuple(
        Compensated(str(stage), _series(part, "error_linear"), _series(part, "error_refit"))
        for stage, part in table.groupby("stage", sort=False)
    )


def _series(part: pd.DataFrame, column: str) -> tuple[tuple[int, float], ...]:
    known = part.dropna(subset=column).drop_duplicates("block", keep="last").sort_values("block")
    return tuple(
        (int(block), float(value)) for block, value in zip(known["block"], known[column], strict=True)
    )


def _fitted(errors: pd.DataFrame, compensated: Sequence[Compensated]) -> tuple[float, float]:
    values = [*errors["error_rel"], *(v for one in compensated for _, v in (*one.least_squares, *one.refit))]
    usable = [value for value in values if value > 0]
    return (min(usable) / 1.2, max(usable) * 1.2) if usable else theme.ERROR_DOMAIN


def _errors_of(errors: pd.DataFrame, module: str | None) -> dict[str, float]:
    rows = errors[errors["module"] == module]
    return {
        str(method): float(value) for method, value in zip(rows["method"], rows["error_rel"], strict=True)
    }


def _places(pruned: pd.DataFrame, modules: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Panel and block of these linears, as far as the run prunes them."""
    panels = {name: number for number, name in enumerate(dict.fromkeys(pruned["panel"]))}
    rows = pruned[pruned["module"].isin(modules)]
    return {
        str(module): (panels[panel], int(block))
        for module, panel, block in zip(rows["module"], rows["panel"], rows["block"], strict=True)
    }


def _parts(table: pd.DataFrame, selection: Sequence[str]) -> tuple[Parts, ...]:
    rows = {row["module"]: row for row in table.to_dict("records")}
    known = [rows[module] for module in selection if module in rows]
    return tuple(
        Parts(str(row["module"]), *(float(row[part]) for part in facts.PARTS)) for row in known[:COMPARED]
    )


def _filed(run: Run, pruned: pd.DataFrame, focus: str | None, seq: int) -> int:
    """The event with which the newest arrays of the focus were filed; 0 if none were yet."""
    block = pruned.set_index("module")["block"].get(focus)
    return 0 if block is None else dict(filed_blocks(run, seq)).get(int(block), 0)


def _rows(run: Run, module: str | None, filed: int) -> tuple[WorstRow, ...]:
    if module is None or not filed:
        return ()
    table = facts.worst_rows(run, module, BARS, filed)
    return tuple(
        WorstRow(
            int(row["row"]),
            float(row["share"]),
            float(row["times_mean"]),
            None if row["of_own"] != row["of_own"] else float(row["of_own"]),
        )
        for row in table.to_dict("records")
    )


def _shares(run: Run, module: str | None, filed: int, pruned: pd.DataFrame) -> Shares | None:
    found = None if module is None or not filed else facts.channel_shares(run, module, BARS, filed)
    if found is None or not found.total > 0:
        return None
    width = int(pruned.set_index("module")["in_features"].get(module, 0))
    return Shares(
        tuple(
            (int(channel), float(share))
            for channel, share in zip(found.table["channel"], found.table["of_total"], strict=True)
        ),
        found.positive / found.total,
        found.negative / found.total,
        found.rest / found.total,
        max(0, width - len(found.table)),
    )


def _pairs(table: pd.DataFrame, focus: str | None) -> tuple[Pair, ...]:
    worst = table.sort_values("ratio", ascending=False, kind="stable").head(BARS)
    chosen = pd.concat([table[table["module"] == focus], worst]).drop_duplicates("module").head(BARS)
    return tuple(
        Pair(
            str(row["module"]),
            int(row["block"]),
            *(float(row[k]) for k in ("calibration", "held_out", "ratio")),
        )
        for row in chosen.to_dict("records")
    )


def picture(data: ReconstructionData, theme_name: theme.Theme = "light") -> Any:
    """Panels over depth, and the selection's causes, as a matplotlib figure."""
    from hyperprune_lab.views.reconstruction_picture import draw_reconstruction

    return draw_reconstruction(data, theme_name)


def figure(data: ReconstructionData, theme_name: theme.Theme = "light") -> Any:
    """The panels over depth as a plotly figure, for analysis cells."""
    from hyperprune_lab.views.reconstruction_chart import chart_reconstruction

    return chart_reconstruction(data, theme_name)
