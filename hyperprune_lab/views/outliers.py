"""Outlier channels, "Did the loud channels survive?": how loud each input channel is, and what was kept of it.

Knows neither the browser nor how a run is written. The loudest channels are shown one by one, the crowd as counts on
a grid; what is said of a threshold is said of all channels that reach it, shown or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hyperprune_lab.analysis.channel_digest import (
    RATIOS,
    Digests,
    InputDigest,
    digests,
    grid_counts,
    step_table,
)
from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.analysis.outliers import THRESHOLD, channels, readers
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme

TOP = 20
SHOWN = 300
SHOWN_FROM = 3.0
"""Channels at least this loud, in medians, are shown one by one, at most ``SHOWN`` of them."""
SELECTED = "selection"
"""As ``chosen``: the inputs that the selected modules read."""
REFERENCES = ("wanda", "magnitude")


@dataclass(frozen=True)
class Channel:
    """One channel of one input: how loud it is, and shares that were kept. None where it was not recorded.

    ``price`` is the keep-rate of the other channels of its group; ``kept_energy`` the kept share of the squares of
    the weights that it feeds. Suffixes name the masks recorded beside the run's own.
    """

    block: int
    input: str
    channel: int
    modules: tuple[str, ...]
    ratio: float
    density: float
    keep_rate: float | None
    keep_rate_wanda: float | None
    keep_rate_magnitude: float | None
    price: float | None
    price_wanda: float | None
    price_magnitude: float | None
    kept_energy: float | None
    kept_energy_wanda: float | None
    kept_energy_magnitude: float | None

    @property
    def name(self) -> str:
        """Where it is, in few words."""
        return f"block {self.block} {short_input(self.input)} {self.channel}"


@dataclass(frozen=True)
class Step:
    """What became of the channels that reach one threshold; shares are over all weights that they feed."""

    threshold: float
    count: int
    inputs: int
    keep_rate: float | None
    keep_rate_wanda: float | None
    keep_rate_magnitude: float | None
    price: float | None
    price_wanda: float | None
    price_magnitude: float | None
    kept_energy: float | None
    kept_energy_wanda: float | None
    kept_energy_magnitude: float | None

    @property
    def rule(self) -> str:
        """``≥ 6 × median: 14 channels``."""
        return f"≥ {self.threshold:g} × median: {theme.fmt_count(self.count)} {_noun(self.count, 'channel')}"


@dataclass(frozen=True)
class OutliersData:
    """Everything the view shows as of event ``seq``.

    ``chosen`` is empty (all inputs), ``selection`` or one of ``kinds``; ``block`` one of ``blocks``, or None for all.
    ``points`` are the channels that are shown one by one, the loudest first; ``crowd[ratio, rate]`` counts the others
    (see ``channel_digest.GRID``). ``steps`` are all thresholds, ``step`` the chosen one. ``left`` blocks are finished
    but not read yet.
    """

    run: str
    seq: int
    method: str
    finished: bool
    chosen: str
    block: int | None
    kinds: tuple[str, ...]
    blocks: tuple[int, ...]
    expected_blocks: int
    left: int
    exact: bool
    inputs: int
    channels: int
    silent: int
    densities: tuple[float, ...]
    domain: tuple[float, float]
    fitted: bool
    steps: tuple[Step, ...]
    step: Step
    points: tuple[Channel, ...]
    crowd: np.ndarray
    pinned: Channel | None = None
    pinned_module: str = ""
    focus: str | None = None

    @property
    def top(self) -> tuple[Channel, ...]:
        """The loudest, for the list."""
        return self.points[:TOP]

    @property
    def references(self) -> tuple[str, ...]:
        """The masks to hold this run's against: not its own."""
        return tuple(name for name in REFERENCES if name != self.method)

    @property
    def scope(self) -> str:
        """Which inputs are looked at, in words."""
        which = {"": "all inputs", SELECTED: "inputs of the selection"}.get(self.chosen)
        where = "" if self.block is None else f" of block {self.block}"
        return f"{which or theme.shown_name(self.chosen)}{where}"


def outliers_data(
    run: Run,
    *,
    as_of: int | None = None,
    threshold: float = THRESHOLD,
    chosen: str = "",
    block: int | None = None,
    selection: Sequence[str] = (),
    pinned: tuple[str, int] | None = None,
    fit: bool = False,
    seconds: float | None = None,
) -> OutliersData:
    """The channels of a run as of event ``as_of`` (default: now).

    ``threshold`` in medians goes to the nearest of ``channel_digest.THRESHOLDS``. ``chosen`` and ``block`` narrow it
    down to some inputs; ``pinned`` is a module and a channel to be told about. With ``seconds`` reading stops after
    that time, with ``left`` blocks still to be read.

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else as_of
    all_read = digests(run, seq, seconds)
    of = _narrowed(all_read.inputs, chosen, block, selection)
    steps = tuple(_step(row) for row in step_table(of).to_dict("records"))
    points, crowd = _shown(of)
    config = run.config
    return OutliersData(
        run=run.directory.root.name,
        seq=seq,
        method=str(config.get("method", "")),
        finished=run.newest_seq(("RunFinished",), seq) > 0,
        chosen=chosen,
        block=block,
        kinds=tuple(dict.fromkeys(one.kind for one in all_read.inputs)),
        blocks=tuple(dict.fromkeys(one.block for one in all_read.inputs)),
        expected_blocks=linears(run)["block"].nunique(),
        left=all_read.left,
        exact=all_read.exact,
        inputs=len(of),
        channels=sum(one.channels for one in of),
        silent=sum(one.silent for one in of),
        densities=tuple(sorted({one.density for one in of})),
        domain=_fitted(points, crowd) if fit and points else RATIOS,
        fitted=fit,
        steps=steps,
        step=min(steps, key=lambda step: abs(np.log(step.threshold / max(threshold, 1e-9)))),
        points=points,
        crowd=crowd,
        pinned=None if pinned is None else _pinned(run, seq, all_read, *pinned),
        pinned_module="" if pinned is None else pinned[0],
        focus=selection[0] if selection else None,
    )


def short_input(name: str) -> str:
    """``q+k+v`` of ``self_attn.q_proj+k_proj+v_proj``; an expert's number follows: ``down #3``."""
    path, _, last = name.rpartition(".")
    names = last.split("+")
    if all(reader.endswith("_proj") and len(reader) > 5 for reader in names):
        names = [reader.removesuffix("_proj") for reader in names]
    expert = next((f" #{part}" for part in path.split(".") if part.isdigit()), "")
    return theme.shown_name("+".join(names), 20) + expert


# -- from the digests


def _narrowed(
    inputs: Iterable[InputDigest], chosen: str, block: int | None, selection: Sequence[str]
) -> list[InputDigest]:
    if chosen == SELECTED:
        wanted = set(selection)
        return [one for one in inputs if wanted & set(one.modules)]
    return [one for one in inputs if chosen in ("", one.kind) and block in (None, one.block)]


def _shown(of: Sequence[InputDigest]) -> tuple[tuple[Channel, ...], np.ndarray]:
    """The loudest one by one, and the others on the grid."""
    crowd = sum((one.crowd for one in of), grid_counts(np.empty(0), np.empty(0)))
    if not of:
        return (), crowd
    loud = pd.concat([one.loud.assign(which=n) for n, one in enumerate(of)], ignore_index=True)
    loud = loud.dropna(subset="rms_over_median")
    loud = loud.sort_values("rms_over_median", ascending=False, kind="stable")
    few = sum(one.channels for one in of) <= SHOWN
    shown = len(loud) if few else min(SHOWN, int((loud["rms_over_median"] >= SHOWN_FROM).sum()))
    shown = max(shown, TOP)
    rest = loud.iloc[shown:]
    crowd = crowd + grid_counts(rest["rms_over_median"].to_numpy(float), rest["keep_rate"].to_numpy(float))
    rows = loud.head(shown).to_dict("records")
    return tuple(_channel(row, of[row["which"]].modules) for row in rows), crowd


def _channel(row: dict[Any, Any], modules: tuple[str, ...]) -> Channel:
    return Channel(
        block=int(row["block"]),
        input=str(row["input"]),
        channel=int(row["channel"]),
        modules=modules,
        ratio=float(row["rms_over_median"]),
        density=float(row["density"]),
        **_shares(row),
    )


def _step(row: dict[Any, Any]) -> Step:
    return Step(float(row["threshold"]), int(row["count"]), int(row["inputs"]), **_shares(row))


def _shares(row: dict[Any, Any]) -> dict[str, float | None]:
    names = {"keep_rate": "keep_rate", "price": "neighbors", "kept_energy": "kept_energy"}
    return {
        f"{name}{mask}": _number(row.get(f"{column}{mask}"))
        for name, column in names.items()
        for mask in ("", "_wanda", "_magnitude")
    }


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _fitted(points: Sequence[Channel], crowd: np.ndarray) -> tuple[float, float]:
    """A domain that just holds everything."""
    edges = np.geomspace(*RATIOS, len(crowd) + 1)
    filled = np.flatnonzero(crowd.sum(1))
    low = edges[filled[0]] if len(filled) else points[-1].ratio / 1.1
    return float(max(low, 1e-3)), max(points[0].ratio * 1.15, 10.0)


def _pinned(run: Run, seq: int, read: Digests, module: str, channel: int) -> Channel | None:
    for one in read.inputs:
        if module not in one.modules or not 0 <= channel < one.channels:
            continue
        rows = one.loud[one.loud["channel"] == channel]
        if rows.empty:
            block = channels(readers(run, [one.block], seq))
            rows = block[(block["input"] == one.input) & (block["channel"] == channel)]
        return _channel(rows.to_dict("records")[0], one.modules)
    return None


# -- what it says


def headline(data: OutliersData, step: Step) -> str:
    """One sentence on what became of the channels that reach a threshold."""
    if not data.inputs:
        if data.chosen == SELECTED:
            return "No input of the selection has been measured."
        return "No block is finished yet: its channels appear when it is."
    so_far = "" if data.finished else "So far: "
    if not step.count:
        loudest = data.points[0] if data.points else None
        most = f" The loudest has {theme.fmt_number(loudest.ratio)} × ({loudest.name})." if loudest else ""
        return f"{so_far}No channel is an outlier: none reaches {step.threshold:g} × the median of its input.{most}"
    beside = _beside(data, step, "keep_rate")
    verb = "keeps" if step.count == 1 else "keep"
    of = f"{theme.fmt_count(step.count)} outlier {_noun(step.count, 'channel')}"
    kept = f"{verb} {theme.fmt_share(step.keep_rate)} of the weights they feed"
    return f"{so_far}{of} in {step.inputs} of {data.inputs} inputs {kept}{beside}."


def price(data: OutliersData, step: Step) -> str:
    """What the neighbors paid, and what is left of the energy."""
    if not step.count:
        return ""
    said = f"Price: their group neighbors keep {theme.fmt_share(step.price)}{_beside(data, step, 'price')}, "
    said += f"chance is {_chance(data)}."
    if step.kept_energy is not None:
        energy = theme.fmt_share(step.kept_energy)
        said += f" Energy kept of their weights: {energy}{_beside(data, step, 'kept_energy')}."
    return said


def _beside(data: OutliersData, of: Step | Channel, name: str) -> str:
    """`` (Wanda 97 %, magnitude 51 %)``, as far as it was recorded."""
    values = [
        f"{theme.method_style(mask).label} {theme.fmt_share(getattr(of, f'{name}_{mask}'))}"
        for mask in data.references
        if getattr(of, f"{name}_{mask}") is not None
    ]
    return f" ({', '.join(values)})" if values else ""


def _chance(data: OutliersData) -> str:
    return " or ".join(theme.fmt_share(density) for density in data.densities)


def _noun(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def reading(data: OutliersData) -> str:
    """How much of the run is in the picture."""
    blocks = len(data.blocks) + data.left
    told = []
    if data.inputs:
        told.append(
            f"{theme.fmt_count(data.channels)} channels of {data.inputs} {_noun(data.inputs, 'input')}"
        )
    if data.left:
        told.append(f"still reading {data.left} of {blocks} blocks")
    if not data.finished and blocks < data.expected_blocks:
        told.append(f"{blocks} of {data.expected_blocks} blocks are finished")
    if data.silent:
        told.append(f"{theme.fmt_count(data.silent)} channels of dead inputs have no place")
    return "; ".join(told)


def payload(data: OutliersData) -> dict[str, Any]:
    """What the browser draws."""
    shown = [*data.points, *([data.pinned] if data.pinned else [])]
    inputs: dict[tuple[int, str], int] = {}
    for point in shown:
        inputs.setdefault((point.block, point.input), len(inputs))
    modules = {(point.block, point.input): point.modules for point in shown}
    cells = [[int(x), int(y), int(data.crowd[x, y])] for x, y in np.argwhere(data.crowd)]
    return {
        "method": data.method,
        "references": data.references,
        "domain": data.domain,
        "grid": [*RATIOS, *data.crowd.shape],
        "fitted": data.fitted,
        "chosen": data.chosen,
        "block": data.block,
        "kinds": [[kind, theme.shown_name(kind, 40)] for kind in data.kinds],
        "blocks": data.blocks,
        "densities": data.densities,
        "chance": _chance(data),
        "exact": data.exact,
        "finished": data.finished,
        "reading": reading(data),
        "steps": [[s.threshold, s.rule, headline(data, s), price(data, s)] for s in data.steps],
        "step": data.steps.index(data.step),
        "inputs": [[block, name, short_input(name), modules[block, name]] for block, name in inputs],
        "points": [_point(point, inputs[point.block, point.input]) for point in data.points],
        "top": len(data.top),
        "crowd": cells,
        "pinned": _point(data.pinned, inputs[data.pinned.block, data.pinned.input]) if data.pinned else None,
        "pinned_module": data.pinned_module if data.pinned else None,
    }


def _point(one: Channel, which: int) -> list[Any]:
    shares = [
        *(one.keep_rate, one.keep_rate_wanda, one.keep_rate_magnitude),
        *(one.price, one.price_wanda, one.price_magnitude),
        *(one.kept_energy, one.kept_energy_wanda, one.kept_energy_magnitude),
    ]
    return [which, one.channel, float(f"{one.ratio:.4g}"), *(s if s is None else round(s, 4) for s in shares)]


def text(data: OutliersData) -> str:
    """The view in words."""
    lines = [
        f"{data.run}, event {data.seq}: RMS of each channel over the median of its input; {data.scope}",
        *(said for said in [reading(data)] if said),
        headline(data, data.step),
    ]
    if not data.points:
        return "\n".join(lines)
    lines.append(f"rule: {data.step.rule}")
    lines += [said for said in [price(data, data.step)] if said]
    lines.append(f"the {len(data.top)} loudest (price = what the other channels of the group keep):")
    lines += [f"  {number:2}. {_told(data, one)}" for number, one in enumerate(data.top, 1)]
    if data.pinned:
        lines.append(f"pinned: {_told(data, data.pinned)}")
        lines.append(f"  read by {', '.join(theme.shown_name(name) for name in data.pinned.modules)}")
    elif data.pinned_module:
        lines.append(
            f"pinned: a channel of {theme.shown_name(data.pinned_module)}, which is not measured yet"
        )
    return "\n".join(lines)


def _told(data: OutliersData, one: Channel) -> str:
    said = f"{one.name}: {theme.fmt_number(one.ratio)} × median, kept {theme.fmt_share(one.keep_rate)}"
    said += (
        f"{_beside(data, one, 'keep_rate')}, price {theme.fmt_share(one.price)}{_beside(data, one, 'price')}"
    )
    if one.kept_energy is not None:
        said += f", energy {theme.fmt_share(one.kept_energy)}{_beside(data, one, 'kept_energy')}"
    return said


def table(data: OutliersData) -> list[dict[str, Any]]:
    """One row per channel that is shown one by one, for spreadsheets."""
    rows = []
    for one in data.points:
        row = {name: value for name, value in vars(one).items() if name != "modules"}
        rows.append({**row, "outlier": one.ratio >= data.step.threshold, "modules": " ".join(one.modules)})
    return rows


def picture(data: OutliersData, theme_name: theme.Theme = "light") -> Any:
    """Scatter and dumbbells as a matplotlib figure."""
    from hyperprune_lab.views.outliers_picture import draw_outliers

    return draw_outliers(data, theme_name)


def figure(data: OutliersData, theme_name: theme.Theme = "light") -> Any:
    """The scatter as a plotly figure, for analysis cells."""
    from hyperprune_lab.views.outliers_chart import chart_outliers

    return chart_outliers(data, theme_name)
