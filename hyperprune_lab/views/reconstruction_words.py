"""What the reconstruction view says: its sentences, its text twin, what the browser gets, and its table.

Knows nothing about runs: it puts into words what ``reconstruction`` gathered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hyperprune_lab.analysis.linears import local_name
from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from hyperprune_lab.views.reconstruction import Panel, Parts, ReconstructionData, Shares, WorstRow

OURS = "this run"
_SHORT = 11
FORMULA = "W x_dense − Ŵ x_pruned = W (x_dense − x_pruned) + (W − Ŵ) x_pruned"
NO_SUM = "inherited is the first term's energy, local the second's; without the cross term they do not add up"


def headline(data: ReconstructionData) -> str:
    """The mean error beside the other masks', and the worst linear."""
    if data.worst is None:
        return "No linear has been decided yet."
    so_far = "" if data.finished else f"So far {data.decided} of {data.linears} linears: "
    mean = "Mean relative error" if data.finished else "mean relative error"
    place = f"worst {place_of(data.worst.module, data.worst.block)} with {theme.fmt_error(data.worst.worst)}"
    return f"{so_far}{mean} {theme.fmt_error(data.means.get(OURS))}{_beside(data, data.means)}; {place}."


def _beside(data: ReconstructionData, values: Mapping[str, float]) -> str:
    told = [
        f"{theme.method_style(name).label} {theme.fmt_error(values[name])}"
        for name in data.references
        if name in values
    ]
    return f" ({', '.join(told)})" if told else ""


def place_of(module: str, block: int | None) -> str:
    """A linear in few words: ``block 3 mlp.up_proj``."""
    return theme.shown_name(module if block is None else f"block {block} {local_name(module, block)}", 60)


def short_place(module: str, block: int | None) -> str:
    """The same in a few letters, for lists: ``3 up_proj``, ``3 down #12`` for an expert."""
    *path, name = (module if block is None else local_name(module, block)).split(".")
    expert = next((f" #{part}" for part in path if part.isdigit()), "")
    if len(name) + len(expert) > _SHORT:
        name = name.removesuffix("_proj")
    shown = theme.shown_name(name, max(5, _SHORT - len(expert)))
    return f"{'' if block is None else f'{block} '}{shown}{expert}"


def sum_of(parts: Parts) -> str:
    """The parts with their cross term, in numbers."""
    sign = "−" if parts.cross < 0 else "+"
    return (
        f"{theme.fmt_number(parts.inherited)} inherited + {theme.fmt_number(parts.local)} local "
        f"{sign} {theme.fmt_number(abs(parts.cross))} cross = {theme.fmt_number(parts.total)} total"
    )


def about_parts(data: ReconstructionData) -> str:
    """Why there are no parts, if there are none."""
    if data.parts:
        return ""
    if data.focus is None:
        return "Select a linear to see its parts."
    if data.audit == "none":
        return f"{theme.NONE} (this run has no audit of the pruned model)"
    if data.audit == "not yet":
        return "not yet: the audit measures them once all masks are in place"
    return f"{theme.NONE} (not measured for this linear)"


def about_pairs(data: ReconstructionData) -> str:
    """How errors on held-out text compare."""
    if data.median_ratio is None:
        return f"{theme.NONE} (no held-out text was measured)" if data.decided else theme.NOT_YET
    return f"held-out over calibration: median {theme.fmt_ratio(data.median_ratio)} of {data.paired} linears"


def about_shares(shares: Shares) -> str:
    """Sums of either sign, and what is not listed."""
    return (
        f"positive {_signed(shares.positive)}, negative {_signed(shares.negative)}; "
        f"{theme.fmt_count(shares.others)} others {_signed(shares.rest)}"
    )


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else ''}{theme.fmt_share(share)}"


def payload(data: ReconstructionData) -> dict[str, Any]:
    """What the browser draws."""
    return {
        "method": data.method,
        "references": data.references,
        "domain": data.domain,
        "fitted": data.fitted,
        "blocks": data.blocks,
        "headline": headline(data),
        "provisional": data.provisional,
        "panels": [
            {
                "name": panel.name,
                "experts": panel.experts,
                "ours": [[p.block, p.value, p.worst, p.module] for p in panel.ours],
                **{
                    name: [[p.block, p.value] for p in panel.curves.get(name, ())] for name in data.references
                },
            }
            for panel in data.panels
        ],
        "compensated": [vars(one) for one in data.compensated],
        "focus": data.focus,
        "focus_errors": data.focus_errors,
        "parts_domain": data.parts_domain,
        "focus_block": data.places.get(data.focus or "", (None, None))[1],
        "marked": [data.places[module] for module in data.selection if module in data.places],
        "parts": [
            {**vars(parts), "sum": sum_of(parts), "place": _short(data, parts.module)} for parts in data.parts
        ],
        "more": data.unseen,
        "about_parts": about_parts(data),
        "formula": FORMULA,
        "no_sum": NO_SUM,
        "rows": [vars(row) for row in data.rows],
        "shares": None
        if data.shares is None
        else {"channels": data.shares.channels, "about": about_shares(data.shares)},
        "pairs": [{**vars(pair), "place": _short(data, pair.module)} for pair in data.pairs],
        "about_pairs": about_pairs(data),
    }


def _short(data: ReconstructionData, module: str) -> str:
    return short_place(module, data.places.get(module, (None, None))[1])


def text(data: ReconstructionData) -> str:
    """The view in words."""
    lines = [
        f"{data.run}, event {data.seq}: relative output error by depth, on calibration text",
        headline(data),
    ]
    if data.provisional:
        lines.append("a later stage may still change these masks")
    for panel in data.panels:
        if panel.ours:
            lines += _panel_lines(data, panel)
        else:
            lines.append(f"{theme.shown_name(panel.name)}: {theme.NOT_YET}")
    if data.compensated:
        lines.append("whole block's output after compensation (another quantity, inherits earlier errors):")
    for one in data.compensated:
        stage = theme.shown_name(one.stage)
        lines.append(f"  {stage}, least squares: {_values(one.least_squares)}")
        lines.append(f"  {stage}, refit: {_values(one.refit)}")
    if data.focus is not None:
        lines += _focus_lines(data, data.focus)
    lines.append(about_pairs(data))
    lines += [
        f"  {place_of(pair.module, pair.block)}: calibration {theme.fmt_error(pair.calibration)}, held-out "
        f"{theme.fmt_error(pair.held_out)}, {theme.fmt_ratio(pair.ratio)}"
        for pair in data.pairs
    ]
    return "\n".join(lines)


def _panel_lines(data: ReconstructionData, panel: Panel) -> list[str]:
    name = theme.shown_name(panel.name) + (
        f" (median of {panel.experts} experts)" if panel.experts > 1 else ""
    )
    lines = [f"{name}, by block: {_values([(p.block, p.value) for p in panel.ours])}"]
    if panel.experts > 1:
        lines.append(f"  worst expert: {_values([(p.block, p.worst) for p in panel.ours])}")
    for method in data.references:
        if method in panel.curves:
            label = theme.method_style(method).label
            lines.append(f"  {label}: {_values([(p.block, p.value) for p in panel.curves[method]])}")
    return lines


def _values(series: Sequence[tuple[int, float]]) -> str:
    return " · ".join(f"{block}: {theme.fmt_error(value)}" for block, value in series) or theme.NOT_YET


def _focus_lines(data: ReconstructionData, focus: str) -> list[str]:
    lines = [f"selected: {theme.shown_name(focus)}"]
    if OURS in data.focus_errors:
        lines[0] += f", error {theme.fmt_error(data.focus_errors[OURS])}{_beside(data, data.focus_errors)}"
    if data.parts:
        lines.append(f"inside the pruned model, on held-out text: {FORMULA}")
        lines.append(f"  ({NO_SUM})")
        lines += [f"  {theme.shown_name(parts.module)}: {sum_of(parts)}" for parts in data.parts]
    else:
        lines.append(f"local, inherited and total error: {about_parts(data)}")
    if data.rows:
        told = [f"{row.row}: {row_told(row)}" for row in data.rows]
        lines.append(f"worst output rows (share of the error): {'; '.join(told)}")
    if data.shares is not None:
        told = [f"{channel}: {_signed(share)}" for channel, share in data.shares.channels]
        lines.append(f"signed shares of input channels: {', '.join(told)}; {about_shares(data.shares)}")
    return lines


def row_told(row: WorstRow) -> str:
    """``3.2 %, 9.2× the mean row, own error 0.31``."""
    own = "" if row.of_own is None else f", own error {theme.fmt_error(row.of_own)}"
    return f"{theme.fmt_share(row.share)}, {theme.fmt_number(row.times_mean)}× the mean row{own}"


def table(data: ReconstructionData) -> list[dict[str, Any]]:
    """One row per block, kind and method, for spreadsheets."""
    return [
        {
            "kind": panel.name,
            "block": point.block,
            "method": method,
            "error_rel": point.value,
            "worst_error_rel": point.worst,
            "worst_module": point.module,
            "linears": point.count,
        }
        for panel in data.panels
        for method, curve in panel.curves.items()
        for point in curve
    ]
