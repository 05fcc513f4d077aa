"""What was measured of each linear, gathered in one place for whoever asks what is wrong with it.

Knows nothing about causes. What was not recorded (yet) is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from hyperprune_lab.analysis import forgetting
from hyperprune_lab.analysis.linears import MeasuredInput, measured_inputs, panel_name, placed
from hyperprune_lab.analysis.outliers import THRESHOLD, rms_over_median
from hyperprune_lab.analysis.reconstruction import theil_sen, trend
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Arrays
from hyperprune_lab.patterns import NMPattern, unpack
from hyperprune_lab.record.reader import Run


@dataclass(frozen=True)
class Symptoms:
    """One linear.

    ``times`` is its error over the trend of its kind over depth, held-out error included; ``inherited_times`` the same
    of what it inherits. ``standing`` places the share of Wanda's score that its mask keeps between what a random mask
    keeps (0) and what Wanda's keeps (1). ``along`` and ``across`` are correlations of its mask with the magnitude
    mask of its weight, and with that of the transposed weight. ``undecided`` is the entropy of its choices as a share
    of the largest possible. ``shift`` is the median size of the natural logarithm of held-out over calibration RMS.
    ``outliers_kept`` and ``outliers_kept_wanda`` are keep-rates of outlier channels' weights; ``revived`` counts
    channels that were dead on calibration text but not on held-out text. ``forgotten`` is the share of its block's
    groups that the network would now decide otherwise, ``forgotten_times`` the error it would then have over what it
    had.
    """

    module: str
    block: int
    local: str
    panel: str
    pattern: NMPattern
    shape: tuple[int, int]
    error: float | None = None
    error_heldout: float | None = None
    error_wanda: float | None = None
    error_magnitude: float | None = None
    times: float | None = None
    own: float | None = None
    inherited: float | None = None
    total: float | None = None
    inherited_times: float | None = None
    damage: float | None = None
    damage_se: float | None = None
    standing: float | None = None
    kept_score: float | None = None
    kept_score_wanda: float | None = None
    agreement_wanda: float | None = None
    agreement_magnitude: float | None = None
    along: float | None = None
    across: float | None = None
    undecided: float | None = None
    input: str | None = None
    tokens: float | None = None
    condition: float | None = None
    dead: int | None = None
    revived: int | None = None
    shift: float | None = None
    outliers: int | None = None
    outliers_kept: float | None = None
    outliers_kept_wanda: float | None = None
    outliers_share: float | None = None
    forgotten: float | None = None
    forgotten_times: float | None = None

    @property
    def chance(self) -> float:
        """Share of groups on which two masks agree by chance."""
        return 1.0 / self.pattern.count

    @property
    def gap(self) -> float | None:
        """Held-out error over calibration error."""
        if self.error is None or self.error_heldout is None or self.error <= 0:
            return None
        return self.error_heldout / self.error

    @property
    def tokens_per_channel(self) -> float | None:
        """How many tokens stand behind each input channel's statistics."""
        return None if self.tokens is None else self.tokens / self.shape[1]


def symptoms(run: Run, as_of: int | None = None) -> list[Symptoms]:
    """Every linear that has been decided, in order of depth."""
    table = placed(run.modules(as_of=as_of))
    if table.empty:
        return []
    table = table.merge(trend(run, as_of=as_of)[["module", "times"]], on="module", how="left")
    heldout = _times(table, "error_rel_heldout")
    inherited = _times(table[table["block"] > table["block"].min()], "error_rel_inherited")
    inputs = {name: one for one in measured_inputs(run, as_of) for name in one.modules}
    recalled = _recalled(run, as_of)
    undecided = _undecided(run, as_of)
    found = []
    for row in table.to_dict("records"):
        module = str(row["module"])
        pattern = NMPattern.parse(str(row["pattern"]))
        shape = int(row["out_features"]), int(row["in_features"])
        times = [_number(row.get("times")), heldout.get(module)]
        found.append(
            Symptoms(
                module=module,
                block=int(row["block"]),
                local=str(row["local"]),
                panel=panel_name(str(row["local"])),
                pattern=pattern,
                shape=shape,
                error=_number(row.get("error_rel")),
                error_heldout=_number(row.get("error_rel_heldout")),
                error_wanda=_number(row.get("error_rel_wanda")),
                error_magnitude=_number(row.get("error_rel_magnitude")),
                times=max((one for one in times if one is not None), default=None),
                own=_number(row.get("error_rel_local")),
                inherited=_number(row.get("error_rel_inherited")),
                total=_number(row.get("error_rel_total")),
                inherited_times=inherited.get(module),
                damage=_number(row.get("damage_kl")),
                damage_se=_number(row.get("damage_kl_se")),
                standing=_standing(row, pattern),
                kept_score=_number(row.get("kept_score")),
                kept_score_wanda=_number(row.get("kept_score_wanda")),
                agreement_wanda=_number(row.get("agreement_wanda")),
                agreement_magnitude=_number(row.get("agreement_magnitude")),
                undecided=_rescaled(undecided.get(module), pattern),
                **_of_arrays(run, module, shape, inputs.get(module), as_of),
                **recalled.get(int(row["block"]), {}),
            )
        )
    return found


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float | np.number):
        return None
    number = float(value)
    return None if math.isnan(number) else number


def _times(table: pd.DataFrame, column: str) -> dict[str, float]:
    """A column over the trend of its panel's logarithm over depth, by module."""
    if column not in table:
        return {}
    usable = table[np.isfinite(table[column].astype(float)) & (table[column] > 0)]
    found: dict[str, float] = {}
    for _, panel in usable.groupby("panel", sort=False):
        depth, log = panel["block"].to_numpy(float), np.log(panel[column].to_numpy(float))
        line = theil_sen(depth, log)
        if line is not None:
            times = np.exp(log - (line[0] * depth + line[1]))
            found |= dict(zip(panel["module"].astype(str), times.astype(float), strict=True))
    return found


def _standing(row: Mapping[Any, Any], pattern: NMPattern) -> float | None:
    kept, wanda = _number(row.get("kept_score")), _number(row.get("kept_score_wanda"))
    if kept is None or wanda is None or wanda - pattern.density < 1e-3:
        return None
    return (kept - pattern.density) / (wanda - pattern.density)


def _undecided(run: Run, as_of: int | None) -> dict[str, float]:
    """The entropy that came with the newest decision that told one: a whole-model stage need not tell it again."""
    found = {}
    for event in run.events(kinds=("ModuleDecided",)):
        value = event.scalars.get("entropy")
        if value is not None and math.isfinite(value) and (as_of is None or event.seq <= as_of):
            found[str(event.subject)] = float(value)
    return found


def _rescaled(entropy: float | None, pattern: NMPattern) -> float | None:
    """Beyond 128 patterns the entropy is of one position drawn, which even a settled choice leaves open."""
    if entropy is None or pattern.enumerable:
        return entropy
    least = math.log(pattern.keep) / math.log(pattern.group)
    return max(0.0, (entropy - least) / (1.0 - least))


def _recalled(run: Run, as_of: int | None) -> dict[int, dict[str, Any]]:
    """What the network forgot of each block, as it was asked last."""
    if not forgetting.applies(run):
        return {}
    rows = {}
    measures: tuple[forgetting.Measure, ...] = ("changed", "error_rel", "error_rel_at_decision")
    for measure in measures:
        table = forgetting.matrix(run, measure, as_of).dropna(how="all")
        if table.empty:
            return {}
        rows[measure] = table.iloc[-1]
    found: dict[int, dict[str, Any]] = {}
    for block in rows["changed"].dropna().index:
        then = float(rows["error_rel_at_decision"].get(block, np.nan))
        now = float(rows["error_rel"].get(block, np.nan))
        told = {"forgotten": float(rows["changed"][block])}
        if then > 0 and math.isfinite(now):
            told["forgotten_times"] = now / then
        found[int(block)] = told
    return found


def _of_arrays(
    run: Run,
    module: str,
    shape: tuple[int, int],
    measured: MeasuredInput | None,
    as_of: int | None,
) -> dict[str, Any]:
    """What the recorded arrays say; a file that is not there (yet) says nothing."""
    told: dict[str, Any] = {}
    rms: Float[np.ndarray, " in"] | None = None
    if measured is not None:
        told |= {"input": measured.input}
        told |= {name: _number(measured.scalars.get(name)) for name in ("tokens", "condition")}
        dead = _number(measured.scalars.get("dead_channels"))
        told["dead"] = None if dead is None else int(dead)
        rms, of_input = _of_input(measured, run)
        told |= of_input
    try:
        evidence = run.evidence("module", module, as_of=as_of)
        mask = run.packed_mask(module, as_of=as_of).unpack()
    except UserError:
        return told
    if mask.shape != shape:
        return told
    told |= _against_magnitude(mask, evidence)
    if rms is not None and len(rms) == shape[1]:
        told |= _of_outliers(mask, evidence, rms)
    return told


def _of_input(measured: MeasuredInput, run: Run) -> tuple[np.ndarray | None, dict[str, Any]]:
    arrays = measured.arrays(run)
    rms, heldout = arrays.get("channel_rms"), arrays.get("channel_rms_heldout")
    if rms is None:
        return None, {}
    told: dict[str, Any] = {}
    if heldout is not None and heldout.shape == rms.shape:
        live = (rms > 0) & (heldout > 0)
        told["revived"] = int(((rms <= 0) & (heldout > 0)).sum())
        if live.any():
            told["shift"] = float(np.median(np.abs(np.log(heldout[live] / rms[live]))))
    return rms, told


def _against_magnitude(mask: Bool[np.ndarray, "out in"], evidence: Arrays) -> dict[str, float]:
    """How far the mask follows the weight's size as it lies, and as it would lie if it were transposed."""
    packed = evidence.get("mask_magnitude")
    if packed is None or packed.ndim != 2 or len(packed) != len(mask):
        return {}
    magnitude = unpack(packed, mask.shape[1])
    told = {"along": _correlation(mask, magnitude)}
    if mask.shape[0] == mask.shape[1]:
        told["across"] = _correlation(mask, magnitude.T)
    return told


def _correlation(one: Bool[np.ndarray, "out in"], other: Bool[np.ndarray, "out in"]) -> float:
    a, b = one.mean(), other.mean()
    spread = math.sqrt(max(a * (1 - a) * b * (1 - b), 1e-12))
    return float(((one & other).mean() - a * b) / spread)


def _of_outliers(
    mask: Bool[np.ndarray, "out in"], evidence: Arrays, rms: Float[np.ndarray, " in"]
) -> dict[str, Any]:
    loud = np.nan_to_num(rms_over_median(rms)) >= THRESHOLD
    told: dict[str, Any] = {"outliers": int(loud.sum())}
    if not loud.any():
        return told
    told["outliers_kept"] = float(mask[:, loud].mean())
    wanda, shares = evidence.get("channel_keep_rate_wanda"), evidence.get("channel_shares")
    if wanda is not None and wanda.shape == rms.shape:
        told["outliers_kept_wanda"] = float(wanda[loud].mean())
    if shares is not None and shares.shape == rms.shape and shares.sum() > 0:
        told["outliers_share"] = float(shares[loud].sum() / shares.sum())
    return told


def table_of(found: Iterable[Symptoms]) -> pd.DataFrame:
    """One row per linear, every symptom a column; ``gap`` and ``tokens_per_channel`` added."""
    rows = [
        {
            **one.__dict__,
            "pattern": str(one.pattern),
            "gap": one.gap,
            "tokens_per_channel": one.tokens_per_channel,
        }
        for one in found
    ]
    return pd.DataFrame(rows)
