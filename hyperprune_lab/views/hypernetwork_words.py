"""The hypernetwork in words: settings, notes beside the pictures, and the text twin.

Knows nothing about runs: it words what ``hypernetwork`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperprune_lab.analysis.histogram import entropy_share
from hyperprune_lab.analysis.network import Boundary, NetworkWarning
from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from hyperprune_lab.views.hypernetwork import HypernetworkData

LABELS = {
    "total": "total",
    "reconstruction": "reconstruction",
    "outlier": "outlier reward, −λ1 · share",
    "continual": "not forgetting, λ2 · KL",
    "divergence": "KL to the dense model, nats per token",
}
_MOST_TOLD = 12
_MOST_ALIKE = 2
PRIORS = {"none": "no prior", "sparsegpt": "SparseGPT as prior", "descent": "coordinate descent as prior"}


def message_of(data: HypernetworkData) -> str | None:
    """What stands in place of the picture, where there is none."""
    if data.applies:
        return None
    name = theme.method_style(data.method).label if data.method else "This method"
    return (
        f"No hypernetwork: {theme.shown_name(name, 40)} decides by a fixed rule and learns nothing. "
        "Runs of HyperPrune have something to show here."
    )


def facts_of(data: HypernetworkData) -> list[str]:
    """The settings that matter for what is seen, and how far training is."""
    settings, training = data.settings, data.settings.get("training", {})
    prior = str(settings.get("prior", ""))
    told = [
        f"preset {settings['preset']}" if "preset" in settings else "",
        f"λ1 = {theme.fmt_tick(training['outlier_weight'])}" if "outlier_weight" in training else "",
        f"λ2 = {theme.fmt_tick(training['continual_weight'])}" if "continual_weight" in training else "",
        PRIORS.get(prior, f"{theme.shown_name(prior, 20).upper()} as prior") if prior else "",
        "sampled masks" if training.get("sampled") else "expected error" if "sampled" in training else "",
        f"step {len(data.steps)} of {max([len(data.steps), *(one.stop for one in data.stretches)])}",
    ]
    if 0 < len(data.drawn) < len(data.steps) and not data.zoomed:
        told.append(f"{len(data.drawn)} of them drawn")
    return [one for one in told if one]


def warnings_of(data: HypernetworkData) -> list[str]:
    """What speaks against the network; the same thing said of many blocks is said once."""
    by_kind: dict[str, list[NetworkWarning]] = {}
    for warning in data.warnings:
        by_kind.setdefault(warning.kind, []).append(warning)
    told = []
    for found in by_kind.values():
        if len(found) <= _MOST_ALIKE:
            told += [one.message for one in found]
        else:
            told.append(f"{found[0].message.rstrip('.')} (and so in {len(found) - 1} more blocks).")
    return told


def histogram_note(data: HypernetworkData) -> str:
    """Whose patterns are counted, and how even they are."""
    if data.focus is None:
        return "Select a module to see its patterns."
    if not data.histogram_of:
        return f"{theme.shown_name(data.focus, 36)}: not decided yet."
    more = f" and {len(data.histogram_of) - 1} more" if len(data.histogram_of) > 1 else ""
    whose = f"{theme.shown_name(data.histogram_of[0], 36)}{more}"
    if data.histogram.empty:
        return f"{whose}: too many patterns to count."
    counted = data.histogram.groupby("pattern")
    evenness = [
        f"{n}, evenness {theme.fmt_share(entropy_share(part['count'].to_numpy()))}" for n, part in counted
    ]
    return f"{whose}: {'; '.join(evenness)}"


def pinned_note(data: HypernetworkData) -> str:
    """Which groups are shown, or why none."""
    if data.focus is None:
        return "Select a module to see some of its groups."
    if data.focus not in data.histogram_of:
        return "Recorded when its block is decided."
    if not data.pinned:
        return "This run did not record the probabilities of single groups."
    differs = "; ≠: the network preferred another" * any(one.first_choice != one.final for one in data.pinned)
    if data.pinned[0].by_position:
        return f"how surely each position is kept; kept ones in color{differs}"
    return f"chance of each pattern; the final one in color{differs}"


def text(data: HypernetworkData) -> str:
    """The view in words."""
    lines = [f"{theme.shown_name(data.run)}, event {data.seq}: is it learning, and has it made up its mind?"]
    message = message_of(data)
    if message is not None:
        return "\n".join([*lines, message])
    lines.append(" · ".join(facts_of(data)))
    lines += [f"warning: {message}" for message in warnings_of(data)]
    measured = [one for one in data.stretches if one.start < len(data.steps)]
    if not measured:
        lines.append(f"steps: {theme.NOT_YET}")
    else:
        lines += _now(data)
        lines += _by_stretch(data, measured)
    if data.focus is not None:
        lines.append(f"selected: {theme.shown_name(data.focus)}")
    lines.append(f"patterns of {histogram_note(data)}")
    if not data.histogram.empty:
        shares = data.histogram.nlargest(6, "share")
        uniform = 1 / max(1, int((data.histogram["pattern"] == data.histogram["pattern"].iloc[0]).sum()))
        told = " · ".join(
            f"{kept} {theme.fmt_share(share)}"
            for kept, share in zip(shares["kept"], shares["share"], strict=True)
        )
        lines.append(f"  most frequent: {told} (equal shares: {theme.fmt_share(uniform)}, evenness 100 %)")
    lines.append(f"pinned groups: {pinned_note(data)}")
    for one in data.pinned:
        chance = theme.fmt_share(one.certainty)
        differs = (
            "" if one.first_choice == one.final else f"; the network itself preferred {one.first_choice}"
        )
        lines.append(f"  {one.name}: final {one.final}, chance {chance} at step {one.steps[-1]}{differs}")
    for found in data.maps:
        axes = " and ".join(theme.fmt_share(share) for share in found.explained)
        state = "collapsed" if found.collapsed else f"spread {theme.fmt_share(found.spread)} of their size"
        lines.append(
            f"{found.kind} embeddings ({found.pattern}): two axes show {axes} of their variance; {state}"
        )
    if not data.maps:
        lines.append(f"embeddings: {no_maps(data)}")
    return "\n".join(lines)


def no_maps(data: HypernetworkData) -> str:
    """Why there is no map of embeddings."""
    chooser = data.settings.get("chooser", {})
    if chooser and not chooser.get("layer_embedding") and not chooser.get("component_embedding"):
        return "switched off in this preset."
    return "saved when the first block is done." if not data.finished else "none were recorded."


def _now(data: HypernetworkData) -> list[str]:
    place = data.steps.iloc[-1]
    block = "the whole model" if pd.isna(place["block"]) else f"block {int(place['block'])}"
    values = data.terms.iloc[-1]
    parts = [
        f"{LABELS[n].split(',')[0]} {theme.fmt_number(values[n])}" for n in LABELS if not np.isnan(values[n])
    ]
    lines = [f"newest step, {int(place['step'])} of {block}: {'; '.join(parts)}"]
    shares = [f"temperature {theme.fmt_number(data.last('temperature'))}", f"entropy {_entropy(data, -1)}"]
    shares.append(f"same as Wanda {theme.fmt_share(data.last('agreement_wanda'))}")
    if data.has_prior:
        shares.append(f"same as the prior {theme.fmt_share(data.last('agreement_prior'))}")
    return [*lines, "  " + ", ".join(shares)]


def _entropy(data: HypernetworkData, at: int) -> str:
    if not data.banded:
        return f"{data.column('entropy')[at]:.2f} (mean; its spread was not recorded)"
    low, middle, high = (data.column(f"entropy_{name}")[at] for name in ("p10", "median", "p90"))
    if np.isnan(middle):
        return f"{data.column('entropy')[at]:.2f} (mean)"
    return f"{middle:.2f} (10 to 90 % of groups: {low:.2f} to {high:.2f})"


def _some(stretches: list[Boundary]) -> list[Boundary]:
    """Not more than a line holds: evenly many, the first and the last among them."""
    if len(stretches) <= _MOST_TOLD:
        return stretches
    places = np.linspace(0, len(stretches) - 1, _MOST_TOLD).round().astype(int)
    return [stretches[place] for place in places]


def _by_stretch(data: HypernetworkData, measured: list[Boundary]) -> list[str]:
    """First and last step of every block: whether it learned, and whether it decided."""
    name = "entropy_median" if data.banded else "entropy"
    lines = []
    for label, column, stretches in (
        ("reconstruction, first → last step", "reconstruction", [s for s in measured if s.block is not None]),
        ("KL, first → last step", "divergence", [s for s in measured if s.block is None]),
        (f"{name.replace('_', ' ')} at the end", name, measured),
        ("same as Wanda at the end", "agreement_wanda", measured),
        *([("same as the prior at the end", "agreement_prior", measured)] if data.has_prior else []),
    ):
        values, ends = data.column(column), " → " in label
        told = []
        for one in _some(stretches):
            first, last = values[one.start], values[min(one.stop, len(values)) - 1]
            where = one.stage if one.block is None else str(one.block)
            if column == name:
                number = f"{last:.2f}"
            else:
                form = theme.fmt_share if column.startswith("agreement") else theme.fmt_error
                number = f"{form(first)} → {form(last)}" if ends else form(last)
            if not np.isnan(last):
                told.append(f"{where}: {number}")
        if told:
            lines.append(f"{label}: {' · '.join(told)}")
    return lines
