"""How often each pattern was chosen, against choosing all equally often.

Knows nothing about bars. A uniform histogram says nothing against a mask: where weights are exchangeable, any good
rule gives one. A lopsided one says that positions within groups differ, as they do beside outlier channels, or that a
network has collapsed onto few patterns.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from hyperprune_lab.analysis.linears import placed
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.masks import PackedMask
from hyperprune_lab.record.reader import Run

_ROWS_AT_ONCE = 1 << 22
_POSSIBLE_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(
    bool
)


def pattern_counts(mask: PackedMask) -> Int[np.ndarray, " patterns"]:
    """How many groups of a packed mask have each pattern, in lexicographic order.

    Groups of 4 and 8 are counted by whole bytes, without unpacking: the bytes' histogram says it all.
    """
    pattern, group = mask.pattern, mask.pattern.group
    if group in (4, 8):
        by_byte = np.bincount(mask.packed.ravel(), minlength=256)
        values = _POSSIBLE_BYTES.reshape(256, 8 // group, group)
        # Half a byte beyond the last group is all zeros, which keeps nothing and is no pattern.
        whole = values.sum(2) == pattern.keep
        counts = np.zeros(pattern.count, np.int64)
        for place in range(8 // group):
            ids = pattern.ids(values[whole[:, place], place])[:, 0]
            np.add.at(counts, ids, by_byte[whole[:, place]])
        return counts
    counts = np.zeros(pattern.count, np.int64)
    step = max(1, _ROWS_AT_ONCE // mask.in_features)
    for first in range(0, mask.shape[0], step):
        part = PackedMask(pattern, mask.in_features, mask.packed[first : first + step]).unpack()
        counts += np.bincount(pattern.ids(part).ravel(), minlength=pattern.count)
    return counts


def counts_of(
    run: Run, module: str, stage: str | None = None, as_of: int | None = None
) -> Int[np.ndarray, " patterns"] | None:
    """The histogram of one linear: as recorded, or else of its mask; None where a group has over 128 patterns.

    Raises:
        UserError: it is not decided (yet).
    """
    mask = run.packed_mask(module, stage, as_of)
    if not mask.pattern.enumerable:
        return None
    recorded = run.evidence("module", module, stage, as_of).get("pattern_histogram")
    if recorded is not None and recorded.shape == (mask.pattern.count,):
        return recorded.astype(np.int64)
    return pattern_counts(mask)


def entropy_share(counts: Int[np.ndarray, " patterns"]) -> float:
    """Entropy of the histogram over its maximum, log(patterns): 1 is uniform, 0 is a single pattern; NaN if empty."""
    total = counts.sum()
    if not total or len(counts) < 2:
        return math.nan
    share = counts[counts > 0] / total
    return float(-(share * np.log(share)).sum() / math.log(len(counts)))


def histogram(
    run: Run, modules: list[str], stage: str | None = None, as_of: int | None = None
) -> pd.DataFrame:
    """The patterns of some linears together.

    Columns ``pattern`` (n:m), ``id``, ``kept`` (as ``1100``), ``count``, ``share``, ``times_uniform``. One block of
    rows for each n:m among them; linears with more than 128 patterns a group are left out.
    """
    sums: dict[str, np.ndarray] = {}
    for module in modules:
        counts = counts_of(run, module, stage, as_of)
        if counts is not None:
            name = str(run.packed_mask(module, stage, as_of).pattern)
            sums[name] = sums.get(name, np.zeros_like(counts)) + counts
    columns = ["pattern", "id", "kept", "count", "share", "times_uniform"]
    parts = [_listed(NMPattern.parse(name), counts) for name, counts in sorted(sums.items())]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def by_module(run: Run, stage: str | None = None, as_of: int | None = None) -> pd.DataFrame:
    """One row per decided linear: ``module, block, local, panel, pattern, groups, entropy_share, most, most_share``.

    ``most`` is the most frequent pattern. NaN and None where a group has more than 128 patterns. Read it with
    ``stage`` to see how a later stage changed what an earlier one chose.
    """
    rows: list[tuple[object, ...]] = []
    for module, block in run.modules(stage, as_of)[["module", "block"]].itertuples(index=False):
        counts = counts_of(run, module, stage, as_of)
        mask = run.packed_mask(module, stage, as_of)
        groups = mask.shape[0] * mask.in_features // mask.pattern.group
        if counts is None:
            rows.append((module, block, str(mask.pattern), groups, math.nan, None, math.nan))
            continue
        most = int(counts.argmax())
        share = counts[most] / counts.sum() if counts.sum() else math.nan
        kept = _spelled(mask.pattern.table()[most])
        rows.append((module, block, str(mask.pattern), groups, entropy_share(counts), kept, float(share)))
    names = ["module", "block", "pattern", "groups", "entropy_share", "most", "most_share"]
    table = placed(pd.DataFrame(rows, columns=names))
    return table[["module", "block", "local", "panel", *names[2:]]]


def _listed(pattern: NMPattern, counts: np.ndarray) -> pd.DataFrame:
    share: Float[np.ndarray, " patterns"] = counts / max(1, counts.sum())
    return pd.DataFrame(
        {
            "pattern": str(pattern),
            "id": np.arange(pattern.count),
            "kept": [_spelled(row) for row in pattern.table()],
            "count": counts,
            "share": share,
            "times_uniform": share * pattern.count,
        }
    )


def _spelled(kept: np.ndarray) -> str:
    return "".join("1" if one else "0" for one in kept)
