"""The base of every view: one desk, one payload for the browser, one text twin, one static picture.

Knows nothing about what any one view shows. Synced traits are read-only and written by the pump alone; the browser
sends messages, which set what is asked for - on the desk or on this view - and wake the pump.
"""

from __future__ import annotations

import contextlib
import csv
import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import anywidget
import traitlets

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme
from hyperprune_lab.widgets.desk import THEMES, Desk, Now, as_desk
from hyperprune_lab.widgets.plain import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PADDED_BYTES = 64 << 10
"""Replies are padded to this: Jupyter's socket holds smaller ones back by some 45 ms."""
MOST_NAMES = 20_000
LONGEST_NAME = 2_000

Answer = tuple[Any, Sequence[bytes | memoryview]]


class Measure(NamedTuple):
    """One choice of the measure selector."""

    name: str
    label: str


class _Drawn(NamedTuple):
    key: object
    data: Any
    payload: dict[str, Any]
    text: str


class View(anywidget.AnyWidget):
    """A live view of the run on a desk.

    A subclass sets the class attributes below, ``_esm`` and ``_css``, and defines ``data``. What a person may choose
    in it is a trait tagged ``asked=True``; setting one, from Python or from the browser, draws the view again.
    """

    view_name: ClassVar[str] = ""
    """``data-hp-view``."""
    title: ClassVar[str] = ""
    question: ClassVar[str] = ""
    help: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of a heading and a paragraph: how to read it, how it can mislead."""
    measures: ClassVar[tuple[Measure, ...]] = ()
    drawing: ClassVar[Any]
    """The module of ``hyperprune_lab.views`` with ``payload``, ``text``, ``picture`` and perhaps ``table``."""
    kinds: ClassVar[tuple[str, ...]] = ()
    """The kinds of events that change the picture."""
    follows: ClassVar[tuple[str, ...]] = ("selection",)
    """The fields of ``Now`` that change the picture, besides run and moment."""
    needs_run: ClassVar[bool] = True

    measure = traitlets.Unicode(help="What the view measures.").tag(asked=True)

    caption = traitlets.Dict(read_only=True).tag(sync=True)
    state = traitlets.Unicode("empty", read_only=True).tag(sync=True)
    badge = traitlets.Unicode(read_only=True).tag(sync=True)
    problem = traitlets.Dict(None, allow_none=True, read_only=True).tag(sync=True)
    seq = traitlets.Int(0, read_only=True).tag(sync=True)
    selection: traitlets.List[str] = traitlets.List(read_only=True).tag(sync=True)
    options = traitlets.Dict(read_only=True).tag(sync=True)
    desk_state = traitlets.Dict(read_only=True).tag(sync=True)
    payload = traitlets.Dict(read_only=True).tag(sync=True)
    twin = traitlets.Unicode(read_only=True).tag(sync=True)
    code = traitlets.Unicode(read_only=True).tag(sync=True)
    heard = traitlets.Int(0, read_only=True).tag(sync=True)

    def __init__(
        self,
        source: Desk | Run | Path | str | None = None,
        *,
        reference: Run | Path | str | None = None,
        **options: Any,
    ) -> None:
        unknown = set(options) - set(self._asked())
        if unknown:
            known = ", ".join(sorted(self._asked()))
            raise UserError(f"{type(self).__name__} has no option {sorted(unknown)[0]!r}. Options: {known}.")
        self.desk = as_desk(source, reference)
        self.failure: Exception | None = None
        """What kept the view from being drawn last time, if anything did."""
        self._drawing_lock = threading.RLock()
        self._drawn: _Drawn | None = None
        self._last_heard = 0
        self._shown_in: set[str] = set()
        self._was_shown = False
        self._questions: dict[str, int] = {}
        super().__init__(**options)
        self.on_msg(self._received)
        self.observe(self._wake, self._asked())
        self.desk.pump.attach(self)
        self._ignore_desk = self.desk.connect(self._told)
        self._take_wishes()

    # -- what a view author writes

    def data(self, now: Now) -> Any:
        """What the view shows ``now``: the data class of its drawing. ``now.run`` is a run unless ``needs_run`` is off.

        Raises:
            UserError: the record cannot be read, or does not hold what is asked for; shown to the person.
        """
        raise NotImplementedError

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """A message that is the view's own. Quick, in any thread: set a trait tagged asked, or the desk's."""

    def on_ask(self, what: Mapping[str, Any], now: Now) -> Answer:  # noqa: ARG002  # for those who override it
        """Answer a question of the browser's, in the pump's thread: a JSON-able value, and buffers.

        Raises:
            UserError: there is no answer; the message is shown.
        """
        raise UserError("This view has no answer to that.")

    def pandas_code(self, now: Now) -> str:  # noqa: ARG002  # for those who override it
        """Code that gives the numbers behind the picture."""
        return "run.modules()"

    # -- what a person uses

    @property
    def text(self) -> str:
        """The view in words, as of this instant."""
        return self._draw(self._now()).text

    def figure(self, theme_name: theme.Theme = "light") -> Figure:
        """The view as a static picture, as of this instant."""
        return self.drawing.picture(self._draw(self._now()).data, theme_name)

    def snapshot(self, theme_name: theme.Theme = "light") -> None:
        """Show the picture and the text as they are now: they stay in a saved notebook when no kernel is there."""
        from IPython.display import display

        drawn = self._draw(self._now())
        picture = theme.png(self.drawing.picture(drawn.data, theme_name), theme_name)
        display({"image/png": picture, "text/plain": drawn.text}, raw=True)

    def frame(self) -> dict[str, Any]:
        """Everything that the browser gets, as of this instant: what a page without a kernel draws the view from."""
        return self._frame(self._now())

    def close(self) -> None:
        """Leave the page; the desk and its other views go on."""
        desk = getattr(self, "desk", None)  # a view whose run could not be opened never got one
        if desk is not None:
            desk.pump.detach(self)
            self._ignore_desk()
        super().close()

    def __repr__(self) -> str:
        run = self.desk.run
        shown = "no run" if run is None else f"{run.directory.root.name}, {self.badge}"
        return f"{type(self).__name__}({shown})"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        view = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        return {"text/plain": repr(self), "application/vnd.jupyter.widget-view+json": view}, {}

    @traitlets.default("measure")
    def _first_measure(self) -> str:
        return self.measures[0].name if self.measures else ""

    @traitlets.validate("measure")
    def _known_measure(self, proposal: Any) -> str:
        known = [measure.name for measure in self.measures]
        if known and proposal["value"] not in known:
            raise UserError(f"There is no measure {proposal['value']!r} here. Measures: {', '.join(known)}.")
        return proposal["value"]

    # -- called by the pump

    def refresh(self) -> None:
        """Bring the browser up to date; does nothing while no page shows the view."""
        if self._was_shown and not self._shown_in:
            return
        self._publish(self._safe_frame())

    # -- inside

    def open(self) -> None:
        # The first picture travels with the message that makes the widget: nothing flashes, nothing is sent twice.
        self._publish(self._safe_frame())
        super().open()

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """The browser writes no traits."""

    def _publish(self, frame: Mapping[str, Any]) -> None:
        with self.hold_sync():
            for name, value in frame.items():
                self.set_trait(name, value)

    def _now(self) -> Now:
        return self.desk.now()

    def _asked(self) -> list[str]:
        return sorted(self.trait_names(asked=True))

    def _wake(self, _: Any = None) -> None:
        self.desk.pump.wake(self)

    def _told(self, names: frozenset[str]) -> None:
        if "wanted" in names:
            self._take_wishes()

    def _take_wishes(self) -> None:
        """Make the choices that another view asks this one to make."""
        for name, value in self.desk.take(self.view_name).items():
            with contextlib.suppress(traitlets.TraitError, UserError):
                if name in self._asked():
                    setattr(self, name, value)

    def _safe_frame(self) -> dict[str, Any]:
        """The frame; if it cannot be made, the last good one, marked as such."""
        try:
            now = self._now()
        except UserError as error:
            self.failure = error
            return self._failed_frame(str(error))
        try:
            frame = self._frame(now)
        except UserError as error:
            self.failure = error
            return self._failed_frame(str(error)) | self._surroundings(now)
        except Exception as error:  # a view that fails must not take the others with it
            self.failure = error
            return self._failed_frame(f"{type(error).__name__}: {error}") | self._surroundings(now)
        self.failure = None
        return frame

    def _failed_frame(self, cause: str) -> dict[str, Any]:
        problem = {"cause": cause, "module": "", "button": "Try again", "copy": "", "kind": "view"}
        return plain({"caption": self._caption(), "state": "error", "badge": "error", "problem": problem})

    def _surroundings(self, now: Now) -> dict[str, Any]:
        """What stands around the picture."""
        shared: dict[str, Any] = {"theme": now.theme, "following": now.following, "replayed": now.replayed}
        shared["running"] = now.status.place()
        return plain(
            {
                "selection": list(now.selection),
                "options": {name: getattr(self, name) for name in self._asked()},
                "desk_state": {**shared, "scope": dict(now.scope), "hovered": now.hovered_channel},
                "heard": self._last_heard,
            }
        )

    def _frame(self, now: Now) -> dict[str, Any]:
        around = self._surroundings(now) | {
            "caption": self._caption(),
            "state": now.status.state,
            "badge": now.status.badge,
            "problem": now.status.problem,
            "seq": now.seq,
            "code": self._code(now),
        }
        if now.status.state in ("empty", "loading") and self.needs_run:
            return plain({**around, "payload": {}, "twin": self._nothing(now)})
        drawn = self._draw(now)
        return plain(around) | {"payload": drawn.payload, "twin": drawn.text}

    def _draw(self, now: Now) -> _Drawn:
        """Data, payload and text; made anew only when what they show has changed."""
        if self.needs_run and now.status.state in ("empty", "loading"):
            raise UserError(self._nothing(now))
        with self._drawing_lock:
            key = self._key(now)
            if self._drawn is None or self._drawn.key != key:
                data = self.data(now)
                self._drawn = _Drawn(
                    key, data, plain(self.drawing.payload(data)), plain(self.drawing.text(data))
                )
            return self._drawn

    def _key(self, now: Now) -> object:
        run, reference = now.run, now.reference
        newest = None if run is None else (id(run), run.generation, run.newest_seq(self.kinds, now.seq))
        held_against = None if reference is None else (id(reference), reference.last_seq)
        followed = tuple(repr(getattr(now, name)) for name in self.follows)
        return newest, held_against, followed, tuple(repr(getattr(self, name)) for name in self._asked())

    def _nothing(self, now: Now) -> str:
        if now.run is None:
            return "No run is open. `view.desk.open(path)` opens one."
        return "The run is starting; nothing is recorded yet."

    def _caption(self) -> dict[str, Any]:
        return {
            "name": self.view_name,
            "title": self.title,
            "question": self.question,
            "help": [list(pair) for pair in self.help],
            "measures": [measure._asdict() for measure in self.measures],
        }

    def _code(self, now: Now) -> str:
        if now.run is None:
            return ""
        root = str(now.run.directory.root)
        return f"from hyperprune_lab import open_run\n\nrun = open_run({root!r})\n{self.pandas_code(now)}\n"

    # -- messages from the browser: any thread, quick, and never trusted

    def _received(self, _: Any, content: Any, __: Any) -> None:
        if not isinstance(content, dict):
            return
        kind, serial = content.get("kind"), content.get("serial")
        if isinstance(serial, int):
            self._last_heard = max(self._last_heard, serial)
        with contextlib.suppress(traitlets.TraitError, UserError, ValueError, TypeError, KeyError):
            self._handle(str(kind), content)
        self._wake()

    def _handle(self, kind: str, content: dict[str, Any]) -> None:
        match kind:
            case "hello":
                self._was_shown = True
                self._shown_in.add(str(content["id"])[:40])
            case "bye":
                self._shown_in.discard(str(content["id"])[:40])
            case "retry":
                self._drawn = None
            case "select":
                self.desk.select(names(content["modules"]))
            case "scope":
                scope = dict(self.desk.scope)
                wanted = content["value"]
                for module in names(content["modules"]):
                    scope.pop(module, None)
                    if wanted is not None:
                        scope[module] = str(wanted)[:20]
                self.desk.scope = scope
            case "hover":
                channel = content["channel"]
                module = names([content["module"]])[0] if channel is not None else ""
                self.desk.hovered_channel = None if channel is None else (module, int(channel))
            case "group":
                module = names([content["module"]])[0]
                place = (int(content["row"]), int(content["group"]))
                self.desk.groups = {**self.desk.groups, module: place}
            case "moment":
                seq = content["seq"]
                self.desk.moment = None if seq is None else int(seq)
            case "follow":
                self.desk.follow()
            case "theme":
                if content["value"] in THEMES:
                    self.desk.theme = content["value"]
            case "option":
                if content["name"] in self._asked():
                    setattr(self, content["name"], content["value"])
            case "ask":
                self._enqueue(content)
            case _:
                self.on_message(kind, content)

    def _enqueue(self, content: dict[str, Any]) -> None:
        number, what = int(content["id"]), content["what"]
        key = content.get("key")
        if not isinstance(what, dict):
            return
        if key is not None:
            self._questions[str(key)[:100]] = number

        def work() -> None:
            # Only the newest question of a key is still of interest: the person has scrolled on.
            if key is None or self._questions.get(str(key)[:100]) == number:
                self._answer(number, what)

        self.desk.pump.do(work)

    def _answer(self, number: int, what: dict[str, Any]) -> None:
        try:
            content, buffers = self._answer_to(what)
            ok = True
        except UserError as error:
            ok, content, buffers = False, str(error), []
        except Exception as error:  # told to the person; a view that fails must not stop the pump
            self.failure = error
            ok, content, buffers = False, f"{type(error).__name__}: {error}", []
        sizes = sum(memoryview(buffer).nbytes for buffer in buffers)
        padded = [*buffers, b"\0" * max(1, PADDED_BYTES - sizes)]
        reply = {"kind": "answer", "id": number, "ok": ok, "content": plain(content), "padded": True}
        if self.comm is not None:
            self.send(reply, padded)

    def _answer_to(self, what: dict[str, Any]) -> Answer:
        now = self._now()
        match what.get("name"):
            case "png":
                data = self._draw(now).data
                name: theme.Theme = "dark" if now.theme == "dark" else "light"
                return None, [theme.png(self.drawing.picture(data, name), name)]
            case "csv":
                return None, [self.csv().encode("utf-8", "replace")]
        return self.on_ask(what, now)

    def csv(self) -> str:
        """The numbers behind the picture, as comma-separated values.

        Raises:
            UserError: this view has no table.
        """
        make = getattr(self.drawing, "table", None)
        if make is None:
            raise UserError("This view has no table; its numbers are in the text below it.")
        rows: list[dict[str, Any]] = make(self._draw(self._now()).data)
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows({name: _unlike_a_formula(value) for name, value in row.items()} for row in rows)
        return out.getvalue()


def names(value: Any) -> list[str]:
    """Names from the browser.

    Raises:
        ValueError: this is no list of names.
    """
    if not isinstance(value, list) or len(value) > MOST_NAMES:
        raise ValueError("no list of names")
    if not all(isinstance(name, str) and len(name) <= LONGEST_NAME for name in value):
        raise ValueError("no names")
    return value


def _unlike_a_formula(value: Any) -> Any:
    """A spreadsheet runs what begins like a formula; a module's name may."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value
