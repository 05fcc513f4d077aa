"""Where a run's linears stand: block, place within the block, pattern, and the input that each one reads.

Knows nothing about what was measured of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Arrays
from hyperprune_lab.record.reader import Run


def local_name(module: str, block: int | None) -> str:
    """A linear's name within its block: ``mlp.up_proj`` of ``model.layers.3.mlp.up_proj``."""
    _, found, local = module.partition(f".{block}.")
    return local if found else module


def panel_name(local: str) -> str:
    """The name under which linears of all blocks, and of all experts, share a panel: numbers become ``*``."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", local)


def placed(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` (columns ``module, block``) with the columns ``local`` and ``panel`` added, in order of depth.

    Within a block the order is that in which the linears stand in the table.
    """
    local = [local_name(module, block) for module, block in zip(table["module"], table["block"], strict=True)]
    added = table.assign(local=local, panel=[panel_name(name) for name in local])
    return added.sort_values("block", kind="stable", ignore_index=True)


def linears(run: Run) -> pd.DataFrame:
    """One row per linear that the run prunes, known before anything is decided.

    Columns ``module, block, local, panel, out_features, in_features, pattern``; empty while nothing is known.
    """
    columns = ["module", "block", "out_features", "in_features", "pattern"]
    rows = [
        (row["name"], row["block"], *row["shape"], row["pattern"])
        for row in run.started.get("coverage", [])
        if row.get("status") == "pruned" and len(row.get("shape", ())) == 2
    ]
    return placed(pd.DataFrame(rows, columns=columns))


@dataclass(frozen=True)
class MeasuredInput:
    """One distinct input of a block, read by ``modules``; ``seq`` is the event that measured it.

    ``scalars``: ``tokens``, ``condition`` (of H scaled to unit diagonal), ``dead_channels``, ``outlier_channels``,
    ``rank_deficient``, as far as they were measured.
    """

    block: int
    input: str
    modules: tuple[str, ...]
    stage: str
    seq: int
    scalars: dict[str, float]

    def arrays(self, run: Run) -> Arrays:
        """``channel_rms[in], channel_mean[in], gram_diagonal[in]`` and, if recorded, ``channel_rms_heldout[in]`` and
        ``gram_blocks[in / m, m, m]``; empty while the block is unfinished.
        """
        return run.evidence("input", self.input, self.stage, self.seq, self.block)


def measured_inputs(run: Run, as_of: int | None = None, block: int | None = None) -> list[MeasuredInput]:
    """The newest measurement of every distinct input in order of depth; of one block, or of all."""
    found: dict[tuple[int, str], MeasuredInput] = {}
    for event in run.events(kinds=("InputMeasured",)):
        if (as_of is not None and event.seq > as_of) or block not in (None, event.block):
            continue
        assert event.block is not None
        assert event.subject is not None
        found[event.block, event.subject] = MeasuredInput(
            event.block,
            event.subject,
            tuple(event.payload.get("modules", ())),
            str(event.stage),
            event.seq,
            event.scalars,
        )
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def input_of(run: Run, module: str, as_of: int | None = None) -> MeasuredInput | None:
    """The input that ``module`` reads; None while it was not measured."""
    return next((one for one in measured_inputs(run, as_of) if module in one.modules), None)


def group_blocks_of(
    arrays: Arrays, group: int, in_features: int
) -> Float[np.ndarray, "groups group group"] | None:
    """The recorded blocks of H cut to groups of ``group`` channels; None where they were not recorded so.

    An input is recorded with the group of its first reader; smaller groups that tile it can be cut out.
    """
    blocks = arrays.get("gram_blocks")
    if blocks is None or blocks.ndim != 3 or blocks.shape[0] * blocks.shape[1] != in_features:
        return None
    recorded = blocks.shape[1]
    if recorded % group:
        return None
    parts = recorded // group
    cut = blocks.reshape(-1, parts, group, parts, group)
    which = np.arange(parts)
    return cut[:, which, :, which, :].swapaxes(0, 1).reshape(-1, group, group)


def require_linear(run: Run, module: str) -> pd.Series:
    """The row of ``linears`` of one module.

    Raises:
        UserError: the run does not prune it.
    """
    table = linears(run)
    found = table[table["module"] == module]
    if found.empty:
        raise UserError(
            f"{run.directory.root} prunes no {module[:120]!r}: its linears are in run.modules()['module']."
        )
    return found.iloc[0]
