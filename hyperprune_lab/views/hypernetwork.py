"""The hypernetwork, "Is it learning, and has it made up its mind?": telemetry, patterns, pinned groups, embeddings.

Knows neither the browser nor how a run is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from hyperprune_lab.analysis import network
from hyperprune_lab.analysis.embeddings import EmbeddingMap, embeddings
from hyperprune_lab.analysis.forgetting import applies
from hyperprune_lab.analysis.histogram import histogram
from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.analysis.network import Boundary, NetworkWarning
from hyperprune_lab.analysis.steplog import Milestone, step_table
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme
from hyperprune_lab.views.hypernetwork_words import (
    facts_of,
    histogram_note,
    message_of,
    no_maps,
    pinned_note,
    text,
    warnings_of,
)
from hyperprune_lab.views.network_groups import PinnedGroup, pinned_groups, short

__all__ = ["HypernetworkData", "figure", "hypernetwork_data", "payload", "picture", "table", "text"]

MOST_POINTS = 300
"""So many steps are drawn; every block's first and last are among them."""
MOST_MODULES = 12
"""The histogram counts the patterns of so many selected modules."""
DIVERGENCE_DOMAIN = (0.0, 2.0)
TEMPERATURE_DOMAIN = (0.01, 10.0)
_LARGEST_TERM = 0.5

TERMS = ("reconstruction", "outlier", "continual", "divergence", "total")
SHARES = ("entropy", "entropy_p10", "entropy_median", "entropy_p90", "agreement_wanda", "agreement_prior")
_MILESTONES = ("RunStarted", "BlockFinished", "ModuleDecided", "StageFinished", "NetworkSaved", "RunFinished")


@dataclass(frozen=True, eq=False)
class HypernetworkData:
    """Everything the view shows as of event ``seq``.

    ``steps`` are all steps so far, ``terms`` the signed parts of their loss. ``stretches`` are the blocks and stages
    on the step axis, those to come included; ``shown`` is the part of the axis that is drawn, ``drawn`` the rows of
    ``steps`` that are. ``domain`` is the scale of the loss; that of the whole-model stage is ``DIVERGENCE_DOMAIN``.
    ``reaches`` is half the side of the square that each of ``maps`` needs through all of the record.
    """

    run: str
    seq: int
    method: str
    applies: bool
    settings: Mapping[str, Any]
    steps: pd.DataFrame
    terms: pd.DataFrame
    stretches: tuple[Boundary, ...]
    shown: tuple[int, int]
    drawn: tuple[int, ...]
    domain: tuple[float, float]
    divergence_domain: tuple[float, float]
    fitted: bool
    zoomed: bool
    leads: tuple[str, ...]
    focus: str | None
    selected: int | None
    histogram: pd.DataFrame
    histogram_of: tuple[str, ...]
    pinned: tuple[PinnedGroup, ...]
    maps: tuple[EmbeddingMap, ...]
    reaches: tuple[float, ...]
    warnings: tuple[NetworkWarning, ...]
    finished: bool

    @property
    def has_prior(self) -> bool:
        """Without one, agreement with it says nothing."""
        return self.settings.get("prior", "none") != "none"

    @property
    def banded(self) -> bool:
        """Whether the spread of entropies was recorded, or their mean alone."""
        return "entropy_median" in self.steps and bool(self.steps["entropy_median"].notna().any())

    def column(self, name: str) -> Float[np.ndarray, " steps"]:
        """One number for every step, NaN where it was not measured."""
        table = self.terms if name in TERMS else self.steps
        if name not in table:
            return np.full(len(self.steps), np.nan)
        return table[name].to_numpy(float)

    def last(self, name: str) -> float | None:
        """The newest measured value of a column."""
        values = self.column(name)
        known = values[~np.isnan(values)]
        return float(known[-1]) if len(known) else None


def hypernetwork_data(
    run: Run,
    *,
    as_of: int | None = None,
    selection: Iterable[str] = (),
    fit: bool = False,
    zoom: bool = False,
) -> HypernetworkData:
    """The network of a run as of event ``as_of`` (default: now).

    Patterns and pinned groups are those of the selected modules. With ``fit`` the scale of the loss spans what was
    measured; with ``zoom`` only the steps of the selected block are drawn.

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else as_of
    now = Milestone.of(run, _MILESTONES, seq)
    about = now.remember("about", lambda: _about(run))
    settings, placed = about.settings, about.placed
    selection = tuple(selection)
    of_module = dict(zip(placed["module"], placed["block"], strict=True))
    focus = next((name for name in selection if name in of_module), None)
    selected = of_module.get(focus)
    steps = step_table(run, seq)
    terms = network.loss_terms(run, steps, dict(settings))
    stretches = _stretches(steps, about)
    own = [one for one in stretches if one.block == selected and one.block is not None]
    zoomed = zoom and bool(own)
    shown = (own[0].start, own[-1].stop) if zoomed else (0, max([1, *(one.stop for one in stretches)]))
    drawn = _drawn(stretches, shown, len(steps))
    counted = tuple(name for name in selection if name in of_module)[:MOST_MODULES]
    decided = now.remember("decided", lambda: _decided(run, counted, seq), counted)
    patterns = now.remember("patterns", lambda: histogram(run, list(decided), as_of=seq), decided)
    watched = focus if focus in decided else None
    maps, reaches = _maps(run, seq, now, placed, focus) if about.applies else ((), ())
    return HypernetworkData(
        run=run.directory.root.name,
        seq=seq,
        method=about.method,
        applies=about.applies,
        settings=settings,
        steps=steps,
        terms=terms,
        stretches=tuple(stretches),
        shown=shown,
        drawn=drawn,
        domain=_loss_domain(terms, drawn, settings, fit),
        divergence_domain=_divergence_domain(terms, drawn, fit),
        fitted=fit,
        zoomed=zoomed,
        leads=_leads(placed, focus),
        focus=focus,
        selected=selected,
        histogram=patterns,
        histogram_of=decided,
        pinned=now.remember("pinned", lambda: pinned_groups(run, watched, seq), watched),
        maps=maps,
        reaches=reaches,
        warnings=_warnings(run, seq, now, terms) if about.applies else (),
        finished=run.state == "finished" and seq == run.last_seq,
    )


@dataclass(frozen=True, eq=False)
class _About:
    """What is known of a run from its beginning."""

    applies: bool
    method: str
    settings: dict[str, Any]
    stages: tuple[str, ...]
    placed: pd.DataFrame

    @property
    def blocks(self) -> list[int]:
        return sorted(set(self.placed["block"]))


def _about(run: Run) -> _About:
    stages = tuple(run.started.get("stages", ()))
    return _About(
        applies(run), str(run.config.get("method", "")), network.settings(run), stages, linears(run)
    )


def _stretches(steps: pd.DataFrame, about: _About) -> list[Boundary]:
    """Blocks and stages on the axis: as measured, then as they are still to come by the settings."""
    found = network.boundaries(steps)
    training, model = about.settings.get("training", {}), about.settings.get("model_stage", {})
    of_block, of_model = (
        int(training.get("steps", 0)),
        int(model.get("steps", 0)) * int(model.get("rounds", 1)),
    )
    if found:
        newest = found[-1]
        planned = of_model if newest.block is None else of_block
        stop = newest.start + max(newest.stop - newest.start, planned)
        found[-1] = Boundary(newest.start, stop, newest.stage, newest.block, newest.label)
    met = {one.block for one in found}
    at = found[-1].stop if found else 0
    if None not in met:
        left_dense = set(about.settings.get("dense_blocks", ()))
        for block in (b for b in about.blocks if of_block and b not in met and b not in left_dense):
            found.append(Boundary(at, at + of_block, "layers", block, f"block {block}"))
            at += of_block
        if of_model and "model" in about.stages:
            found.append(Boundary(at, at + of_model, "model", None, "model"))
    return found


def _drawn(stretches: Sequence[Boundary], shown: tuple[int, int], measured: int) -> tuple[int, ...]:
    """Steps to draw: all, or evenly many of each stretch with its first and last."""
    parts = [(max(one.start, shown[0]), min(one.stop, shown[1], measured)) for one in stretches]
    parts = [(start, stop) for start, stop in parts if stop > start]
    total = sum(stop - start for start, stop in parts)
    chosen: set[int] = set()
    for start, stop in parts:
        count = max(2, round(MOST_POINTS * (stop - start) / max(total, MOST_POINTS)))
        chosen.update(np.linspace(start, stop - 1, min(count, stop - start)).round().astype(int).tolist())
    return tuple(sorted(chosen))


def _loss_domain(
    terms: pd.DataFrame, drawn: tuple[int, ...], settings: Mapping[str, Any], fit: bool
) -> tuple[float, float]:
    """Of the layer-wise loss: from the largest reward that λ1 allows, or what was measured."""
    if fit:
        layerwise = terms.iloc[list(drawn)]
        layerwise = layerwise[layerwise["divergence"].isna()][
            ["reconstruction", "outlier", "continual", "total"]
        ]
        values = layerwise.to_numpy(float)
        if np.isfinite(values).any():
            low, high = min(0.0, float(np.nanmin(values))), float(np.nanmax(values))
            room = 0.02 * max(high - low, 1e-3)
            return low - room, high + room
    reward = float(settings.get("training", {}).get("outlier_weight", 0.1))
    return -max(0.1, reward), _LARGEST_TERM


def _divergence_domain(terms: pd.DataFrame, drawn: tuple[int, ...], fit: bool) -> tuple[float, float]:
    values = terms.iloc[list(drawn)]["divergence"]
    if fit and values.notna().any():
        return 0.0, 1.02 * max(1e-3, float(values.max()))
    return DIVERGENCE_DOMAIN


def _decided(run: Run, modules: tuple[str, ...], seq: int) -> tuple[str, ...]:
    known = (
        {event.subject for event in run.events(kinds=("ModuleDecided",)) if event.seq <= seq}
        if modules
        else set()
    )
    return tuple(name for name in modules if name in known)


def _leads(placed: pd.DataFrame, focus: str | None) -> tuple[str, ...]:
    """Of each block, the counterpart of the module in focus, or its first module."""
    local = dict(zip(placed["module"], placed["local"], strict=True)).get(focus)
    found: dict[int, str] = {}
    for module, block, own in zip(placed["module"], placed["block"], placed["local"], strict=True):
        if block not in found or own == local:
            found[block] = module
    return tuple(found.get(block, "") for block in range(1 + max(found, default=-1)))


def _maps(
    run: Run, seq: int, now: Milestone, placed: pd.DataFrame, focus: str | None
) -> tuple[tuple[EmbeddingMap, ...], tuple[float, ...]]:
    """Layer and component embeddings of the network that decides the module in focus, and how far each reaches.

    The reach is that of all moments of the record, so that nothing is scaled anew in a replay.
    """
    found = now.remember("embeddings", lambda: embeddings(run, seq))
    whole = now.remember("all embeddings", lambda: found if now.key[1] == now.seq else embeddings(run))
    reaches = now.remember(
        "reaches", lambda: {(one.kind, one.pattern): reach(one) for one in whole if not one.path.empty}
    )
    pattern = dict(zip(placed["module"], placed["pattern"], strict=True)).get(focus)
    patterns = [one.pattern for one in found]
    chosen = pattern if pattern in patterns else next(iter(patterns), None)
    mapped = [one for one in found if one.pattern == chosen and not one.path.empty]
    mapped.sort(key=lambda one: one.kind, reverse=True)
    return tuple(mapped), tuple(reaches[one.kind, one.pattern] for one in mapped)


def _warnings(run: Run, seq: int, now: Milestone, terms: pd.DataFrame) -> tuple[NetworkWarning, ...]:
    """As of the last milestone, or the first loss that is no number: they change at no other time."""
    broken = not bool(np.isfinite(terms["total"].to_numpy(float)).all())
    at = seq if broken else now.seq
    return now.remember("warnings", lambda: tuple(network.warnings(run, at)), broken)


# -- what it says


def payload(data: HypernetworkData) -> dict[str, Any]:
    """What the browser draws."""
    common = {"applies": data.applies, "message": message_of(data)}
    if not data.applies:
        return common
    rows = list(data.drawn)
    points: dict[str, Any] = {"x": rows, "seq": data.steps["seq"].iloc[rows].tolist()}
    points["step"] = data.steps["step"].iloc[rows].tolist()
    for name in (*TERMS, "temperature", *SHARES):
        values = data.column(name)[rows]
        if not np.isnan(values).all():
            digits = 3 if name in SHARES else 4
            points[name] = short(values, digits)
    return common | {
        "facts": facts_of(data),
        "warnings": warnings_of(data),
        "finished": data.finished,
        "stretches": [[one.start, one.stop, one.label, one.block] for one in data.stretches],
        "shown": data.shown,
        "measured": len(data.steps),
        "points": points,
        "domain": data.domain,
        "divergence_domain": data.divergence_domain,
        "temperature_domain": TEMPERATURE_DOMAIN,
        "undecided": network.UNDECIDED,
        "banded": data.banded,
        "has_prior": data.has_prior,
        "fitted": data.fitted,
        "zoomed": data.zoomed,
        "leads": data.leads,
        "selected": data.selected,
        "histogram": {
            "note": histogram_note(data),
            "bars": [
                [row.kept, int(row.count), float(row.share), row.pattern] for row in _bars(data.histogram)
            ],
        },
        "pinned": {"note": pinned_note(data), "groups": [one.payload() for one in data.pinned]},
        "maps": [_map_payload(data, *one) for one in zip(data.maps, data.reaches, strict=True)],
        "no_maps": None if data.maps else no_maps(data),
    }


@dataclass(frozen=True)
class _Bar:
    pattern: str
    kept: str
    count: int
    share: float


def _bars(table: pd.DataFrame) -> list[_Bar]:
    columns = ["pattern", "kept", "count", "share"]
    return [_Bar(*row) for row in table[columns].itertuples(index=False)]


def _map_payload(data: HypernetworkData, one: EmbeddingMap, limit: float) -> dict[str, Any]:
    now = one.now
    path = one.path[one.path["label"] == selected_label(data, one)]
    return {
        "kind": one.kind,
        "pattern": one.pattern,
        "explained": short(one.explained),
        "reach": short([limit])[0],
        "collapsed": one.collapsed,
        "points": [
            [label, *place] for label, place in zip(now["label"], short(now[["x", "y"]]), strict=True)
        ],
        "selected": selected_label(data, one),
        "trail": short(path[["x", "y"]]),
    }


def selected_label(data: HypernetworkData, one: EmbeddingMap) -> str | None:
    """The point of the module in focus: its block, or its component."""
    if one.kind == "layer":
        return None if data.selected is None else str(data.selected)
    name = f".{data.focus or ''}"
    return max((label for label in one.labels if name.endswith(f".{label}")), key=len, default=None)


def reach(one: EmbeddingMap) -> float:
    """Half the side of the square that holds every moment of a map, with room for labels."""
    return max(1e-9, 1.12 * float(one.path[["x", "y"]].abs().to_numpy().max()))


def table(data: HypernetworkData) -> list[dict[str, Any]]:
    """One row per step, for spreadsheets: everything measured, and the signed parts of the loss."""
    if not data.applies:
        return []
    signed = data.terms.drop(columns="axis").add_prefix("signed_").reset_index(drop=True)
    together = pd.concat([data.steps.reset_index(drop=True), signed], axis=1)
    return [{str(name): value for name, value in row.items()} for row in together.to_dict("records")]


def picture(data: HypernetworkData, theme_name: theme.Theme = "light") -> Any:
    """The view as a matplotlib figure."""
    from hyperprune_lab.views.hypernetwork_picture import draw_hypernetwork

    return draw_hypernetwork(data, theme_name)


def figure(data: HypernetworkData, theme_name: theme.Theme = "light") -> Any:
    """The strips as a plotly figure, for analysis cells."""
    from hyperprune_lab.views.hypernetwork_chart import chart_hypernetwork

    return chart_hypernetwork(data, theme_name)
