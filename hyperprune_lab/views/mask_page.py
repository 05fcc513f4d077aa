"""The mask explorer as a page gets it: a small payload, the coarsest tiles, and what a page without a kernel needs.

Knows nothing about runs or about how tiles are asked for.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from hyperprune_lab.analysis.linears import local_name
from hyperprune_lab.analysis.masktiles import TILE
from hyperprune_lab.analysis.overviewtiles import BLOCK_LEVEL
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.views import mask_group, theme
from hyperprune_lab.views.mask_source import (
    AGAINST,
    MOST_COLORED_PATTERNS,
    PATTERN_COLORS,
    SHIFT_REACH,
    SIDES,
    WEIGHT_COLUMNS,
    WEIGHT_ROWS,
    MaskSource,
    Side,
)

if TYPE_CHECKING:
    from hyperprune_lab.views.mask_explorer import MaskExplorerData

EMBEDDED_BYTES = 200_000
"""What a page without a kernel holds of the mask itself, at most: all of it, or the tile around the focus."""

_NAMES = {
    "wanda": "against Wanda",
    "magnitude": "against magnitude",
    "reference": "against the reference run",
}


def payload(data: MaskExplorerData) -> dict[str, Any]:
    """What the browser draws; tiles come by request. ``group`` is the card, ``pins`` are the pinned ones."""
    source = data.source
    common = {
        "module": data.module,
        "status": data.status,
        "reason": data.reason,
        "measure": data.measure,
        "shape": data.shape,
        "siblings": [[name, theme.shown_name(local_name(name, data.block), 34)] for name in data.siblings],
        "same": [[name, f"block {block}"] for block, name in data.same],
        "against": data.against,
        "choices": [[name, _NAMES.get(name, "compare with nothing")] for name in AGAINST],
        "sides": [["ours", "this run"], ["theirs", data.label], ["difference", "difference"]],
        "other": False,
        "problem": "",
        "weights_reason": "",
    }
    if source is None:
        return common
    pattern = source.mask.pattern
    sides = SIDES if source.other.mask is not None else SIDES[:1]
    return {
        **common,
        "version": source.name,
        "keep": pattern.keep,
        "width": pattern.group,
        "patterns": pattern_colors(pattern),
        "levels": source.tiles.levels,
        "shown": {side: source.shown(data.measure, side) for side in sides},
        "legend": {
            **{side: _legend(data, source, side) for side in sides},
            "rulers": _rulers_words(data, source),
        },
        "other": source.other.mask is not None,
        "problem": source.other.problem,
        "weights": source.has_weights,
        "weights_reason": data.weights_reason,
        "score_domain": source.score_domain,
        "outliers": source.outliers,
        "tiles": bases(data),
        "group": None if data.card is None else mask_group.payload(data.card, data.card in data.pins),
        "pins": [mask_group.payload(card, pinned=True) for card in data.pins],
    }


def pattern_colors(pattern: NMPattern) -> dict[str, str]:
    """A color for each pattern, by its bits; empty where there are more patterns than colors can tell."""
    if pattern.count > MOST_COLORED_PATTERNS:
        return {}
    names = ["".join("1" if kept else "0" for kept in row) for row in pattern.table()]
    return dict(zip(names, PATTERN_COLORS, strict=False))


def _legend(data: MaskExplorerData, source: MaskSource, side: Side) -> dict[str, Any]:
    """What tiles of one side mean: far out on a color bar, close up as chips of a code's color and words."""
    density = theme.fmt_share(source.mask.pattern.density)
    shown = source.shown(data.measure, side)
    labels = {
        "deviation": f"keep-rate of inputs less {density}",
        "shifted": f"keep-rate of inputs less {data.label}'s",
        "changed": "share of kept weights that differ",
        "kept score": "share of (|w|·RMS)² that is kept",
        "diversity": "how diverse patterns are (0 alike, 1 mixed)",
    }
    chips: list[list[Any]]
    patterns = pattern_colors(source.mask.pattern)
    if side == "difference":
        chips = [[1, "▲ only this run"], [2, f"▼ only {data.label}"], [3, "■ both"], [0, "· neither"]]
    elif data.measure == "pattern" and patterns:
        chips = [[color, mask_group.glyphs(bits)] for bits, color in patterns.items()]
    elif data.measure == "pattern" and data.label:
        chips = [[3, f"group as {data.label}'s"], ["above", "group decided otherwise"]]
    else:
        chips = [[1 if side == "ours" else 2, "kept"], [0, "· pruned"]]
    return {
        "label": labels[shown],
        "signed": shown in ("deviation", "shifted"),
        "reach": {"deviation": source.reach, "shifted": SHIFT_REACH}.get(shown, 1.0),
        "chips": chips,
        "levels": [_level_words(data, source, side, level) for level in range(source.tiles.levels)],
    }


def _level_words(data: MaskExplorerData, source: MaskSource, side: Side, level: int) -> str:
    """What stands behind a pixel of an overview tile, and how far chance alone would carry its value."""
    rows, columns = source.overview.rows_behind(level), 1 << level
    if source.shown(data.measure, side) not in ("deviation", "shifted"):
        block = 1 << max(level, BLOCK_LEVEL)
        return f"over blocks of {block} × {block} weights"
    inputs = f"the furthest of {columns} inputs" if columns > 1 else "each input"
    by_chance = theme.fmt_error(2 * source.overview.chance(level))
    return f"{inputs}, over {rows} rows (±{by_chance} by chance)"


def _rulers_words(data: MaskExplorerData, source: MaskSource) -> str:
    density = theme.fmt_share(source.mask.pattern.density)
    loud = "▾ outliers" if len(source.outliers) else "no outliers"
    errors = "row errors, log 0.001 to 1" if source.row_errors is not None else "row errors: not recorded"
    theirs = f", – {data.label}" if source.other.mask is not None else ""
    return f"Above: keep-rate of inputs ({loud}{theirs}). Left: {errors} (each row keeps {density})."


def bases(data: MaskExplorerData) -> list[list[Any]]:
    """The coarsest tile of each side, so that nothing is ever blank.

    Plane (what it shows, of which side), level, place, height, width, what it shows, and its bytes in base64.
    """
    source = data.source
    assert source is not None
    level = source.tiles.levels - 1
    found = []
    for side in SIDES if source.other.mask is not None else SIDES[:1]:
        tile = source.coarsest(data.measure, side)
        found.append(
            _piece(f"{tile.measure}:{side}", level, 0, 0, tile.values.shape, tile.measure, source.coded(tile))
        )
    return found


def embedded(data: MaskExplorerData) -> dict[str, Any]:
    """What a page without a kernel holds beyond the payload: rulers, the mask around the focus, its weights."""
    source = data.source
    if source is None or data.card is None:
        return {}
    row, column = data.card.why.row, data.card.why.columns[0]
    corners = [(row // TILE, column // TILE)]
    if 2 * source.mask.packed.nbytes <= EMBEDDED_BYTES:
        down, across = source.tiles.grid(0)
        corners = [(y, x) for y in range(down) for x in range(across)]
    pieces = []
    for y, x in corners:
        shape, part = source.bits(y, x)
        pieces.append(_piece("bits", 0, y, x, shape, "bits", part))
    if source.has_weights:
        y, x = row // WEIGHT_ROWS, column // WEIGHT_COLUMNS
        shape, part = source.weights(y, x)
        pieces.append(_piece("weights", 0, y, x, shape, "weights", part))
    return {"tiles": [*bases(data), *pieces], "rulers": [_text(part) for part in source.rulers()]}


def _piece(
    plane: str, level: int, y: int, x: int, shape: tuple[int, ...], told: str, part: bytes
) -> list[Any]:
    return [plane, level, y, x, *shape, told, _text(part)]


def _text(part: bytes) -> str:
    return base64.b64encode(part).decode("ascii")
