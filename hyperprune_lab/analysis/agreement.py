"""How much two masks agree, in patterns and in weights, raw and corrected for chance; and what two runs share.

Knows nothing about tables on a screen. Chance is Cohen's: two deciders with the same habits who choose independently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from hyperprune_lab.analysis.histogram import pattern_counts
from hyperprune_lab.analysis.linears import placed
from hyperprune_lab.analysis.masktiles import reference_mask
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.masks import PackedMask
from hyperprune_lab.record.reader import Run

REFERENCES = ("wanda", "magnitude")
Measure = Literal["patterns", "weights", "kappa_patterns", "kappa_weights"]

_ROWS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Agreement:
    """Two masks of one pattern and shape.

    ``patterns``: share of groups with the same pattern. ``weights``: share of the kept weights of one that the other
    keeps too (the same for both). ``kappa_*``: the same over chance, ``(observed - chance) / (1 - chance)``: 1 is
    equal, 0 what independent choices would give, below 0 less. Chance is n/m for weights; for patterns it is the
    product of both histograms, or 1 over their number where a group has more than 128.
    """

    groups: int
    patterns: float
    weights: float
    kappa_patterns: float
    kappa_weights: float


def agreement(one: PackedMask, other: PackedMask) -> Agreement:
    """Compare two masks without unpacking them where groups are 4 or 8.

    Raises:
        UserError: they have different patterns or shapes.
    """
    if (one.pattern, one.shape) != (other.pattern, other.shape):
        raise UserError(
            f"A mask of {one.pattern} {list(one.shape)} and one of {other.pattern} {list(other.shape)} cannot agree."
        )
    pattern, rows = one.pattern, one.shape[0]
    groups = rows * one.in_features // pattern.group
    kept = groups * pattern.keep
    both = int(np.bitwise_count(one.packed & other.packed).sum(dtype=np.int64))
    weights = both / kept
    patterns = _equal_groups(one, other) / groups
    chance = 1 / pattern.count
    if pattern.enumerable:
        chance = float((pattern_counts(one) / groups) @ (pattern_counts(other) / groups))
    density = pattern.density
    return Agreement(
        groups, patterns, weights, _over_chance(patterns, chance), _over_chance(weights, density)
    )


def by_module(
    run: Run,
    other: Run | Literal["wanda", "magnitude"],
    stage: str | None = None,
    as_of: int | None = None,
) -> pd.DataFrame:
    """One row per linear of ``run``: ``module, block, local, panel, groups``, then the four measures of ``Agreement``.

    ``other`` is another run (its newest masks) or a mask that ``run`` recorded beside its own. NaN where the other has
    no such mask, or one of another pattern or shape.
    """
    rows = []
    for module, block in run.modules(stage, as_of)[["module", "block"]].itertuples(index=False):
        mask = run.packed_mask(module, stage, as_of)
        found = None
        try:
            theirs = (
                other.packed_mask(module)
                if isinstance(other, Run)
                else reference_mask(run, module, other, stage, as_of)
            )
            found = agreement(mask, theirs)
        except UserError:
            pass  # Not decided there, not recorded, or not comparable: unknown, which is not zero.
        groups = mask.shape[0] * mask.in_features // mask.pattern.group
        rows.append((module, block, groups, *(_measures(found))))
    names = ["module", "block", "groups", *_MEASURES]
    table = placed(pd.DataFrame(rows, columns=names))
    return table[["module", "block", "local", "panel", "groups", *_MEASURES]]


def overall(table: pd.DataFrame, measure: Measure = "patterns") -> float:
    """One number for ``by_module``: weighted by groups, over the linears that could be compared; NaN if none."""
    known = table.dropna(subset=measure)
    return float(np.average(known[measure], weights=known["groups"])) if len(known) else float("nan")


def matrix(
    runs: Mapping[str, Run], measure: Measure = "patterns", references: tuple[str, ...] = REFERENCES
) -> pd.DataFrame:
    """Agreement of every two runs, and of each with the masks recorded beside it; symmetric, 1 on the diagonal.

    Two runs are compared over the linears that both decided. A reference's mask is the one that the run in the other
    position recorded, on its own statistics; two references are compared on those of the first run that has both.
    """
    names = [*runs, *(name for name in references if name not in runs)]
    table = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            value = _pair(runs, one, other, measure)
            table.loc[one, other] = table.loc[other, one] = value
    return table


@dataclass(frozen=True)
class Difference:
    """A field of the protocols in which two runs differ; ``concerns`` is what cannot be compared because of it."""

    field: str
    ours: Any
    theirs: Any
    concerns: tuple[str, ...]


@dataclass(frozen=True)
class Comparability:
    """Which figures of two runs may stand in one column: ``masks``, ``errors`` (of linears), ``perplexity``.

    ``differences`` names what differs, also where it forbids nothing (as the method: that is what one compares).
    """

    masks: bool
    errors: bool
    perplexity: bool
    differences: tuple[Difference, ...]
    sentence: str


def comparable(run: Run, other: Run) -> Comparability:
    """Hold the protocols of two runs against each other, field by field."""
    return protocols_compared(protocol(run), protocol(other))


def protocols_compared(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Comparability:
    """The same for two protocols that have been read."""
    differences = tuple(
        Difference(field, ours.get(field), theirs.get(field), _CONCERNS.get(field, ()))
        for field in dict.fromkeys([*ours, *theirs])
        if ours.get(field) != theirs.get(field)
    )
    forbidden = {what for difference in differences for what in difference.concerns}
    blocking = [difference for difference in differences if difference.concerns]
    if not blocking:
        sentence = "Model, calibration and evaluation are the same: masks, errors and perplexities compare."
    else:
        named = "; ".join(
            f"{one.field} ({_shown(one.ours)} against {_shown(one.theirs)}): no common column for "
            f"{' and '.join(one.concerns)}"
            for one in blocking
        )
        sentence = f"Not everything compares. They differ in {named}."
    return Comparability(
        "masks" not in forbidden,
        "errors" not in forbidden,
        "perplexity" not in forbidden,
        differences,
        sentence,
    )


_MEASURES = ["patterns", "weights", "kappa_patterns", "kappa_weights"]
_MODEL = ("masks", "errors", "perplexity")
_CONCERNS: dict[str, tuple[str, ...]] = {
    "model weights": _MODEL,
    "model dtype": ("perplexity",),
    "calibration tokens": ("errors",),
    "calibration prefix": (),
    "pattern": ("masks",),
    "evaluation text": ("perplexity",),
    "evaluation window": ("perplexity",),
    "evaluation tokens": ("perplexity",),
    "evaluation formula": ("perplexity",),
    "tokenizer": ("errors", "perplexity"),
}


def protocol(run: Run) -> dict[str, Any]:
    """What a run's figures rest on, by field; None where it is not recorded (yet)."""
    started = run.started
    model, data, config = (started.get(name) or {} for name in ("model", "data", "config"))
    protocols = [event.payload.get("protocol") or {} for event in run.events(kinds=("EvaluationFinished",))]
    measured = next((protocol for protocol in protocols if protocol), {})
    patterns = sorted({row.get("pattern") for row in started.get("coverage", []) if row.get("pattern")})
    return {
        "model weights": model.get("sha256"),
        "model dtype": model.get("dtype"),
        "calibration tokens": data.get("ids_sha256"),
        "calibration prefix": config.get("prefix"),
        "pattern": ", ".join(patterns),
        "method": config.get("method"),
        "preset": config.get("preset"),
        "compensation": config.get("compensation"),
        "seed": config.get("seed"),
        "evaluation text": measured.get("text_sha256"),
        "evaluation window": measured.get("window"),
        "evaluation tokens": measured.get("tokens"),
        "evaluation formula": measured.get("formula"),
        "tokenizer": (data.get("tokenizer") or {}).get("sha256"),
    }


def _shown(value: Any) -> str:
    text = ", ".join(str(one)[:12] for one in value) if isinstance(value, list) else str(value)
    if value is None:
        return "unknown"
    return text if len(text) <= 40 else f"{text[:12]}…"


def _measures(found: Agreement | None) -> tuple[float, ...]:
    return tuple(float("nan") if found is None else getattr(found, name) for name in _MEASURES)


def _pair(runs: Mapping[str, Run], one: str, other: str, measure: Measure) -> float:
    if one in runs and other in runs:
        return overall(by_module(runs[one], runs[other]), measure)
    if one in runs:
        return overall(by_module(runs[one], other), measure)  # type: ignore[arg-type]
    for run in runs.values():
        value = _references(run, one, other, measure)
        if value == value:
            return value
    return float("nan")


def _references(run: Run, one: str, other: str, measure: Measure) -> float:
    found = []
    for module in run.modules()["module"]:
        try:
            found.append(agreement(reference_mask(run, module, one), reference_mask(run, module, other)))
        except UserError:
            continue
    if not found:
        return float("nan")
    return float(np.average([getattr(a, measure) for a in found], weights=[a.groups for a in found]))


def _over_chance(observed: float, chance: float) -> float:
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def _equal_groups(one: PackedMask, other: PackedMask) -> int:
    """Groups whose bits are the same; where they fill bytes evenly, from the histogram of differing bytes."""
    group = one.pattern.group
    different = one.packed ^ other.packed
    if group in (4, 8):
        by_byte = np.bincount(different.ravel(), minlength=256)
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
        unequal = bits.reshape(256, 8 // group, group).any(2).sum(1)
        return one.shape[0] * one.in_features // group - int(by_byte @ unequal)
    equal, step = 0, max(1, _ROWS_AT_ONCE // one.in_features)
    for first in range(0, one.shape[0], step):
        bits = np.unpackbits(different[first : first + step], axis=1, bitorder="little")[:, : one.in_features]
        equal += int((~bits.reshape(-1, group).any(1)).sum())
    return equal
