"""The live mask explorer: what was kept, and why, from a whole matrix down to one group.

Knows no numbers: they come from ``hyperprune_lab.views.mask_explorer``, tiles as bytes from its ``MaskSource``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, ClassVar, cast

import traitlets

from hyperprune_lab.analysis.sources import Sources, open_sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import mask_explorer
from hyperprune_lab.views.mask_explorer import MaskExplorerData
from hyperprune_lab.views.mask_page import embedded
from hyperprune_lab.views.mask_source import AGAINST, MEASURES, SIDES, MaskSource
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.plain import plain
from hyperprune_lab.widgets.view import Answer, Measure, View

MOST_TILES_AT_ONCE = 16
MOST_PINS = 3
MASKS_HELD = 3
BYTES_HELD = 64 << 20
"""Opened masks that are kept, for going back and forth. Each takes several times its packed size, which counts here."""


class MaskExplorer(View):
    """The mask of the focused module: drag, wheel or arrows to move, ``\\`` to flip to the other mask."""

    _esm = esm("mask_explorer", "mask_tiles", "mask_paint")
    _css = css("mask_explorer")

    view_name = "mask"
    title = "Mask explorer"
    question = "What was kept, and why?"
    help = (
        (
            "How to read it.",
            "Inputs run across, outputs down. From afar, a pixel stands for many weights and shows the input in it "
            "whose keep-rate is furthest from n/m, over a band of rows: orange is kept more often, blue less. From "
            "three pixels a weight on, the mask itself is drawn: kept is solid, pruned an empty cell with a dot. "
            "Closer still, the fill is |w| · activation RMS, and the sign of the weight stands in its corner. Above "
            "are the keep-rates of the inputs (▾ outliers), on the left the errors of the rows.",
        ),
        (
            "How it can mislead.",
            "Every group keeps n of m, so an average over whole groups is n/m everywhere, and by row there is nothing "
            "to see. Over few rows keep-rates scatter by chance: the legend says how far (two standard deviations). "
            "The costs of patterns are those of the group by itself; what the other groups of the row "
            "removed takes part in the decision and is not recorded.",
        ),
        (
            "Keys.",
            "Arrows: next group (Shift: a screen). Home, End: ends of the row. + −: zoom, 0: the whole mask, z: the "
            "group. g: go to a place. Enter: pin the group. \\: flip to the other mask, d: differences, n and N: next "
            "and previous difference, p: next group with recorded probabilities. c: the controls.",
        ),
    )
    measures = tuple(Measure(name, label) for name, label in MEASURES.items())
    drawing: ClassVar[Any] = mask_explorer
    kinds = ("RunStarted", "InputMeasured", "ModuleDecided", "ModuleMeasured", "BlockFinished")
    follows = ("selection", "groups")

    against = traitlets.Enum(AGAINST, "wanda", help="The mask to hold this run's against.").tag(asked=True)
    side = traitlets.Enum(SIDES, "ours", help="Which mask is drawn.").tag(asked=True)
    folder = traitlets.Unicode(help="Where the dense weights are, if they are not found.").tag(asked=True)
    window = traitlets.List(
        traitlets.Int(), help="Top, left, bottom, right in weights; empty: everything."
    ).tag(asked=True)
    pins: traitlets.List[Any] = traitlets.List(
        traitlets.Tuple(traitlets.Unicode(), traitlets.Int(), traitlets.Int()),
        help="Pinned groups: (module, row, group).",
    ).tag(asked=True)
    height = traitlets.Int(340, min=120, max=4000, help="Height of the mask in pixels.").tag(asked=True)

    group = traitlets.Dict(None, allow_none=True, read_only=True).tag(sync=True)
    pinned: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._held: OrderedDict[str, tuple[object, MaskSource]] = OrderedDict()
        self._holding = threading.Lock()
        self._opened: tuple[object, MaskExplorerData] | None = None
        self._found: tuple[object, Sources] | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._preparing: set[object] = set()
        self._failures: dict[object, str] = {}
        super().__init__(*arguments, **options)

    # -- what a person uses

    def look(self, rows: tuple[int, int], inputs: tuple[int, int]) -> None:
        """Show rows ``rows[0]`` to ``rows[1]`` (excluded) and inputs likewise."""
        self.window = [rows[0], inputs[0], rows[1], inputs[1]]

    def close(self) -> None:
        super().close()
        if self._worker is not None:
            self._worker.shutdown(wait=True, cancel_futures=True)

    def frame(self) -> dict[str, Any]:
        now = self._now()
        frame = self._frame(now)
        if frame["payload"].get("status") == "decided":
            frame["payload"] |= plain(embedded(self._draw(now).data))
        return frame

    # -- what it draws

    def data(self, now: Now) -> MaskExplorerData:
        pins = [(row, group) for module, row, group in self.pins if module == now.focus]
        return mask_explorer.aimed(
            self._open_mask(now),
            seq=now.seq,
            measure=cast(Any, self.measure),
            side=self.side,
            group=now.groups.get(now.focus or ""),
            pins=pins,
            window=self.window,
        )

    def pandas_code(self, now: Now) -> str:
        as_of = f", as_of={now.seq}" if now.replayed else ""
        return f"mask = run.mask({now.focus!r}{as_of})  # [outputs, inputs], true where a weight is kept\nmask.mean(0)"

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        here = int(content["row"]), int(content["group"])
        if kind == "pin" and self.desk.selection:
            pinned = (self.desk.selection[0], *here)
            others = [pin for pin in self.pins if pin != pinned]
            self.pins = others if len(others) < len(self.pins) else [pinned, *others][:MOST_PINS]
        elif kind in ("next", "previous", "recorded"):
            self.desk.pump.do(lambda: self._go_on(kind, here))

    def on_ask(self, what: Mapping[str, Any], now: Now) -> Answer:
        with self._holding:
            held = self._held.get(str(what.get("version")))
        if held is None:
            raise UserError("This mask is not open any more; it is drawn anew in a moment.")
        source = held[1]
        match what.get("name"):
            case "rulers":
                return None, list(source.rulers())
            case "tiles":
                return self._tiles(source, what)
        return super().on_ask(what, now)

    # -- inside

    def _frame(self, now: Now) -> dict[str, Any]:
        frame = super()._frame(now)
        payload = dict(frame["payload"])
        # The card changes with every arrow key, the rest hardly ever: they travel apart.
        group, pinned = payload.pop("group", None), payload.pop("pins", [])
        return {**frame, "payload": payload, "group": group, "pinned": pinned}

    def _open_mask(self, now: Now) -> MaskExplorerData:
        """The focused module's mask, looked for again only when the record has news."""
        run = now.run
        assert run is not None
        reference = now.reference if self.against == "reference" else None
        held_against = None if reference is None else (id(reference), reference.last_seq)
        identity = id(run), run.generation, now.focus, self.against, held_against, self.folder
        key = identity, run.newest_seq(self.kinds, now.seq)
        if self._opened is None or self._opened[0] != key:
            with self._holding:
                before = [source for known, source in self._held.values() if known == identity]
            opened = mask_explorer.opened_mask(
                run,
                as_of=now.seq,
                module=now.focus,
                against=self.against,
                reference=reference,
                sources=self._sources(run),
                source=before[-1] if before else None,
            )
            if opened.source is not None:
                self._hold(identity, opened.source)
            self._opened = key, opened
        return self._opened[1]

    def _hold(self, identity: object, source: MaskSource) -> None:
        source.name = sha256(repr((identity, source.version[0])).encode()).hexdigest()[:16]
        with self._holding:
            self._held[source.name] = identity, source
            self._held.move_to_end(source.name)
            while len(self._held) > 1 and (
                len(self._held) > MASKS_HELD
                or sum(held.mask.packed.nbytes for _, held in self._held.values()) > BYTES_HELD
            ):
                self._held.popitem(last=False)

    def _sources(self, run: Run) -> Sources:
        key = id(run), self.folder
        if self._found is None or self._found[0] != key:
            self._found = key, open_sources(run, self.folder or None)
        return self._found[1]

    def _tiles(self, source: MaskSource, what: Mapping[str, Any]) -> Answer:
        """Several tiles at once: height, width and kind of each, and its bytes; "later" where making it takes long."""
        measure, side = str(what.get("measure")), str(what.get("side"))
        if measure not in MEASURES or side not in SIDES:
            raise UserError("There is no such measure or side.")
        described: list[Any] = []
        parts: list[bytes] = []
        for plane, *place in list(what.get("places") or ())[:MOST_TILES_AT_ONCE]:
            level, y, x = (int(number) for number in place)
            if plane in ("bits", "weights"):
                shape, part = source.bits(y, x) if plane == "bits" else source.weights(y, x)
                told = plane
            else:
                tile = source.tile(cast(Any, measure), cast(Any, side), level, y, x, wait=False)
                if tile is None:
                    self._prepare(source, measure, side, level, y, x)
                    shape, told, part = (0, 0), "later", b""
                else:
                    shape, told, part = tile.values.shape, tile.measure, source.coded(tile)
            described.append([*shape, told])
            parts.append(part)
        return described, parts

    def _prepare(self, source: MaskSource, *place: Any) -> None:
        """Make in a thread of its own what takes long, then tell the browser to ask again."""
        key = id(source), place
        with self._holding:
            if key in self._failures:
                raise UserError(self._failures[key])
            if key in self._preparing:
                return
            self._preparing.add(key)
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, "hyperprune-lab tiles")

        def tell() -> None:
            if self.comm is not None:
                self.send({"kind": "ready"})

        def work() -> None:
            failure = None
            try:
                source.prepare(*place)
            except Exception as error:  # said when it is asked for again, in the pump's thread
                failure = str(error)
            with self._holding:
                self._preparing.discard(key)
                if failure is not None:
                    self._failures[key] = failure
            self.desk.pump.do(tell)

        self._worker.submit(work)

    def _go_on(self, kind: str, here: tuple[int, int]) -> None:
        """To the next group that the other mask decides otherwise, or whose probabilities were recorded."""
        now = self._now()
        if now.run is None or now.focus is None:
            return
        source = self._open_mask(now).source
        if source is None:
            return
        if kind != "recorded":
            found = source.next_difference(*here, backwards=kind == "previous")
        else:
            recorded = sorted(source.pinned.groups) if source.pinned is not None else []
            found = next((place for place in recorded if place > here), next(iter(recorded), None))
        if found is not None:
            self.desk.groups = {**self.desk.groups, now.focus: found}
