"""Masks of two runs module by module, read file by file, each pair of files once.

Knows nothing about what is shown of them. A large run's masks take a while: who asks with a limit gets what there is
by then, and the rest on asking again.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hyperprune_lab.analysis.agreement import Agreement, agreement
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.record.store import ArtefactRow

_FILES_KEPT = 20_000


@dataclass(frozen=True, eq=False)
class Pair:
    """One row a module that both decided: ``module, groups, patterns, weights`` (shares that agree).

    NaN where the two masks have different shapes or patterns. ``left`` modules are still to be read.
    """

    table: pd.DataFrame
    left: int

    @property
    def patterns(self) -> float:
        """Share of all groups with the same pattern; NaN if nothing can be compared."""
        known = self.table.dropna(subset="patterns")
        return float(np.average(known["patterns"], weights=known["groups"])) if len(known) else float("nan")


class _Kept:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pairs: OrderedDict[tuple[str, str], dict[str, Agreement | None]] = OrderedDict()


_KEPT = _Kept()


def compare_masks(run: Run, other: Run, as_of: int | None = None, deadline: float | None = None) -> Pair:
    """The newest masks of two runs, those of ``run`` as of event ``as_of``.

    From ``deadline`` (of ``time.monotonic()``) on no further file is read, but for the first.

    Raises:
        UserError: a record is damaged.
    """
    ours, theirs = _by_module(run, as_of), _by_module(other, as_of if other is run else None)
    files: dict[tuple[ArtefactRow, ArtefactRow], list[str]] = {}
    for module in ours:
        if module in theirs:
            files.setdefault((ours[module], theirs[module]), []).append(module)
    rows, left, read = [], 0, 0
    for (one, two), modules in files.items():
        found = _known(one, two, modules)
        if found is None:
            if deadline is not None and read and time.monotonic() > deadline:
                left += len(modules)
                continue
            found = _read(run, one, other, two, modules)
            read += 1
        rows += [(module, *_row(found[module])) for module in modules]
    return Pair(pd.DataFrame(rows, columns=["module", "groups", "patterns", "weights"]), left)


def _by_module(run: Run, as_of: int | None) -> dict[str, ArtefactRow]:
    return {module: file for file, modules in run.mask_files(as_of).items() for module in modules}


def _row(found: Agreement | None) -> tuple[int, float, float]:
    return (0, np.nan, np.nan) if found is None else (found.groups, found.patterns, found.weights)


def _key(one: ArtefactRow, two: ArtefactRow) -> tuple[str, str]:
    # What was compared is the same both ways, and wherever the same bytes lie.
    first, second = sorted((one.sha256, two.sha256))
    return first, second


def _known(one: ArtefactRow, two: ArtefactRow, modules: list[str]) -> dict[str, Agreement | None] | None:
    with _KEPT.lock:
        found = _KEPT.pairs.get(_key(one, two))
        if found is None or not all(module in found for module in modules):
            return None
        _KEPT.pairs.move_to_end(_key(one, two))
        return found


def _read(
    run: Run, one: ArtefactRow, other: Run, two: ArtefactRow, modules: list[str]
) -> dict[str, Agreement | None]:
    ours, theirs = run.masks_in(one, modules), other.masks_in(two, modules)
    found: dict[str, Agreement | None] = {}
    for module in modules:
        try:
            found[module] = agreement(ours[module], theirs[module])
        except UserError:
            found[module] = None  # Other shapes or patterns: not comparable, which is not zero.
    with _KEPT.lock:
        _KEPT.pairs.setdefault(_key(one, two), {}).update(found)
        while len(_KEPT.pairs) > _FILES_KEPT:
            _KEPT.pairs.popitem(last=False)
    return found
