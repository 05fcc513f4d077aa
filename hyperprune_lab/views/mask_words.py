"""The mask explorer in words.

Knows nothing about runs or pictures: it tells what ``mask_explorer`` gathered, with the numbers that are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperprune_lab.views import mask_group, theme
from hyperprune_lab.views.mask_source import OUTLIER_RATIO, MaskSource

if TYPE_CHECKING:
    from hyperprune_lab.views.mask_explorer import MaskExplorerData, Window

TOLD = 3
"""How many columns and rows of each extreme are named."""


def text(data: MaskExplorerData) -> str:
    """The mask in words."""
    source = data.source
    name = theme.NONE if data.module is None else theme.shown_name(data.module)
    if source is None:
        return "\n".join([f"{data.run}, event {data.seq}: {name}", data.reason])
    rows, columns = source.mask.shape
    lines = [
        f"{data.run}, event {data.seq}: {name}, {rows} × {columns} (outputs × inputs), "
        f"{source.mask.pattern.describe()}, decided at event {data.decided_at}"
    ]
    lines += [*_columns_told(source), *_rows_told(source), *_against_told(data, source)]
    shown = _SHOWN[data.shown]
    lines.append(f"shown: {_side_words(data)}; from afar {shown}, close up the mask itself")
    if data.window is not None:
        lines.append(_window_told(data.window, source))
    if data.card is not None:
        lines += mask_group.text(data.card)
    lines += [f"pinned, {line}" for card in data.pins for line in mask_group.text(card)[:1]]
    if source.has_weights:
        lines.append(f"weights: read from the model's files ({data.identity})")
    else:
        lines.append(f"masks only: {theme.shown_name(data.weights_reason, 400)}")
    return "\n".join(lines)


_SHOWN = {
    "deviation": "the input in each pixel whose keep-rate is furthest from n/m, over bands of rows",
    "kept score": "the share of the score (|w|·RMS)² that each block of weights kept",
    "diversity": "how diverse the patterns of each block of weights are",
    "shifted": "the input in each pixel whose keep-rates differ most, over bands of rows",
    "changed": "the share of each block's kept weights that differ",
}


def _side_words(data: MaskExplorerData) -> str:
    if data.side == "ours":
        return "this run's mask"
    return f"{data.label}'s mask" if data.side == "theirs" else f"this run's mask against {data.label}'s"


def _columns_told(source: MaskSource) -> list[str]:
    rate, rows = source.keep_rate, source.mask.shape[0]
    density = source.mask.pattern.density
    by_chance = (density * (1 - density) / max(1, rows)) ** 0.5
    order = np.argsort(rate, kind="stable")
    lines = [
        f"columns: keep-rates {theme.fmt_share(rate[order[0]])} to {theme.fmt_share(rate[order[-1]])} around "
        f"{theme.fmt_share(density)} (by chance ±{theme.fmt_share(by_chance)}); "
        f"most kept {_inputs(source, order[::-1][:TOLD])}; least {_inputs(source, order[:TOLD])}"
    ]
    if source.loudness is not None:
        found = source.outliers
        rule = f"RMS ≥ {OUTLIER_RATIO:g} × median"
        kept = f", kept by {theme.fmt_share(float(rate[found].mean()))} of the rows" if len(found) else ""
        lines.append(f"outlier inputs ({rule}): {len(found) or 'none'}{kept}")
    return lines


def _inputs(source: MaskSource, columns: np.ndarray) -> str:
    def one(column: int) -> str:
        loud = "" if source.loudness is None else f" (RMS {theme.fmt_ratio(float(source.loudness[column]))})"
        return f"{column} {theme.fmt_share(float(source.keep_rate[column]))}{loud}"

    return ", ".join(one(int(column)) for column in columns)


def _rows_told(source: MaskSource) -> list[str]:
    density = theme.fmt_share(source.mask.pattern.density)
    lines = [
        f"rows: each keeps exactly {density}, as the pattern has it, so the left ruler shows their errors"
    ]
    errors = source.row_errors
    if errors is None:
        return [f"{lines[0]}, which this run did not record"]
    over = "" if "row_energies" in source.evidence else " (over the mean row's energy)"
    order = np.argsort(np.nan_to_num(errors), kind="stable")[::-1][:TOLD]
    worst = ", ".join(f"{int(row)} {theme.fmt_error(float(errors[row]))}" for row in order)
    return [f"{lines[0]}{over}: worst {worst}; median {theme.fmt_error(float(np.nanmedian(errors)))}"]


def _against_told(data: MaskExplorerData, source: MaskSource) -> list[str]:
    if source.agreement is None:
        return [] if not source.other.problem else [f"no comparison: {source.other.problem}"]
    found = source.agreement
    differ = (
        f"{theme.fmt_count(round(found.groups * (1 - found.patterns)))} of {theme.fmt_count(found.groups)}"
    )
    return [
        f"against {data.label}: {theme.fmt_share(found.patterns)} of groups alike ({differ} differ), "
        f"{theme.fmt_share(found.weights)} of kept weights in common"
    ]


def _window_told(window: Window, source: MaskSource) -> str:
    top, left, bottom, right = window
    width = source.mask.pattern.group
    rate = source.keep_rate[left:right]
    return (
        f"in view: rows {top} to {bottom - 1}, inputs {left} to {right - 1} (groups {left // width} to "
        f"{(right - 1) // width}), column keep-rates {theme.fmt_share(float(rate.min()))} to "
        f"{theme.fmt_share(float(rate.max()))}"
    )
