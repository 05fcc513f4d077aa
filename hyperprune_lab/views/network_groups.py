"""Pinned groups: how the probabilities of a few groups went while their block was trained, and what they became.

Knows nothing about how ribbons are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from hyperprune_lab.analysis.network import pinned
from hyperprune_lab.record.reader import Run

MOST_RIBBONS = 5
"""So many patterns of a group stand for themselves, the final one among them; the others are one ribbon."""
MOST_LOOKS = 32


@dataclass(frozen=True, eq=False)
class PinnedGroup:
    """One group while its block was trained.

    ``ribbons[ribbon, look]`` are probabilities at ``steps``, named by ``names``: of patterns (``1010``, the final one
    first, ``others`` last), or, where a group has over 128 patterns, soft weights of its positions. ``final`` is the
    pattern of the final mask, ``first_choice`` the most likely one at the last look.
    """

    row: int
    group: int
    steps: tuple[int, ...]
    names: tuple[str, ...]
    ribbons: Float[np.ndarray, "ribbons looks"]
    final: str
    by_position: bool

    @property
    def certainty(self) -> float:
        """Probability of the final pattern at the last look (by position: the mean over those kept)."""
        if not self.by_position:
            return float(self.ribbons[0, -1])
        kept = np.array([bit == "1" for bit in self.final])
        return float(self.ribbons[kept, -1].mean())

    @property
    def first_choice(self) -> str:
        """What the network itself found most likely at the last look."""
        if self.by_position:
            count = self.final.count("1")
            best = set(np.argsort(-self.ribbons[:, -1], kind="stable")[:count].tolist())
            return "".join("1" if place in best else "0" for place in range(len(self.final)))
        own = self.ribbons[: len(self.names) - ("others" in self.names), -1]
        return self.names[int(own.argmax())]

    @property
    def name(self) -> str:
        """Where the group is."""
        return f"row {self.row}, group {self.group}"

    def payload(self) -> dict[str, Any]:
        """For the browser."""
        return {
            "name": self.name,
            "place": [self.row, self.group],
            "steps": self.steps,
            "names": self.names,
            "ribbons": short(self.ribbons, 3),
            "final": self.final,
            "by_position": self.by_position,
            "certainty": short([self.certainty], 3)[0],
            "first_choice": self.first_choice,
        }


def pinned_groups(run: Run, module: str | None, as_of: int | None = None) -> tuple[PinnedGroup, ...]:
    """The pinned groups of a linear, if the record has some; empty else."""
    found = None if module is None else pinned(run, module, as_of)
    if found is None or module is None or not found.steps:
        return ()
    looks = np.unique(
        np.linspace(0, len(found.steps) - 1, min(MOST_LOOKS, len(found.steps))).round().astype(int)
    )
    mask = run.packed_mask(module, as_of=as_of)
    bits = mask.unpack()[[row for row, _ in found.groups]]
    size = mask.pattern.group
    spelled = [_spelled(kept) for kept in mask.pattern.table()] if mask.pattern.enumerable else None
    groups = []
    for place, (row, group) in enumerate(found.groups):
        chances = found.probabilities[looks, place].T.astype(float)
        final = _spelled(bits[place, group * size : (group + 1) * size])
        # The soft choice of a position may overshoot a little.
        names, ribbons = [f"position {n}" for n in range(size)], chances.clip(0.0, 1.0)
        if spelled is not None:
            names, ribbons = _ranked(spelled, chances, final)
        steps = tuple(int(found.steps[look]) for look in looks)
        groups.append(PinnedGroup(row, group, steps, tuple(names), ribbons, final, spelled is None))
    return tuple(groups)


def _ranked(
    spelled: list[str], chances: Float[np.ndarray, "patterns looks"], final: str
) -> tuple[list[str], Float[np.ndarray, "ribbons looks"]]:
    """The final pattern, then those that were ever likely, then all others in one."""
    order = [spelled.index(final)]
    order += [n for n in np.argsort(-chances.max(1), kind="stable").tolist() if n != order[0]]
    own = order if len(order) <= MOST_RIBBONS + 1 else order[:MOST_RIBBONS]
    names, ribbons = [spelled[n] for n in own], chances[own]
    if len(own) < len(order):
        names.append("others")
        ribbons = np.vstack([ribbons, chances[order[MOST_RIBBONS:]].sum(0)])
    return names, ribbons


def _spelled(kept: np.ndarray) -> str:
    return "".join("1" if one else "0" for one in kept)


def short(values: Any, digits: int = 4) -> list[Any]:
    """Numbers as nested lists with so many digits that count, for the browser; NaN stays."""
    numbers = np.asarray(values, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(numbers)))
        scale = 10.0 ** np.where(np.isfinite(places), np.clip(places, -300, 300), 0.0)
        rounded = np.rint(numbers * scale) / scale
    return list(np.where(np.isfinite(rounded), rounded, numbers).tolist())
