"""The mask explorer, "What was kept, and why?": one linear's mask, its rulers, a window into it, and one group.

Knows neither the browser nor how a run is written. Pictures' numbers come from a ``MaskSource``, which also cuts the
tiles that a page asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.analysis.sources import Sources, open_sources
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme
from hyperprune_lab.views.mask_group import GroupCard, group_card
from hyperprune_lab.views.mask_page import payload
from hyperprune_lab.views.mask_source import Against, MaskSource, Measure, Side, other_label
from hyperprune_lab.views.mask_words import text

Status = Literal["decided", "waiting", "not pruned", "unknown", "nothing selected"]
Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class MaskExplorerData:
    """Everything the mask explorer shows as of event ``seq``.

    ``source`` is None unless ``status`` is ``decided``; ``reason`` then says why. ``decided_at`` is the event of the
    decision. ``window`` is (top, left, bottom, right) in weights, None where the whole mask is in view. ``siblings``
    are the linears of the same block, ``same`` those of the same name in all blocks: where one can go from here.
    """

    run: str
    seq: int
    module: str | None
    status: Status
    reason: str
    against: Against
    label: str
    measure: Measure = "keep_rate"
    side: Side = "ours"
    source: MaskSource | None = None
    decided_at: int = 0
    pattern: NMPattern | None = None
    shape: tuple[int, int] = (0, 0)
    block: int | None = None
    siblings: tuple[str, ...] = ()
    same: tuple[tuple[int, str], ...] = ()
    card: GroupCard | None = None
    pins: tuple[GroupCard, ...] = ()
    window: Window | None = None
    weights_reason: str = ""
    identity: str = ""

    @property
    def shown(self) -> str:
        """What coarse tiles show."""
        return "" if self.source is None else self.source.shown(self.measure, self.side)


def mask_explorer_data(
    run: Run,
    *,
    as_of: int | None = None,
    module: str | None = None,
    measure: Measure = "keep_rate",
    side: Side = "ours",
    against: Against = "wanda",
    reference: Run | None = None,
    sources: Sources | None = None,
    group: tuple[int, int] | None = None,
    pins: Iterable[tuple[int, int]] = (),
    window: Sequence[int] | None = None,
) -> MaskExplorerData:
    """One module's mask as of event ``as_of``, held against another one.

    ``sources`` are the dense weights (by default those found; see ``open_sources``). ``group`` is the (row, group) to
    explain; by default the row with the largest error, at its loudest input. ``window`` is (top, left, bottom, right)
    in weights.

    Raises:
        UserError: the record is damaged.
    """
    opened = opened_mask(
        run, as_of=as_of, module=module, against=against, reference=reference, sources=sources
    )
    return aimed(opened, measure=measure, side=side, group=group, pins=pins, window=window)


def opened_mask(
    run: Run,
    *,
    as_of: int | None = None,
    module: str | None = None,
    against: Against = "wanda",
    reference: Run | None = None,
    sources: Sources | None = None,
    source: MaskSource | None = None,
) -> MaskExplorerData:
    """What does not depend on where on the mask one looks: ``aimed`` adds that, quickly.

    ``source`` is this linear's mask as it was opened before; it is used again if nothing of it has changed.

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else as_of
    plan = linears(run)
    place = plan[plan["module"] == module]
    known: dict[str, Any] = {}
    version = version_of(run, module, seq) if module else (0, 0)
    status, reason = _status(run, module, not place.empty, version[0])
    if not place.empty:
        row = place.iloc[0]
        same = plan[plan["local"] == row["local"]][["block", "module"]]
        known = {
            "block": int(row["block"]),
            "shape": (int(row["out_features"]), int(row["in_features"])),
            "pattern": NMPattern.parse(str(row["pattern"])),
            "siblings": tuple(plan[plan["block"] == row["block"]]["module"]),
            "same": tuple((int(block), str(name)) for block, name in same.itertuples(index=False)),
        }
    if status != "decided" or (source is not None and source.version != version):
        source = None
    if source is None and status == "decided" and module is not None:
        sources = open_sources(run) if sources is None else sources
        source = MaskSource(run, module, version, against, reference, sources)
    if source is not None:
        known |= {"shape": source.mask.shape, "pattern": source.mask.pattern}
        known |= {"weights_reason": _why_no_weights(source)}
        known |= {"identity": "" if source.sources is None else source.sources.identity}
    return MaskExplorerData(
        run=run.directory.root.name,
        seq=seq,
        module=module,
        status=status,
        reason=reason,
        against=against,
        label=other_label(against, reference),
        source=source,
        decided_at=version[0],
        **known,
    )


def aimed(
    data: MaskExplorerData,
    *,
    seq: int | None = None,
    measure: Measure = "keep_rate",
    side: Side = "ours",
    group: tuple[int, int] | None = None,
    pins: Iterable[tuple[int, int]] = (),
    window: Sequence[int] | None = None,
) -> MaskExplorerData:
    """An opened mask, looked at in this way; ``seq`` is the event it is drawn for, if another."""
    source = data.source
    seq = data.seq if seq is None else seq
    if source is None:
        return replace(data, seq=seq, measure=measure)
    return replace(
        data,
        seq=seq,
        measure=measure,
        side=side if source.other.mask is not None else "ours",
        card=group_card(source, *(default_group(source) if group is None else group)),
        pins=tuple(group_card(source, *pin) for pin in pins),
        window=_clipped(window, source.mask.shape),
    )


def version_of(run: Run, module: str, as_of: int) -> tuple[int, int]:
    """The event of the mask that is shown as of ``as_of``, and of the newest measurement that belongs to it.

    Masks come to disk with their whole block, so the newest decision of a live run may not be there yet: the newest
    one whose file is counts. Zeros if there is none.
    """
    files = [row for row in run.artefacts() if row.kind == "masks"]
    kinds = ("ModuleDecided", "ModuleMeasured", "InputMeasured")
    events = [event for event in run.events(kinds=kinds) if event.seq <= as_of]
    there = [
        event
        for event in events
        if event.kind == "ModuleDecided"
        and event.subject == module
        and any((f.stage, f.block) == (event.stage, event.block) and f.seq >= event.seq for f in files)
    ]
    if not there:
        return 0, 0
    block = there[-1].block
    return there[-1].seq, max(event.seq for event in events if event.block == block)


def default_group(source: MaskSource) -> tuple[int, int]:
    """Where to begin: in the row with the largest error, at the loudest input."""
    errors, loud = source.row_errors, source.loudness
    row = 0 if errors is None or not len(errors) else int(np.nan_to_num(errors).argmax())
    return row, 0 if loud is None else int(loud.argmax()) // source.mask.pattern.group


def _status(run: Run, module: str | None, pruned: bool, decided_at: int) -> tuple[Status, str]:
    if module is None:
        return "nothing selected", "Select a module: click it in the model map, or choose it above."
    name = theme.shown_name(module)
    if pruned:
        return ("decided", "") if decided_at else ("waiting", f"{name}: {theme.NOT_YET} decided.")
    row = next((r for r in run.started.get("coverage", []) if _weight_of(r.get("name"), module)), None)
    if row is None:
        return "unknown", f"This run knows no {name}."
    return "not pruned", f"{name} is not pruned: {row.get('reason') or 'not covered'}."


def _weight_of(name: Any, module: str) -> bool:
    return name in (module, f"{module}.weight")


def _why_no_weights(source: MaskSource) -> str:
    sources = source.sources
    if source.has_weights or sources is None:
        return ""
    if not sources.available:
        return sources.reason
    if not sources.has(source.module):
        return f"{sources.folder} stores this weight under another name, so only masks can be shown."
    return "What this module reads was not measured, so scores cannot be shown."


def _clipped(window: Sequence[int] | None, shape: tuple[int, int]) -> Window | None:
    if window is None or len(window) != 4:
        return None
    top, left, bottom, right = (int(edge) for edge in window)
    rows, columns = shape
    top, bottom = (min(max(edge, 0), rows) for edge in (top, bottom))
    left, right = (min(max(edge, 0), columns) for edge in (left, right))
    if top >= bottom or left >= right or (bottom - top, right - left) == shape:
        return None
    return top, left, bottom, right


# -- what it says: ``payload`` for the browser and ``text`` for people come from files of their own


def table(data: MaskExplorerData) -> list[dict[str, Any]]:
    """One row per input, for spreadsheets."""
    source = data.source
    if source is None:
        return []
    columns: Mapping[str, np.ndarray | None] = {
        "keep_rate": source.keep_rate,
        f"keep_rate_{data.against}": source.their_keep_rate,
        "rms_over_median": source.loudness,
    }
    named = {name: values.tolist() for name, values in columns.items() if values is not None}
    return [
        {"module": data.module, "input": column, **{name: values[column] for name, values in named.items()}}
        for column in range(source.mask.shape[1])
    ]


def picture(data: MaskExplorerData, theme_name: theme.Theme = "light") -> Any:
    """The mask, its rulers, the focused group and its explanation as a matplotlib figure."""
    from hyperprune_lab.views.mask_picture import draw_mask

    return draw_mask(data, theme_name)


__all__ = [
    "MaskExplorerData",
    "aimed",
    "mask_explorer_data",
    "opened_mask",
    "payload",
    "picture",
    "table",
    "text",
]
