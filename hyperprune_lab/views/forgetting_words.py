"""Forgetting in words: the sums above the picture, and its text twin.

Knows nothing about runs: it words what ``forgetting`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from hyperprune_lab.analysis import forgetting as analysis
from hyperprune_lab.analysis.forgetting import FINAL
from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from hyperprune_lab.views.forgetting import ForgettingData, ReferenceMatrix


def after_label(after: int) -> str:
    """The moment of a row, in words."""
    return "after the final stage" if after == FINAL else f"after block {after}"


def lines_of(data: ForgettingData) -> list[tuple[str, str, str]]:
    """The sums above the picture: label, number, and what it means; the same in every form of the view."""
    summed = data.summary
    if summed.average_forgetting is None:
        return [("average forgetting", theme.NOT_YET, summed.sentence)]
    assert summed.after is not None
    when = f"of earlier groups would now be decided differently, {after_label(summed.after)}"
    told = [("average forgetting", theme.fmt_share(summed.average_forgetting), when)]
    if summed.worst is not None and summed.worst_changed:
        told.append(
            (
                "forgotten most",
                f"block {summed.worst}",
                f"{theme.fmt_share(summed.worst_changed)} of its groups",
            )
        )
    gained = summed.backward_transfer if theme.known(summed.backward_transfer) else None
    number = theme.NONE if gained is None else f"{theme.fmt_signed(100 * gained)} points"
    told.append(("backward transfer", number, analysis.in_words(gained)))
    return [*told, _perplexity_line(data)]


def _perplexity_line(data: ForgettingData) -> tuple[str, str, str]:
    label = "perplexity, stored | regenerated"
    if data.stored is None:
        return label, theme.NOT_YET, "measured at the end of the run"
    stored = theme.fmt_number(data.stored)
    if data.regenerated is None:
        return (
            label,
            f"{stored} | {theme.NONE}",
            "hyperprune-lab regenerate measures the second",
        )
    change = data.regenerated / data.stored - 1
    told = "the masks of now are worth the same"
    if abs(change) >= 5e-4:
        told = (
            f"the masks of now are {'worse' if change > 0 else 'better'}, by {theme.fmt_share(abs(change))}"
        )
    return label, f"{stored} | {theme.fmt_number(data.regenerated)}", told


def message_of(data: ForgettingData) -> str | None:
    """What stands in place of the picture, where there is none."""
    if not data.applies:
        name = theme.method_style(data.method).label if data.method else "This method"
        return (
            f"{analysis.NOTHING_TO_FORGET} {theme.shown_name(name, 40)} decides every layer from that layer alone. "
            "Runs of HyperPrune have something to show here."
        )
    return None


def text(data: ForgettingData) -> str:
    """The view in words."""
    message = message_of(data)
    lines = [f"{theme.shown_name(data.run)}, event {data.seq}: does the network still know what it decided?"]
    if message is not None:
        return "\n".join([*lines, message])
    weight = theme.NONE if data.continual_weight is None else theme.fmt_tick(data.continual_weight)
    lines.append(
        f"weight of not forgetting, λ2 = {weight}; {len(data.asked)} of {len(data.rows)} rows measured"
    )
    lines += [f"{label}: {number} ({words})" for label, number, words in lines_of(data)]
    lines.append(analysis.NOTE)
    measure = data.measure
    ends = f"{measure.form(data.domain[0])} to {measure.form(data.domain[1])}"
    lines.append(f"{measure.label}; scale {'fitted to' if data.fitted else 'from'} {ends}, {measure.scale}")
    if data.last is not None:
        lines.append(
            f"{after_label(data.rows[data.last])}, by block: {_by_block(data, data.values[data.last])}"
        )
    for name, block in (("worst", data.worst), ("selected", data.selected)):
        if block is not None:
            lines.append(f"{name}, block {block}: {_told_curve(data, block)}")
    if data.reference is not None:
        lines += _compared(data, data.reference)
    return "\n".join(lines)


def _by_block(data: ForgettingData, row: Float[np.ndarray, " blocks"]) -> str:
    return " · ".join(f"{block}: {data.measure.form(v)}" for block, v in enumerate(row) if not np.isnan(v))


def _told_curve(data: ForgettingData, block: int) -> str:
    points = data.curve(block)
    if not points:
        return theme.NOT_YET
    told = " · ".join(f"{after_label(data.rows[place])[6:]}: {data.measure.form(v)}" for place, v in points)
    if data.measure.name != "error_rel":
        return f"after {told}"
    place = points[-1][0]
    errors = (
        f"error {theme.fmt_number(data.now[place, block])}, {theme.fmt_number(data.then[place, block])} then"
    )
    return f"after {told} ({errors})"


def _compared(data: ForgettingData, held: ReferenceMatrix) -> list[str]:
    name = theme.shown_name(held.run)
    lines = [f"reference: {name}. {held.sentence}"]
    if held.values is None or held.difference is None or data.last is None:
        return lines
    lines.append(f"reference, same row, by block: {_by_block(data, held.values[data.last])}")
    row = held.difference[data.last]
    told = " · ".join(f"{b}: {data.measure.form_difference(v)}" for b, v in enumerate(row) if not np.isnan(v))
    return [*lines, f"this run minus the reference: {told or theme.NOT_YET}"]
