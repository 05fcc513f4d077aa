"""Does the shared network still know what it decided? Matrix, curves and sums of what it forgot.

Knows nothing about heat maps. After each block the network is asked again about a fixed sample of rows of every earlier
block. Forgetting changes the masks that it would *regenerate*, never the masks that the run stored.

Average forgetting follows Chaudhry et al. (arXiv 1801.10112), backward transfer Lopez-Paz and Ranzato (arXiv
1706.08840), with the share of equal patterns and the lost error in place of accuracies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from hyperprune_lab.record.reader import Run

Measure = Literal["changed", "divergence", "error_rel", "error_rel_at_decision"]

MEASURES: dict[str, str] = {
    "changed": "share of groups whose pattern the network would now choose differently",
    "divergence": "KL of its choice then to its choice now, nats per group",
    "error_rel": "relative error of the mask that it would now choose",
}
"""What is worth looking at, in words; ``error_rel_at_decision`` is what ``error_rel`` is held against."""
NOTE = "Forgetting changes the masks that the network would regenerate, not the masks that are stored."
NOTHING_TO_FORGET = "No shared network, nothing to forget."
FINAL = -1
"""Row label of "after the final stage"."""


def applies(run: Run) -> bool:
    """Whether the run's method shares one network between blocks."""
    return run.config.get("method") == "hyperprune"


def matrix(run: Run, measure: Measure = "changed", as_of: int | None = None) -> pd.DataFrame:
    """Row = after training block i, column = block j asked again (NaN above the diagonal and where not yet asked).

    If it was asked, a last row ``FINAL`` is "after the final stage". Units: see ``MEASURES``.
    """
    table = run.forgetting(measure)
    if as_of is None:
        return table
    later = {int(event.payload["after"]) for event in run.events(after=as_of, kinds=("ForgettingMeasured",))}
    table.loc[table.index.isin(later)] = np.nan
    return table.drop(index=[FINAL], errors="ignore") if FINAL in later else table


def curves(run: Run, measure: Measure = "changed", as_of: int | None = None) -> pd.DataFrame:
    """Long form, one curve per block: columns ``block, after, step, value``.

    ``step`` counts the times that the block was asked since it was decided; the last may be ``after`` = ``FINAL``.
    """
    table = matrix(run, measure, as_of)
    long = table.reset_index().melt("after", var_name="block", value_name="value").dropna(subset="value")
    order = {after: place for place, after in enumerate(table.index)}
    long = long.assign(place=long["after"].map(order)).sort_values(["block", "place"], kind="stable")
    step = long.groupby("block").cumcount()
    return long.assign(step=step)[["block", "after", "step", "value"]].reset_index(drop=True)


@dataclass(frozen=True)
class ForgettingSummary:
    """What was forgotten, in numbers and words; None where it is not known (yet) or does not apply.

    ``average_forgetting``: mean over earlier blocks of the share of changed groups, as last asked;
    ``backward_transfer``: mean of (error at decision - error now), positive where later blocks helped; ``worst`` the
    block that changed most.
    ``after`` is the row that they come from, ``blocks`` how many earlier blocks there are.
    """

    applies: bool
    after: int | None
    blocks: int
    average_forgetting: float | None
    backward_transfer: float | None
    divergence: float | None
    worst: int | None
    worst_changed: float | None
    sentence: str


def summary(run: Run, as_of: int | None = None, final: bool = True) -> ForgettingSummary:
    """Sum up the last row: "after the final stage" if there is one and ``final`` is set, else after the last block.

    After a block, that block itself was only just decided and does not count; after the final stage all blocks do.
    """
    if not applies(run):
        return ForgettingSummary(False, None, 0, None, None, None, None, None, NOTHING_TO_FORGET)
    rows = {name: matrix(run, name, as_of) for name in get_args(Measure)}
    asked = rows["changed"].dropna(how="all").index
    if not final:
        asked = asked[asked != FINAL]
    if asked.empty:
        return ForgettingSummary(True, None, 0, None, None, None, None, None, "No block was asked again yet.")
    after = int(asked[-1])
    last = {name: table.loc[after] for name, table in rows.items()}
    earlier = last["changed"].dropna()
    if after != FINAL:
        earlier = earlier[earlier.index < after]
    if earlier.empty:
        return ForgettingSummary(
            True,
            after,
            0,
            None,
            None,
            None,
            None,
            None,
            "Only one block is decided: none could be forgotten.",
        )
    blocks = earlier.index.to_numpy(int)
    changed = earlier.to_numpy(float)
    then, now, drift = (
        last[name][blocks].to_numpy(float) for name in ("error_rel_at_decision", "error_rel", "divergence")
    )
    forgotten, gained = float(changed.mean()), float((then - now).mean())
    most = int(changed.argmax())
    worst, worst_changed = int(blocks[most]), float(changed[most])
    sentence = _sentence(forgotten, gained, worst, worst_changed, after)
    return ForgettingSummary(
        True, after, len(blocks), forgotten, gained, float(drift.mean()), worst, worst_changed, sentence
    )


@dataclass(frozen=True)
class ForgettingDifference:
    """Two runs on one scale: ``ours``, ``theirs`` and ``difference`` (ours - theirs) over the blocks of both.

    ``limit`` is the largest absolute value of the first two, so that both are drawn on one scale.
    """

    measure: str
    ours: pd.DataFrame
    theirs: pd.DataFrame
    difference: pd.DataFrame
    limit: float
    sentence: str


def compare(
    run: Run, reference: Run, measure: Measure = "changed", as_of: int | None = None
) -> ForgettingDifference:
    """The matrices of two runs and their difference, as of the continual term on and off."""
    ours, theirs = matrix(run, measure, as_of), matrix(reference, measure)
    index = [after for after in ours.index if after in theirs.index]
    columns = [block for block in ours.columns if block in theirs.columns]
    ours, theirs = ours.loc[index, columns], theirs.loc[index, columns]
    both = np.concatenate([ours.to_numpy().ravel(), theirs.to_numpy().ravel()])
    limit = float(np.nanmax(np.abs(both))) if np.isfinite(both).any() else 0.0
    one, other = summary(run, as_of), summary(reference)
    sentence = _compared(one, other, continual_weight(run), continual_weight(reference))
    return ForgettingDifference(measure, ours, theirs, ours - theirs, limit, sentence)


def continual_weight(run: Run) -> float | None:
    """λ2, the weight of the continual term, as it was trained with; None without a shared network."""
    if not applies(run):
        return None
    trained = (run.config.get("hyperprune") or {}).get("training", {}).get("continual_weight")
    return None if trained is None else float(trained)


def in_words(backward_transfer: float | None) -> str:
    """Backward transfer with its sign in words."""
    if backward_transfer is None:
        return "not yet known"
    if abs(backward_transfer) < 5e-5:
        return "later blocks neither helped nor harmed earlier ones"
    points = f"{100 * abs(backward_transfer):.2f} points of relative error"
    if backward_transfer > 0:
        return f"positive: what it learned later made it better at earlier blocks, by {points}"
    return f"negative: what it learned later made it worse at earlier blocks, by {points}"


def _sentence(forgotten: float, gained: float, worst: int, changed: float, after: int) -> str:
    when = "after the final stage" if after == FINAL else f"after block {after}"
    if forgotten == 0:
        return f"Asked again {when}, the network repeats every choice. {NOTE}"
    return (
        f"Asked again {when}, the network would change {forgotten:.1%} of earlier groups on average, most in "
        f"block {worst} ({changed:.1%}). Backward transfer is {in_words(gained)}. {NOTE}"
    )


def _compared(
    one: ForgettingSummary, other: ForgettingSummary, ours: float | None, theirs: float | None
) -> str:
    if not one.applies or not other.applies:
        return NOTHING_TO_FORGET
    if one.average_forgetting is None or other.average_forgetting is None:
        return "Not both runs have been asked about earlier blocks yet."
    return (
        f"With λ2 = {_number(ours)} the network would change {one.average_forgetting:.1%} of earlier groups, with λ2 = "
        f"{_number(theirs)} {other.average_forgetting:.1%}."
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"
