"""Why one group of one row kept what it kept: every pattern with its cost, in numbers and in one sentence.

Knows nothing about tiles or cards. What a pattern costs here is what it would lose if nothing else of the row were
removed: ``r^T H_JJ r`` with the removed weights ``r`` and the group's own block of H. What the other groups of the
row removed (the coupling ``2 r^T H_J,rest r_rest``) takes part in the real decision and is not recorded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from hyperprune_lab.analysis.linears import group_blocks_of, input_of
from hyperprune_lab.analysis.sources import Sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Arrays
from hyperprune_lab.patterns import LARGEST_TABLE, NMPattern
from hyperprune_lab.record.masks import PackedMask
from hyperprune_lab.record.reader import Run

SHOWN = 70
"""Patterns that an explanation lists at most; 4:8 has 70."""

_EQUAL = 1e-9
_HARDLY = 1.05

Basis = Literal["block of H", "diagonal of H", "nothing"]


@dataclass(frozen=True)
class Candidate:
    """One pattern of the group; ``rank`` counts from 1 by cost.

    ``cost`` is in the unit of the squared output, averaged over calibration tokens; ``times`` is it over the
    cheapest pattern's, inf where that costs nothing. Both are None where the weights are not here.
    """

    kept: tuple[bool, ...]
    cost: float | None
    times: float | None
    rank: int | None
    ours: bool
    wanda: bool
    magnitude: bool


@dataclass(frozen=True)
class GroupExplanation:
    """One group of one row. Positions in ``sentence`` count from 1 within the group, ``columns`` from 0 in the row.

    ``basis`` says what costs are made of; ``weights`` and ``rms`` (activation RMS of each input) are None where they
    are not here. ``candidates`` come cheapest first, and the three choices are always among them; ``patterns`` is how
    many there are in all, ``ranked`` whether the list was ranked against all of them.
    """

    module: str
    row: int
    group: int
    columns: tuple[int, int]
    pattern: str
    basis: Basis
    kept: tuple[bool, ...]
    weights: tuple[float, ...] | None
    rms: tuple[float, ...] | None
    candidates: tuple[Candidate, ...]
    patterns: int
    ranked: bool
    sentence: str

    @property
    def scores(self) -> tuple[float, ...] | None:
        """Wanda's scores ``|w| rms``, if both are here."""
        if self.weights is None or self.rms is None:
            return None
        return tuple(abs(weight) * loud for weight, loud in zip(self.weights, self.rms, strict=True))


def explain(
    run: Run,
    module: str,
    row: int,
    group: int,
    sources: Sources | None = None,
    stage: str | None = None,
    as_of: int | None = None,
) -> GroupExplanation:
    """Explain the choice for inputs ``group * m`` to ``group * m + m - 1`` of one output row.

    Without ``sources``, or in mask-only mode, choices are told without costs.

    Raises:
        UserError: no such module, row or group, or no mask of it yet.
    """
    mask = run.packed_mask(module, stage, as_of)
    measured = input_of(run, module, as_of)
    arrays: Arrays = {} if measured is None else measured.arrays(run)
    return explain_from(
        mask, run.evidence("module", module, stage, as_of), arrays, module, row, group, sources
    )


def explain_from(
    mask: PackedMask,
    evidence: Arrays,
    input_arrays: Arrays,
    module: str,
    row: int,
    group: int,
    sources: Sources | None = None,
) -> GroupExplanation:
    """``explain`` from what was read already: the mask, its arrays, those of its input. For many groups of one linear.

    Raises:
        UserError: no such row or group.
    """
    rows, in_features = mask.shape
    pattern = mask.pattern
    if not (0 <= row < rows and 0 <= group < in_features // pattern.group):
        raise UserError(
            f"{module} has rows 0 to {rows - 1} and groups 0 to {in_features // pattern.group - 1}: "
            f"there is no group {group} in row {row}."
        )
    columns = group * pattern.group, (group + 1) * pattern.group
    kept = _window(mask.packed, row, columns)
    choices = {
        name: _window(evidence[f"mask_{name}"], row, columns)
        for name in ("wanda", "magnitude")
        if f"mask_{name}" in evidence and evidence[f"mask_{name}"].shape == mask.packed.shape
    }
    rms = input_arrays["channel_rms"][slice(*columns)] if "channel_rms" in input_arrays else None
    weights = None
    if sources is not None and sources.has(module):
        weights = sources.weight(module, row, slice(*columns)).astype(np.float64)
    gram, basis = _gram(input_arrays, pattern, group, in_features, weights is not None)
    table, ranked = _patterns(pattern, kept, choices)
    candidates = _ranked(table, kept, choices, weights, gram, ranked)
    return GroupExplanation(
        module,
        row,
        group,
        columns,
        str(pattern),
        basis,
        tuple(kept.tolist()),
        None if weights is None else tuple(weights.tolist()),
        None if rms is None else tuple(rms.tolist()),
        _shortened(candidates),
        pattern.count,
        ranked,
        _sentence(kept, candidates, basis, ranked, weights is not None),
    )


def pattern_costs(
    weights: Float[np.ndarray, " m"], gram: Float[np.ndarray, "m m"], table: Bool[np.ndarray, "patterns m"]
) -> Float[np.ndarray, " patterns"]:
    """``r^T H_JJ r`` for each pattern, ``r`` the weights that it removes: the group's own part of the squared error."""
    removed = np.where(table, 0.0, weights.astype(np.float64))
    costs = np.einsum("pi,ij,pj->p", removed, gram.astype(np.float64), removed, optimize=True)
    return np.maximum(costs, 0.0)


def _window(packed: np.ndarray, row: int, columns: tuple[int, int]) -> Bool[np.ndarray, " m"]:
    first, last = columns
    bits = np.unpackbits(packed[row, first // 8 : -(-last // 8)], bitorder="little")
    return bits[first % 8 : first % 8 + last - first].astype(bool)


def _gram(
    arrays: Arrays, pattern: NMPattern, group: int, in_features: int, with_weights: bool
) -> tuple[np.ndarray | None, Basis]:
    if not with_weights:
        return None, "nothing"
    blocks = group_blocks_of(arrays, pattern.group, in_features)
    if blocks is not None:
        return blocks[group], "block of H"
    diagonal = arrays.get("gram_diagonal")
    if diagonal is None or diagonal.shape != (in_features,):
        return None, "nothing"
    return np.diag(diagonal[group * pattern.group : (group + 1) * pattern.group]), "diagonal of H"


def _patterns(
    pattern: NMPattern, kept: np.ndarray, choices: dict[str, np.ndarray]
) -> tuple[np.ndarray, bool]:
    """All patterns of the group; where they are too many to list, the choices and every single swap of ours."""
    if pattern.count <= LARGEST_TABLE:
        return pattern.table(), True
    rows = [kept, *choices.values()]
    for out in np.flatnonzero(kept):
        for into in np.flatnonzero(~kept):
            swapped = kept.copy()
            swapped[[out, into]] = swapped[[into, out]]
            rows.append(swapped)
    return np.unique(np.array(rows), axis=0), False


def _ranked(
    table: np.ndarray,
    kept: np.ndarray,
    choices: dict[str, np.ndarray],
    weights: np.ndarray | None,
    gram: np.ndarray | None,
    ranked: bool,
) -> list[Candidate]:
    costs = None if weights is None or gram is None else pattern_costs(weights, gram, table)
    order = np.arange(len(table)) if costs is None else np.argsort(costs, kind="stable")
    least = None if costs is None else float(costs[order[0]])
    chosen = {name: (table == choice).all(1) for name, choice in {"ours": kept, **choices}.items()}
    listed = []
    for rank, place in enumerate(order, 1):
        cost = None if costs is None else float(costs[place])
        listed.append(
            Candidate(
                kept=tuple(table[place].tolist()),
                cost=cost,
                times=None if cost is None or least is None else _times(cost, least),
                rank=rank if cost is not None and ranked else None,
                **{
                    name: bool(chosen[name][place]) if name in chosen else False
                    for name in ("ours", "wanda", "magnitude")
                },
            )
        )
    return listed


def _shortened(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    """The cheapest, and the choices wherever they stand."""
    return tuple(
        one for place, one in enumerate(candidates) if place < SHOWN or one.ours or one.wanda or one.magnitude
    )


def _times(cost: float, least: float) -> float:
    if least > 0:
        return cost / least
    return 1.0 if cost <= 0 else math.inf


def _sentence(
    kept: np.ndarray, candidates: list[Candidate], basis: Basis, ranked: bool, with_weights: bool
) -> str:
    ours = next(one for one in candidates if one.ours)
    keeps = f"Kept {_listed(kept)}"
    if ours.cost is None:
        missing = "its input was not measured" if with_weights else "the weights are not here"
        return f"{keeps}; what other patterns would have cost cannot be said: {missing}."
    coupling = "coupling not recorded" + (
        "" if basis == "block of H" else ", nor correlation within the group"
    )
    others = [one for one in candidates if not one.ours]
    best = others[0]
    assert best.cost is not None
    if ours.cost > best.cost * (1 + _EQUAL):
        among = "the cheapest by itself" if ranked else "the cheapest found by a single swap"
        return (
            f"{keeps}, which costs {_more(ours.cost, best.cost)} keeping {_listed(best.kept)}, {among}: what the "
            f"other groups of the row removed may speak for it; {coupling}."
        )
    if best.cost <= ours.cost * (1 + _EQUAL):
        return f"{keeps}: {_instead(kept, best)} would cost the same; {coupling}."
    if ours.cost <= 0:
        return f"{keeps}, which costs nothing; {_instead(kept, best)} would cost something; {coupling}."
    times = best.cost / ours.cost
    much = "hardly more" if times < _HARDLY else f"{_times_words(times)} as much"
    return f"{keeps}: {_instead(kept, best)} would cost {much}; {coupling}."


def _more(cost: float, than: float) -> str:
    if than <= 0:
        return "more than nothing, the cost of"
    return "hardly more than" if cost / than < _HARDLY else f"{_times_words(cost / than)} as much as"


def _instead(kept: np.ndarray, other: Candidate) -> str:
    lost = np.flatnonzero(kept & ~np.array(other.kept))
    gained = np.flatnonzero(~kept & np.array(other.kept))
    if len(lost) == 1:
        return f"pruning {lost[0] + 1} instead of {gained[0] + 1}"
    return f"keeping {_listed(other.kept)} instead"


def _times_words(times: float) -> str:
    return f"{times:.1f} times" if times < 99.95 else f"{times:,.0f} times"


def _listed(kept: np.ndarray | tuple[bool, ...]) -> str:
    places = [str(place + 1) for place in np.flatnonzero(np.asarray(kept))]
    return places[0] if len(places) == 1 else f"{', '.join(places[:-1])} and {places[-1]}"
