"""Is the hypernetwork learning, and has it made up its mind? Telemetry on one step axis, and warnings.

Knows nothing about strips. All numbers are what was measured at each step; none is smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hyperprune_lab.analysis.embeddings import embeddings
from hyperprune_lab.record.reader import Run

UNDECIDED = 0.5
"""A share of the largest entropy that a network which has made up its mind is below."""

ENTROPY = ("entropy", "entropy_p10", "entropy_median", "entropy_p90")
"""Mean, tenth percentile, median and ninetieth over groups, as shares of log(patterns) at the step's temperature."""


def steps(run: Run, as_of: int | None = None) -> pd.DataFrame:
    """Every step in which a network was trained, in order: ``axis, seq, stage, block, step``, then what was measured.

    ``axis`` counts steps from 0 through all blocks and stages. Known columns: ``loss``, ``reconstruction``,
    ``outlier``, ``continual`` (layer-wise), ``divergence`` (whole model, nats per token), ``temperature``, those of
    ``ENTROPY``, ``agreement_wanda``, ``agreement_prior``. What a step did not measure is NaN. Empty for methods
    without a network.
    """
    long = run.metrics()
    if as_of is not None:
        long = long[long["seq"] <= as_of]
    trained = long.loc[long["name"] == "temperature", "seq"]
    long = long[long["seq"].isin(trained)]
    keys = ["seq", "stage", "block", "step"]
    if long.empty:
        return pd.DataFrame(columns=["axis", *keys])
    places = long[keys].drop_duplicates("seq").set_index("seq")
    values = long.pivot(index="seq", columns="name", values="value")
    table = places.join(values).sort_index().reset_index()
    table.insert(0, "axis", np.arange(len(table)))
    return table.rename_axis(columns=None)


@dataclass(frozen=True)
class Boundary:
    """Where a block (or, with ``block`` None, a whole-model stage) begins on the step axis, and where it ends."""

    start: int
    stop: int
    stage: str
    block: int | None
    label: str


def boundaries(table: pd.DataFrame) -> list[Boundary]:
    """The stretches of ``steps`` that belong to one block or stage, in order; ``stop`` is exclusive."""
    if table.empty:
        return []
    blocks, stages = table["block"].to_numpy(float, na_value=np.nan), table["stage"].to_numpy(object)
    numbers = np.nan_to_num(blocks, nan=-1.0)
    starts = [0, *(1 + np.flatnonzero((np.diff(numbers) != 0) | (stages[1:] != stages[:-1])))]
    first = int(table["axis"].iloc[0])
    found = []
    for start, stop in zip(starts, [*starts[1:], len(table)], strict=True):
        number = None if np.isnan(blocks[start]) else int(blocks[start])
        label = f"{stages[start]}" if number is None else f"block {number}"
        found.append(Boundary(first + int(start), first + int(stop), str(stages[start]), number, label))
    return found


def loss_terms(run: Run, table: pd.DataFrame, known: dict[str, Any] | None = None) -> pd.DataFrame:
    """The signed parts of the loss by step: ``axis, reconstruction, outlier, continual, divergence, total``.

    ``total = reconstruction - λ1 outlier + λ2 continual`` in the layer-wise stage (the outlier term is a reward, so
    its part is negative), ``total = divergence`` in the whole-model stage. Parts that a stage does not have are NaN.
    ``known`` are the run's ``settings``, where they were read before.
    """
    weights = (settings(run) if known is None else known).get("training", {})
    part: dict[str, Any] = {"axis": table["axis"]}
    for name, factor in (
        ("reconstruction", 1.0),
        ("outlier", -float(weights.get("outlier_weight", np.nan))),
        ("continual", float(weights.get("continual_weight", np.nan))),
        ("divergence", 1.0),
    ):
        part[name] = factor * table[name] if name in table else np.nan
    return pd.DataFrame(part | {"total": table.get("loss", np.nan)})


def entropies(table: pd.DataFrame) -> pd.DataFrame:
    """``axis`` and the columns of ``ENTROPY``; runs that recorded the mean only have NaN in the others."""
    return pd.DataFrame({"axis": table["axis"]} | {name: table.get(name, np.nan) for name in ENTROPY})


def settings(run: Run) -> dict[str, Any]:
    """The network's settings as the run had them; empty for methods without one."""
    return run.config.get("hyperprune") or {}


@dataclass(frozen=True, eq=False)
class Pinned:
    """Probabilities of a fixed sample of groups of one linear while its block was trained.

    ``groups`` are (row, group); ``probabilities[looks, groups, outputs]`` at the temperature of each of ``steps``;
    ``outputs`` are patterns in lexicographic order, or the keeping of each position where a group has over 128
    patterns. ``chosen`` is each group's final pattern, None in the latter case.
    """

    stage: str
    groups: tuple[tuple[int, int], ...]
    steps: tuple[int, ...]
    probabilities: np.ndarray
    chosen: tuple[int, ...] | None


def pinned(run: Run, module: str, as_of: int | None = None) -> Pinned | None:
    """The pinned groups of a linear, of the last stage that recorded some; None if none did (yet)."""
    for stage in reversed(run.started.get("stages") or []):
        arrays = run.evidence("module", module, stage, as_of)
        if {"pinned_groups", "pinned_steps", "pinned_probabilities"} <= set(arrays):
            groups = tuple((int(row), int(group)) for row, group in arrays["pinned_groups"])
            mask = run.packed_mask(module, as_of=as_of)
            chosen = None
            if mask.pattern.enumerable:
                ids = mask.pattern.ids(mask.unpack()[[row for row, _ in groups]])
                chosen = tuple(int(ids[place, group]) for place, (_, group) in enumerate(groups))
            return Pinned(
                stage,
                groups,
                tuple(arrays["pinned_steps"].tolist()),
                arrays["pinned_probabilities"].astype(np.float32),
                chosen,
            )
    return None


@dataclass(frozen=True)
class NetworkWarning:
    """Something that a person should know of the network: ``kind`` for programs, ``message`` for people."""

    kind: str
    message: str
    block: int | None = None


def warnings(run: Run, as_of: int | None = None) -> list[NetworkWarning]:
    """What speaks against the network's choices; empty where nothing does, or where there is no network."""
    table = steps(run, as_of)
    if table.empty:
        return []
    collapsed = [
        NetworkWarning(
            "collapsed",
            f"The {one.kind} embeddings collapsed: they differ by {one.spread:.0%} of their size, so the network can "
            f"hardly tell {one.kind}s apart.",
        )
        for one in embeddings(run, as_of)
        if one.collapsed
    ]
    return [*_undecided(run, table), *_not_finite(table), *collapsed, *_prior(run, as_of)]


def _undecided(run: Run, table: pd.DataFrame) -> list[NetworkWarning]:
    found = []
    name = "entropy_median" if "entropy_median" in table else "entropy"
    if name not in table:
        return []
    for stretch in boundaries(table):
        last = table.iloc[stretch.stop - 1]
        if stretch.stop == len(table) and not _ended(run, int(last["seq"])):
            continue
        entropy = float(last[name])
        if entropy > UNDECIDED:
            where = "" if stretch.block is None else f" of block {stretch.block}"
            message = f"Entropy still {entropy:.1f} at the end{where or ' of the whole-model stage'}: not converged."
            found.append(NetworkWarning("not converged", message, stretch.block))
    return found


def _ended(run: Run, seq: int) -> bool:
    """Whether the step ``seq`` was the last of its block."""
    event = run.events(after=seq - 1, kinds=("StepMeasured",))[0]
    return event.step is not None and event.step + 1 >= event.payload.get("steps", 0)


def _not_finite(table: pd.DataFrame) -> list[NetworkWarning]:
    if "loss" not in table or np.isfinite(table["loss"]).all():
        return []
    first = table[~np.isfinite(table["loss"])].iloc[0]
    block = None if pd.isna(first["block"]) else int(first["block"])
    return [
        NetworkWarning("not finite", f"The loss is not a number from step {int(first['axis'])} on.", block)
    ]


def _prior(run: Run, as_of: int | None) -> list[NetworkWarning]:
    """Linears that the network lost to its own prior, or left as they were."""
    modules = run.modules(as_of=as_of)
    if not settings(run).get("chooser", {}).get("prior_strength", 0.0):
        return []
    found = []
    if "decided_by_network" in modules:
        overruled = int((modules["decided_by_network"] == 0).sum())
        if overruled:
            message = (
                f"On {overruled} of {len(modules)} linears the network did worse than its prior on held-out text and "
                "was overruled."
            )
            found.append(NetworkWarning("overruled", message))
    if "changed_from_prior" in modules and len(modules) and (modules["changed_from_prior"] == 0).all():
        message = "The network repeats its prior in every group: what it learned does not show in any mask."
        found.append(NetworkWarning("repeats the prior", message))
    return found
