"""One group of a mask on a card: its weights, every pattern by cost and probability, who chose which, one sentence.

Knows nothing about where on the mask a person looks; what choices cost comes from ``analysis.groups``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperprune_lab.analysis.groups import Candidate, GroupExplanation, explain_from
from hyperprune_lab.analysis.network import Pinned
from hyperprune_lab.views import theme
from hyperprune_lab.views.mask_source import MaskSource

PATTERNS_TOLD = 6
"""Patterns in words; the card lists them all."""


@dataclass(frozen=True)
class GroupCard:
    """``other`` is the pattern of the mask that this one is held against, None if there is none.

    ``probabilities`` are the network's at the end, by pattern (aligned with ``why.candidates``) or, where a group has
    too many patterns, by position (``by_position``); None where they were not recorded for this group. ``recorded``
    are the groups of the linear that have them.
    """

    why: GroupExplanation
    label: str
    other: tuple[bool, ...] | None
    probabilities: tuple[float, ...] | None
    by_position: bool
    recorded: tuple[tuple[int, int], ...]


def group_card(source: MaskSource, row: int, group: int) -> GroupCard:
    """Explain the choice of one group; the place is moved to the nearest that exists.

    Raises:
        UserError: the record is damaged.
    """
    rows, columns = source.mask.shape
    width = source.mask.pattern.group
    row, group = min(max(row, 0), rows - 1), min(max(group, 0), columns // width - 1)
    why = explain_from(
        source.mask, source.evidence, source.input_arrays, source.module, row, group, source.sources
    )
    codes = source.codes(slice(row, row + 1), slice(group * width, (group + 1) * width))[0]
    other = tuple((codes >= 2).tolist()) if source.other.mask is not None else None
    known = source.pinned
    shares, by_position = _probabilities(known, why, source)
    return GroupCard(
        why, source.other.label, other, shares, by_position, () if known is None else known.groups
    )


def _probabilities(
    known: Pinned | None, why: GroupExplanation, source: MaskSource
) -> tuple[tuple[float, ...] | None, bool]:
    if known is None or (why.row, why.group) not in known.groups:
        return None, False
    last = known.probabilities[-1, known.groups.index((why.row, why.group))]
    if not source.mask.pattern.enumerable:
        return tuple(float(value) for value in last), True
    table = np.array([one.kept for one in why.candidates])
    return tuple(float(last[place]) for place in source.mask.pattern.ids(table)[:, 0]), False


def payload(card: GroupCard, pinned: bool = False) -> dict[str, Any]:
    """What the browser draws of a card: a title, two tables as text (a header first), the sentence, a note."""
    why = card.why
    return {
        "row": why.row,
        "group": why.group,
        "title": ("pinned: " if pinned else "") + place_words(why),
        "tables": [_positions(card), _patterns(card)],
        "sentence": why.sentence,
        "note": _note(card),
    }


def _positions(card: GroupCard) -> list[list[str]]:
    """One line a position: input, weight, RMS, score, probability where it is by position, kept or not."""
    why = card.why
    columns: list[tuple[str, list[str]]] = [
        ("input", [str(why.columns[0] + place) for place in range(len(why.kept))])
    ]
    for name, values, form in (
        ("weight", why.weights, theme.fmt_error),
        ("RMS", why.rms, theme.fmt_error),
        ("|w|·RMS", why.scores, theme.fmt_error),
        ("p", card.probabilities if card.by_position else None, theme.fmt_share),
    ):
        if values is not None:
            columns.append((name, [form(value) for value in values]))
    columns.append(("", ["kept" if kept else "" for kept in why.kept]))
    return [[name for name, _ in columns], *map(list, zip(*(cells for _, cells in columns), strict=True))]


def _patterns(card: GroupCard) -> list[list[str]]:
    """One line a pattern, cheapest first: cost, over the cheapest's, probability, who chose it."""
    why = card.why
    with_costs = why.basis != "nothing"
    with_shares = card.probabilities is not None and not card.by_position
    head = ["pattern", *(["cost", "× least"] if with_costs else []), *(["p"] if with_shares else []), ""]
    lines = [head]
    # Without costs there is no order: what was chosen comes first.
    order = sorted(
        range(len(why.candidates)),
        key=lambda place: not with_costs and not chosen_by(card, why.candidates[place]),
    )
    for place in order:
        one = why.candidates[place]
        costs = [theme.fmt_error(one.cost), times_words(one.times)] if with_costs else []
        shares = [theme.fmt_share(card.probabilities[place])] if with_shares and card.probabilities else []
        bits = "".join("1" if kept else "0" for kept in one.kept)
        lines.append([glyphs(bits), *costs, *shares, ", ".join(chosen_by(card, one))])
    return lines


def _note(card: GroupCard) -> str:
    """What the tables leave open."""
    told = []
    rest = card.why.patterns - len(card.why.candidates)
    if rest:
        told.append(f"{theme.fmt_count(rest)} further patterns are not listed.")
    if card.why.basis == "diagonal of H":
        told.append("Costs leave out correlation between inputs, which was not recorded.")
    if card.probabilities is None and card.recorded:
        told.append(
            f"The network's probabilities were recorded for {len(card.recorded)} groups: p goes to the next."
        )
    return " ".join(told)


def glyphs(bits: str) -> str:
    """A pattern as it is drawn: ``1100`` as ``■■··``."""
    return bits.replace("1", "■").replace("0", "·")


def chosen_by(card: GroupCard, one: Candidate) -> list[str]:
    """Who chose this pattern: ``kept`` is this run."""
    by = [
        name
        for name, chose in (("kept", one.ours), ("Wanda", one.wanda), ("magnitude", one.magnitude))
        if chose
    ]
    if card.other == one.kept and card.label and card.label not in by:
        by.append(card.label)
    return by


def place_words(why: GroupExplanation) -> str:
    """``row 3, group 5 (inputs 20 to 23)``."""
    first, last = why.columns
    return f"row {why.row}, group {why.group} (inputs {first} to {last - 1})"


def text(card: GroupCard) -> list[str]:
    """The card in words, a line each."""
    why = card.why
    lines = [f"{place_words(why)}: {why.sentence}"]
    for place, kept in enumerate(why.kept):
        told = [f"{place + 1}: input {why.columns[0] + place}, {'kept' if kept else 'pruned'}"]
        if why.weights is not None:
            told.append(f"weight {theme.fmt_number(why.weights[place])}")
        if why.rms is not None:
            told.append(f"activation RMS {theme.fmt_number(why.rms[place])}")
        if why.scores is not None:
            told.append(f"|w|·RMS {theme.fmt_number(why.scores[place])}")
        if card.by_position and card.probabilities is not None:
            told.append(f"probability {theme.fmt_share(card.probabilities[place])}")
        lines.append("  " + ", ".join(told))
    shown = [
        place for place, one in enumerate(why.candidates) if place < PATTERNS_TOLD or chosen_by(card, one)
    ]
    lines += [f"  {_pattern_words(card, place)}" for place in shown]
    if len(shown) < why.patterns:
        lines.append(f"  {theme.fmt_count(why.patterns - len(shown))} further patterns")
    if card.probabilities is None and card.recorded:
        where = ", ".join(f"row {row} group {group}" for row, group in card.recorded)
        lines.append(f"  probabilities were recorded for {where}")
    return lines


def _pattern_words(card: GroupCard, place: int) -> str:
    one = card.why.candidates[place]
    told = [f"pattern {''.join('1' if kept else '0' for kept in one.kept)}"]
    if one.cost is not None:
        told.append(f"costs {theme.fmt_number(one.cost)} ({times_words(one.times)})")
    if card.probabilities is not None and not card.by_position:
        told.append(f"probability {theme.fmt_share(card.probabilities[place])}")
    by = chosen_by(card, one)
    return ", ".join(told) + (f": {', '.join(by)}" if by else "")


def times_words(times: float | None) -> str:
    """A cost over the cheapest one's: ``1.2×``."""
    if times is None:
        return theme.NONE
    return "∞" if times == float("inf") else f"{theme.fmt_error(times)}×"
