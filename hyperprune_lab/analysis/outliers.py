"""Did the loud channels survive? Activation RMS of every channel beside what each mask kept of its weights.

Knows nothing about scatter plots. A channel belongs to one distinct input of one block; the linears that read it are
its readers. A channel is an outlier where its RMS is at least ``threshold`` times the median of its input.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from hyperprune_lab.analysis.linears import MeasuredInput, measured_inputs
from hyperprune_lab.analysis.masktiles import column_keep_rate
from hyperprune_lab.analysis.sources import Sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern, unpack
from hyperprune_lab.record.reader import Run

THRESHOLD = 6.0
MASKS = ("", "_wanda", "_magnitude")
"""Column suffixes: this run's mask, then the two that are recorded beside it."""


def rms_over_median(rms: Float[np.ndarray, " in"]) -> Float[np.ndarray, " in"]:
    """Each channel's RMS over the median RMS of its input, the same rule as where outliers are counted in a run.

    Where more than half of the channels are dead the median is that of the live ones; NaN if none is alive.
    """
    rms = np.asarray(rms, np.float64)
    median = float(np.median(rms)) if len(rms) else 0.0
    if median == 0:
        live = rms[rms > 0]
        median = float(np.median(live)) if len(live) else np.nan
    return rms / median


def readers(
    run: Run,
    blocks: Collection[int] | None = None,
    as_of: int | None = None,
    sources: Sources | None = None,
) -> pd.DataFrame:
    """One row per input channel and linear that reads it, of some blocks or all.

    Columns ``block, input, module, channel``; ``rms`` and ``rms_over_median``; ``rows`` (outputs of the linear);
    ``density`` (n/m); ``keep_rate`` (share of the channel's weights that are kept) and its counterparts ``_wanda`` and
    ``_magnitude`` on the same statistics; ``neighbors`` with the same two (the price: keep-rate of the other channels
    of its group); ``kept_energy`` (share of the channel's squared weights that is kept). With ``sources`` also
    ``energy`` (the channel's sum of squared weights) and ``kept_energy_wanda``, ``_magnitude`` where their masks are
    recorded. What was not recorded is NaN. Inputs whose block is unfinished are left out.
    """
    parts = []
    for measured in measured_inputs(run, as_of):
        if blocks is not None and measured.block not in blocks:
            continue
        rms = measured.arrays(run).get("channel_rms")
        if rms is None:
            continue
        parts += [
            part
            for module in measured.modules
            if (part := _of_reader(run, measured, module, rms, as_of, sources)) is not None
        ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)


def channels(table: pd.DataFrame) -> pd.DataFrame:
    """``readers`` summed up to one row per channel: rates are over the weights of all of its readers.

    Kept energies are weighted by energy where ``sources`` gave it, else by the number of weights (an approximation).
    """
    if table.empty:
        return table.drop(columns="module")
    keys = ["block", "input", "channel"]
    weighted = table.copy()
    by_rows = [f"{name}{mask}" for name in ("keep_rate", "neighbors") for mask in MASKS]
    by_energy = [name for mask in MASKS if (name := f"kept_energy{mask}") in table]
    energy = table["energy"].fillna(0.0) if "energy" in table else table["rows"]
    for name in by_rows:
        weighted[name] = table[name] * table["rows"]
    for name in by_energy:
        weighted[name] = table[name] * energy
    weighted["_energy"] = energy
    kept = ["rms", "rms_over_median", "density"]
    sums = ["rows", "_energy", *by_rows, *by_energy, *(["energy"] if "energy" in table else [])]
    grouped = weighted.groupby(keys, sort=False)
    total = grouped[sums].sum(min_count=1)
    for name in by_rows:
        total[name] /= total["rows"]
    for name in by_energy:
        total[name] = total[name] / total["_energy"].where(total["_energy"] > 0)
    return total.drop(columns="_energy").join(grouped[kept].first()).reset_index()


@dataclass(frozen=True)
class OutlierSummary:
    """What became of the weights that outlier channels feed.

    ``count`` channels in ``inputs`` of ``measured`` inputs reach the threshold; shares are over all of their weights,
    None where there are none or where it was not recorded. ``price`` is the keep-rate of the other channels of their
    groups. ``kept_energy`` is exact with weights at hand, else a mean over weights.
    """

    threshold: float
    rule: str
    count: int
    inputs: int
    measured: int
    loudest: float | None
    loudest_at: tuple[int, str, int] | None
    density: float | None
    keep_rate: float | None
    keep_rate_wanda: float | None
    keep_rate_magnitude: float | None
    kept_energy: float | None
    kept_energy_wanda: float | None
    kept_energy_magnitude: float | None
    price: float | None
    price_wanda: float | None
    price_magnitude: float | None
    headline: str


def summary(table: pd.DataFrame, threshold: float = THRESHOLD) -> OutlierSummary:
    """Headline numbers of what ``readers`` found, and the sentence that says them."""
    distinct = table.drop_duplicates(["block", "input", "channel"])
    inputs = len(distinct.drop_duplicates(["block", "input"]))
    loud = table[table["rms_over_median"] >= threshold]
    outliers = loud.drop_duplicates(["block", "input", "channel"])
    ratios = distinct["rms_over_median"].to_numpy(float)
    loudest, at = None, None
    if np.isfinite(ratios).any():
        peak = int(np.nanargmax(ratios))
        block, name, channel = distinct[["block", "input", "channel"]].iloc[peak]
        loudest, at = float(ratios[peak]), (int(block), str(name), int(channel))
    count = len(outliers)
    reached = len(outliers.drop_duplicates(["block", "input"]))
    noun = "channel" if count == 1 else "channels"
    rule = f"≥ {threshold:g} × median: {count} {noun}"
    energy = "energy" if "energy" in loud else "rows"
    shares = {
        f"{name}{mask}": _mean(loud, f"{name}{mask}", weights)
        for name, weights in (("keep_rate", "rows"), ("kept_energy", energy))
        for mask in MASKS
    }
    prices = {f"price{mask}": _mean(loud, f"neighbors{mask}", "rows") for mask in MASKS}
    density = None if table.empty else float(table["density"].mean())
    return OutlierSummary(
        threshold,
        rule,
        count,
        reached,
        inputs,
        loudest,
        at,
        density,
        **shares,
        **prices,
        headline=_headline(count, reached, threshold, loudest, at, shares),
    )


def dumbbells(table: pd.DataFrame, top: int = 20, threshold: float = THRESHOLD) -> pd.DataFrame:
    """The loudest channels first: ``channels`` with ``outlier`` (bool) added, at most ``top`` rows.

    Where there are fewer outliers than rows the list goes on with what is loudest; ``outlier`` tells them apart.
    """
    found = channels(table)
    if found.empty:
        return found.assign(outlier=pd.Series(dtype=bool))
    found = found.sort_values("rms_over_median", ascending=False, kind="stable").head(top)
    return found.assign(outlier=found["rms_over_median"] >= threshold).reset_index(drop=True)


_COLUMNS = [
    *("block", "input", "module", "channel", "rms", "rms_over_median", "rows", "density"),
    *(f"{name}{mask}" for name in ("keep_rate", "neighbors") for mask in MASKS),
    "kept_energy",
]


def _of_reader(
    run: Run,
    measured: MeasuredInput,
    module: str,
    rms: np.ndarray,
    as_of: int | None,
    sources: Sources | None,
) -> pd.DataFrame | None:
    try:
        mask = run.packed_mask(module, as_of=as_of)
    except UserError:
        return None  # It is being decided, or stays dense.
    if mask.in_features != len(rms):
        return None
    evidence = run.evidence("module", module, as_of=as_of)
    unknown = np.full(len(rms), np.nan)
    ratio = rms_over_median(rms)
    columns: dict[str, object] = {
        "block": measured.block,
        "input": measured.input,
        "module": module,
        "channel": np.arange(len(rms)),
        "rms": rms.astype(np.float64),
        "rms_over_median": ratio,
        "rows": mask.shape[0],
        "density": mask.pattern.density,
        "keep_rate": column_keep_rate(mask),
        "keep_rate_wanda": evidence.get("channel_keep_rate_wanda", unknown).astype(np.float64),
        "keep_rate_magnitude": evidence.get("channel_keep_rate_magnitude", unknown).astype(np.float64),
        "kept_energy": evidence.get("channel_kept_energy", unknown).astype(np.float64),
    }
    for kind in MASKS:
        rate = columns[f"keep_rate{kind}"]
        assert isinstance(rate, np.ndarray)
        columns[f"neighbors{kind}"] = neighbors_rate(rate, mask.pattern)
    if sources is not None and sources.has(module):
        squares = np.square(sources.weight(module))
        energy = squares.sum(0, dtype=np.float64)
        columns["energy"] = energy
        for kind, packed in (
            ("", mask.packed),
            ("_wanda", evidence.get("mask_wanda")),
            ("_magnitude", evidence.get("mask_magnitude")),
        ):
            if packed is not None:
                kept = (squares * unpack(packed, mask.in_features)).sum(0, dtype=np.float64)
                columns[f"kept_energy{kind}"] = np.divide(
                    kept, energy, out=np.full_like(kept, np.nan), where=energy > 0
                )
    return pd.DataFrame(columns)


def neighbors_rate(rate: Float[np.ndarray, " in"], pattern: NMPattern) -> Float[np.ndarray, " in"]:
    """Mean keep-rate of the other channels of each channel's group: what keeping the channel cost them."""
    grouped = rate.reshape(-1, pattern.group)
    return ((grouped.sum(1, keepdims=True) - grouped) / (pattern.group - 1)).reshape(-1)


def _mean(table: pd.DataFrame, column: str, weights: str) -> float | None:
    if column not in table:
        return None
    known = table[table[column].notna() & (table[weights] > 0)]
    if known.empty:
        return None
    return float(np.average(known[column], weights=known[weights]))


def _headline(
    count: int,
    inputs: int,
    threshold: float,
    loudest: float | None,
    at: tuple[int, str, int] | None,
    shares: dict[str, float | None],
) -> str:
    if loudest is None or at is None:
        return "No input has been measured yet."
    if not count:
        return (
            f"No channel is an outlier: none reaches {threshold:g} × the median of its input. The loudest has "
            f"{loudest:.1f} × (block {at[0]}, {at[1]}, channel {at[2]})."
        )
    beside = [
        f"{name} {shares[f'keep_rate_{key}']:.0%}"
        for key, name in (("wanda", "Wanda"), ("magnitude", "magnitude"))
        if shares[f"keep_rate_{key}"] is not None
    ]
    noun, verb = ("outlier channel", "keeps") if count == 1 else ("outlier channels", "keep")
    where = "" if inputs == 1 else f" in {inputs} inputs"
    text = f"{count} {noun}{where} {verb} {shares['keep_rate']:.0%} of their weights"
    return f"{text} ({', '.join(beside)})." if beside else f"{text}."
