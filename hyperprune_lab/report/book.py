"""The book of a report: what every view shows, for the moments and selections that a page without a kernel can go to.

Knows views only by their frames, and nothing about pages. What matters most goes in first; what does not fit into the
budget is left out, and said.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hyperprune_lab.analysis.timeline import Timeline
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.lab import PARTS, TABS, Lab
from hyperprune_lab.widgets.plain import plain
from hyperprune_lab.widgets.status import status_of
from hyperprune_lab.widgets.view import View

MOST_MOMENTS = 60
MOST_FOCI = 80
MOST_WEIGHED = 15
"""Of so many modules, those with the largest errors, the page holds weights around the focused group."""
_SHARED = frozenset(
    {"caption", "state", "badge", "problem", "seq", "selection", "options", "desk_state", "code", "heard"}
)
"""What a frame has beside the view's own: it is the same for all views, or follows from the moment."""
_VIEWS = ("map", *TABS, "mask", "scrubber")
_LONG_TEXT = 300
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@dataclass
class Book:
    """``entries[view][focus]`` lists ``[since event, number in the pool of each trait of the view]``.

    ``left`` says what is not in it. Sizes are bytes after compression, taken piece by piece.
    """

    budget: int
    frames: dict[str, Any] = field(default_factory=dict)
    own: dict[str, list[str]] = field(default_factory=dict)
    entries: dict[str, dict[str, list[list[int]]]] = field(default_factory=dict)
    choices: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    pool: list[Any] = field(default_factory=list)
    statuses: list[list[Any]] = field(default_factory=list)
    selection: list[str] = field(default_factory=list)
    last: int = 0
    cover: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    size: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _places: dict[bytes, int] = field(default_factory=dict)
    _measured: int = 0

    @property
    def focus(self) -> str:
        """The module that is selected at first."""
        return self.selection[0] if self.selection else ""

    def hold(self, value: Any) -> int | None:
        """The number of this value in the pool; None if there is no more room for it."""
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        if text not in self._numbers:
            places = dict(self._places)
            bare = _without_bytes(value, places)
            fresh = list(places)[len(self._places) :]
            size = sum(len(zlib.compress(piece, 6)) for piece in (json.dumps(bare).encode(), *fresh))
            if not self._has_room(size):
                return None
            self.size += size
            self._places = places
            self._numbers[text] = len(self.pool)
            self.pool.append(bare)
        return self._numbers[text]

    def _has_room(self, size: int) -> bool:
        # Piece by piece, compression is underestimated: near the end it is measured, but not for every piece.
        if self.size + size > self.budget and self.size - self._measured > self.budget // 50:
            self.size = self._measured = len(self.packed())
        return self.size + size <= self.budget

    def hold_all(self, name: str, frame: dict[str, Any]) -> list[int] | None:
        """The numbers of all traits that are the view's own; None if one of them has no room."""
        numbers = [self.hold(frame[trait]) for trait in self.own[name]]
        return None if None in numbers else [number for number in numbers if number is not None]

    def packed(self) -> bytes:
        """The book as the page reads it, compressed: the length of the JSON in four bytes, the JSON, then all bytes."""
        names = ("frames", "own", "entries", "choices", "pool", "statuses", "selection", "last", "cover")
        told = {name: getattr(self, name) for name in names}
        told["bytes"] = [len(part) for part in self._places]
        text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        return gzip.compress(b"".join([struct.pack("<I", len(text)), text, *self._places]), 9, mtime=0)


def _without_bytes(value: Any, places: dict[bytes, int]) -> Any:
    """Long texts in base64 become bytes, which compress better than their letters; ``places`` numbers them."""
    match value:
        case str() if len(value) > _LONG_TEXT and _BASE64.fullmatch(value):
            return {"bytes": places.setdefault(base64.b64decode(value), len(places))}
        case dict():
            return {name: _without_bytes(one, places) for name, one in value.items()}
        case list():
            return [_without_bytes(one, places) for one in value]
    return value


class Writer:
    """Writes the book of one run. Its views rest on a desk whose pump stands still."""

    def __init__(self, run: Run, reference: Run | None = None) -> None:
        self.run = run
        self.desk = Desk(run, reference=reference)
        self.desk.close()
        self.lab = Lab(self.desk)
        self.book = Book(0)
        self.failures: dict[str, str] = {}
        self.views: dict[str, View] = {**dict(self._views()), "lab": self.lab}
        self._root = str(run.directory.root)

    def write(self, budget: int) -> Book:
        """Everything that has room in ``budget`` bytes, the most telling first.

        Raises:
            UserError: the record is damaged, or the budget is too small for even one moment.
        """
        book = self.book = Book(budget)
        book.last = self.run.last_seq
        book.selection = list(self.desk.selection)
        line = Timeline.of(self.run)
        moments = _moments(line)
        views = {name: view for name, view in self.views.items() if name != "lab"}
        for name, view in views.items():
            self._first(name, view)
        self._lab_frame(list(views))
        self._scrub(moments)
        foci = self._foci()
        masks = {"mask": views.pop("mask")} if "mask" in views else {}
        shown = self._go_to_foci({**views, "lab": self.lab}, foci)
        passed = self._go_to_moments({**views, **masks, "lab": self.lab}, moments)
        self._choose({**views, **masks})
        # Masks are large: they take what room there is left.
        shown |= self._go_to_foci(masks, foci)
        self._say_what_is_left(line, passed, foci, shown)
        self.lab.close()
        return book

    # -- inside

    def _views(self) -> Iterator[tuple[str, View]]:
        for name in _VIEWS:
            try:
                yield name, self.lab[name]
            except UserError:
                label = next(part.public for part in PARTS if part.name == name)
                self.failures[name] = f"{label}: it could not be drawn."

    def _frame(self, view: View) -> dict[str, Any]:
        frame = view.frame()
        if view.failure is not None:
            raise view.failure
        # Where the run lay is nobody's business but its owner's.
        code, problem = frame["code"].replace(self._root, self.run.directory.root.name), frame["problem"]
        if problem and problem.get("copy"):
            problem = {**problem, "copy": problem["copy"].replace(self._root, self.run.directory.root.name)}
        return {**frame, "code": code, "problem": problem}

    def _first(self, name: str, view: View) -> None:
        frame = self._frame(view)
        book = self.book
        book.own[name] = sorted(set(frame) - _SHARED)
        numbers = book.hold_all(name, frame)
        if numbers is None:
            self.failures[name] = f"{view.title}: it alone is larger than the page may be."
            return
        book.frames[name] = {trait: value for trait, value in frame.items() if trait in _SHARED}
        book.entries[name] = {book.focus: [[book.last, *numbers]]}

    def _lab_frame(self, names: list[str]) -> None:
        """The frame around the views; what is not on the page has no tab."""
        book = self.book
        frame = self._frame(self.lab)
        there = [name for name in names if name in book.frames]
        tabs = [name for name in TABS if name in there]
        payload = frame["payload"]
        views = [{**part, "id": None, "failure": ""} for part in payload["views"]]
        payload = {**payload, "views": views, "tabs": tabs, "references": [], "back": False}
        options = dict(frame["options"])
        options |= {"tour": False, "tab": _first_of(tabs, options["tab"])}
        options["beside"] = _first_of([name for name in tabs if name != options["tab"]], options["beside"])
        book.own["lab"] = ["payload", "twin"]
        held = [book.hold(payload), book.hold(frame["twin"])]
        if None in held:
            raise UserError("The page has no room for anything: allow it more bytes.")
        book.frames["lab"] = {**{k: v for k, v in frame.items() if k in _SHARED}, "options": options}
        book.entries["lab"] = {book.focus: [[book.last, *held]]}  # type: ignore[list-item]
        self._lab_payload = payload

    def _scrub(self, moments: list[tuple[float, int]]) -> None:
        """The line of time goes only where the page can go."""
        book = self.book
        if "scrubber" not in book.frames:
            return
        payload = dict(self.lab["scrubber"].frame()["payload"])
        payload |= {
            "seconds": [round(second, 3) for second, _ in moments],
            "seqs": [seq for _, seq in moments],
        }
        held = [book.hold({**payload, "live": False}), book.hold(self.lab["scrubber"].frame()["twin"])]
        if None not in held:
            book.entries["scrubber"] = {book.focus: [[0, *held]]}  # type: ignore[list-item]
        book.statuses = [[seq, _status(self.run, seq)] for _, seq in moments]

    def _foci(self) -> list[str]:
        """All modules, those with the largest errors first."""
        modules = self.run.modules()
        if modules.empty:
            return []
        worst = modules.sort_values("error_rel", ascending=False) if "error_rel" in modules else modules
        return [str(name) for name in worst["module"]]

    def _go_to_foci(self, views: dict[str, View], foci: list[str]) -> dict[str, int]:
        """Each module as if it were selected. How many of them each view holds."""
        book = self.book
        followed = {name: view for name, view in views.items() if name in book.frames and _follows(view)}
        shown = dict.fromkeys(followed, 1)
        for place, focus in enumerate([name for name in foci if name != book.focus][:MOST_FOCI]):
            self.desk.select([focus])
            for name, view in followed.items():
                frame = self._lab_at() if name == "lab" else self._frame(view)
                numbers = book.hold_all(name, frame if place < MOST_WEIGHED else _lighter(frame))
                if numbers is not None:
                    book.entries[name][focus] = [[book.last, *numbers]]
                    shown[name] += 1
        self.desk.select(book.selection)
        return shown

    def _lab_at(self) -> dict[str, Any]:
        frame = self._frame(self.lab)
        told = {name: frame["payload"][name] for name in ("focus", "facts", "spoken")}
        return {**frame, "payload": {**self._lab_payload, **told}}

    def _go_to_moments(self, views: dict[str, View], moments: list[tuple[float, int]]) -> int:
        """Each moment, for the module that is selected at first. How many of them the page holds."""
        book = self.book
        passed = 0
        # From the end: what is left out, if anything, are the first moments.
        for _, seq in reversed(moments[:-1]):
            self.desk.moment = seq
            for name, view in views.items():
                if name not in book.frames or name == "scrubber":
                    continue
                frame = self._lab_at() if name == "lab" else self._frame(view)
                numbers = book.hold_all(name, frame)
                if numbers is None:
                    self.desk.moment = None
                    return passed
                book.entries[name][book.focus].insert(0, [seq, *numbers])
            passed += 1
        self.desk.moment = None
        return passed

    def _choose(self, views: dict[str, View]) -> None:
        """The other measures of each view, for the module that is selected at first, at the end."""
        book = self.book
        for name, view in views.items():
            usual = view.measure
            for measure in view.measures if name in book.frames else ():
                view.measure = measure.name
                numbers = book.hold_all(name, self._frame(view))
                if numbers is not None:
                    book.choices.setdefault(name, {})[f"measure={json.dumps(measure.name)}"] = numbers
            if view.measures:
                view.measure = usual

    def _say_what_is_left(
        self,
        line: Timeline,
        passed: int,
        foci: list[str],
        shown: dict[str, int],
    ) -> None:
        left = [
            "Starting, pausing and comparing with other runs, what-if questions, and single weights outside the "
            "pieces around each focused group: these need a running kernel.",
            "The weights of the model, dense and compensated: they stay in the run's folder.",
        ]
        if len(line.seqs) > passed + 1:
            left.append(
                f"Moments between the ends of blocks: {passed + 1} of {len(line.seqs)} events can be gone to, with "
                f"{theme.shown_name(self.book.focus) or 'nothing'} selected."
            )
        for name, count in shown.items():
            if count < len(foci) and name != "lab":
                title = self.lab[name].title
                left.append(
                    f"{title}: {len(foci) - count} of {len(foci)} modules, those with the smallest errors."
                )
        left += self.failures.values()
        self.book.left = left


def _first_of(names: list[str], wished: str) -> str:
    return wished if wished in names or not names else names[0]


def _follows(view: View) -> bool:
    return "selection" in view.follows


def _lighter(frame: dict[str, Any]) -> dict[str, Any]:
    """A mask without the weights under it."""
    tiles = frame["payload"].get("tiles") or []
    return {
        **frame,
        "payload": {**frame["payload"], "tiles": [tile for tile in tiles if tile[0] != "weights"]},
    }


def _moments(line: Timeline) -> list[tuple[float, int]]:
    """The ends of blocks and stages, evenly thinned out if they are many, with both ends of the line."""
    stops = list(dict.fromkeys([*line.seqs[:1], *line.stops, *line.seqs[-1:]]))
    stride = max(1, -(-len(stops) // MOST_MOMENTS))
    kept = dict.fromkeys([*stops[::-1][::stride], *stops[:1]])
    return [(line.second_of(seq), seq) for seq in sorted(kept)]


def _status(run: Run, seq: int) -> dict[str, Any]:
    status = status_of(run, seq, seq < run.last_seq)
    return plain({"state": status.state, "badge": status.badge, "running": status.place()})


def facts_of(run: Run) -> Iterable[tuple[str, str]]:
    """What stands on the cover: label and value."""
    config = run.config
    yield "model", theme.shown_name(str(run.started.get("model", {}).get("name", "")), 40)
    yield "method", " ".join(str(config[key]) for key in ("method", "preset") if config.get(key))
    yield "pattern", str(config.get("pattern", theme.NONE))
    yield "budget", str(config.get("budget", theme.NONE))
    yield from _perplexities(run)


def _perplexities(run: Run) -> Iterator[tuple[str, str]]:
    from hyperprune_lab.shelf import entry_of

    entry = entry_of(run.directory.root)
    for label, value in (
        ("perplexity, dense", entry.dense_ppl),
        ("mask only", entry.mask_only_ppl),
        ("compensated", entry.compensated_ppl),
    ):
        if value is not None:
            yield label, theme.fmt_number(value)
