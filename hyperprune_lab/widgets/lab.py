"""The Lab: all views of one run on one screen, sharing selection, moment, reference and theme through one desk.

Knows no numbers, and of the views inside only their names and where they stand.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import traitlets

import hyperprune_lab
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.runs import example, home_of_runs, latest
from hyperprune_lab.shelf import shelf
from hyperprune_lab.views import lab, theme
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Desk, Now
from hyperprune_lab.widgets.history import History, Past
from hyperprune_lab.widgets.look import Look
from hyperprune_lab.widgets.plain import plain
from hyperprune_lab.widgets.view import Answer, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_log = logging.getLogger(__name__)


class Part(NamedTuple):
    """A view inside the Lab: its ``data-hp-view``, its public name, its label on a tab, its key."""

    name: str
    public: str
    label: str
    key: str


PARTS = (
    Part("control", "RunControl", "Run", "7"),
    Part("map", "ModelMap", "Map", "1"),
    Part("mask", "MaskExplorer", "Mask", "2"),
    Part("findings", "Findings", "Findings", "9"),
    Part("outliers", "OutlierChannels", "Outliers", "3"),
    Part("reconstruction", "Reconstruction", "Errors", "4"),
    Part("forgetting", "Forgetting", "Forgetting", "5"),
    Part("hypernetwork", "Hypernetwork", "Network", "6"),
    Part("compare", "Compare", "Compare", "8"),
    Part("scrubber", "Scrubber", "Time", ""),
)
FIXED = ("control", "map", "mask", "scrubber")
TABS = tuple(part.name for part in PARTS if part.name not in FIXED)
MOST_REFERENCES = 30
_UNTOLD = frozenset({"compact", "height", "rounds", "folder", "window"})
"""Choices inside a view that follow from its room, or are too long to tell: no part of a look."""


class Lab(View):
    """Run row, model map, mask explorer and tabs over a scrubber; ``1`` to ``9`` go to the views.

    Without a run it opens the recorded example; if there is none, the newest run in the folder ``runs``.
    ``model`` is what a next run prunes, unless another is chosen.
    """

    _esm = esm("lab", "lab_layout", "lab_tour")
    _css = css("lab")

    view_name = "lab"
    title = "HyperPrune Lab"
    question = "One screen, one story."
    help = (
        ("1 2", "the map, the mask"),
        ("3 4 5 6", "outliers, reconstruction, forgetting, hypernetwork"),
        ("7 8 9", "the run, compare, findings"),
        (".", "replay the run, or pause the replay"),
        ("f", "give the view all the room, and back"),
        ("Backspace", "back to the previous look"),
        ("Tab, Enter, Esc", "next view, into its controls, out again"),
        ("m", "next measure of the view"),
        ("/", "in the map: select modules by regular expression"),
        ("← ↑ ↓ → Space", "move and select inside a view"),
        ("t", "the tour, three steps"),
        ("?", "this sheet; inside a view, how to read it"),
    )
    drawing: ClassVar[Any] = lab
    kinds = (
        *("RunStarted", "StageStarted", "BlockFinished", "ModuleDecided", "ModuleMeasured", "Notice"),
        *("RunStopped", "RunFailed", "RunFinished"),
    )
    follows = ("selection", "reference")
    needs_run = False

    tab = traitlets.Enum(TABS, "findings", help="The view in the tabbed pane.").tag(asked=True)
    beside = traitlets.Enum(
        TABS, "reconstruction", help="The view in a third pane, where there is room."
    ).tag(asked=True)
    maximized = traitlets.Enum(
        ("", *(part.name for part in PARTS[1:-1])), "", help="The view that has all the room."
    ).tag(asked=True)
    pane = traitlets.Enum(("mask", "tab"), "tab", help="What a narrow page shows below the map.").tag(
        asked=True
    )
    height = traitlets.Int(0, min=0, max=4000, help="Height in pixels; 0: what fits the window.").tag(
        asked=True
    )
    tour = traitlets.Bool(False, help="Whether the three-step tour is shown.").tag(asked=True)

    def __init__(
        self,
        source: Desk | Run | Path | str | None = None,
        *,
        reference: Run | Path | str | None = None,
        model: Path | str | None = None,
        **options: Any,
    ) -> None:
        self._lock = threading.RLock()
        self._parts: dict[str, View | None] = {}
        self._failures: dict[str, str] = {}
        self._usual: dict[str, dict[str, Any]] = {}
        self._pages: dict[str, tuple[str, ...]] = {}
        self._resting: set[str] = set()
        self._history = History()
        self._mask_height = 210
        self._model = None if model is None else str(model)
        opened = source
        if source is None:
            opened = first_run()
            options = {"tour": opened is not None, **options}
        super().__init__(opened, reference=reference, **options)
        self._history.begin(self._past())
        self.observe(self._swap, ["tab"])
        self.observe(self._looked, ["tab", "beside", "maximized"])
        self.desk.connect(self._desk_changed)

    # -- what a person uses

    @property
    def look(self) -> str:
        """What is before the eyes, as a short string for ``restore``."""
        return str(self._look())

    def restore(self, look: str) -> Lab:
        """Show what ``look`` tells. Views and modules that this run does not have are passed over.

        Raises:
            UserError: the string is no look, or its run is not found beside the one that is open.
        """
        wanted = Look.of(look)
        run = self._named_run(wanted.run, self.desk.run)
        reference = self._named_run(wanted.against, self.desk.reference) if wanted.against else None
        for name in ("tab", "beside", "maximized"):
            allowed = self.traits()[name].values
            if getattr(wanted, name) and getattr(wanted, name) not in allowed:
                raise UserError(f"The Lab has no view {getattr(wanted, name)!r}. Views: {', '.join(TABS)}.")
        with self._quietly():
            self._apply(Past(wanted, run, reference, following=False))
        self._looked()
        return self

    def back(self) -> None:
        """The look before the last change."""
        with self._lock:
            past = self._history.back()
        if past is not None:
            with self._quietly():
                self._apply(past)
            self._history.begin(self._past())

    def __getitem__(self, name: str) -> View:
        """The view of this name (``map``, ``mask``, ``outliers`` ...).

        Raises:
            UserError: there is none.
        """
        part = self._part(name) if name in {part.name for part in PARTS} else None
        if part is None:
            raise UserError(f"The Lab has no view {name!r}. Views: {', '.join(part.name for part in PARTS)}.")
        return part

    @property
    def text(self) -> str:
        """The Lab in words: its frame, then each view that is shown."""
        return "\n\n".join([super().text, *self._words()])

    def figure(self, theme_name: theme.Theme = "light") -> Figure:
        """The views that are shown, one below the other."""
        figures = [super().figure(theme_name)]
        for view in self._pictured():
            with suppress(UserError):
                figures.append(view.figure(theme_name))
        return lab.stacked(figures, theme_name)

    def snapshot(self, theme_name: theme.Theme = "light") -> None:
        from IPython.display import display

        picture = theme.png(self.figure(theme_name), theme_name)
        display({"image/png": picture, "text/plain": self.text}, raw=True)

    def close(self) -> None:
        for part in self._made():
            part.close()
        super().close()

    # -- what it draws

    def data(self, now: Now) -> lab.LabData:
        return lab.lab_data(
            now.run,
            as_of=now.seq,
            selection=now.selection,
            reference=now.reference,
            badge=now.status.badge,
            example=now.run is not None and _is_example(now.run),
        )

    def pandas_code(self, now: Now) -> str:  # noqa: ARG002
        return f"from hyperprune_lab import Lab\n\nlab = Lab(run)\nlab.restore({self.look!r})\nlab"

    def refresh(self) -> None:
        super().refresh()
        self._let_rest()

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """From a page: ``shown`` views, ``room`` for the mask, ``back``, and the run to hold this one ``against``."""
        match kind:
            case "shown":
                known = {part.name for part in PARTS}
                views = tuple(str(name) for name in content["views"] if name in known)
                with self._lock:
                    self._pages[str(content["page"])[:40]] = views
            case "room":
                self._mask_height = min(max(int(content["mask"]), 120), 4000)
                mask = self._parts.get("mask")
                if mask is not None:
                    mask.set_trait("height", self._mask_height)
            case "back":
                self.back()
            case "against":
                name = str(content["run"])
                self.desk.reference = self._named_run(name, self.desk.reference) if name else None

    def _answer_to(self, what: dict[str, Any]) -> Answer:
        if what.get("name") == "png":
            name: theme.Theme = "dark" if self.desk.theme == "dark" else "light"
            return None, [theme.png(self.figure(name), name)]
        return super()._answer_to(what)

    # -- inside: the views

    def _frame(self, now: Now) -> dict[str, Any]:
        shown = [name for name in self._shown() if self._part(name) is not None]
        frame = super()._frame(now)
        with self._lock:
            models = {name: view.model_id for name, view in self._parts.items() if view is not None}
            failures = dict(self._failures)
            can_go_back = self._history.can_go_back
        own = {
            "views": [
                {**part._asdict(), "id": models.get(part.name), "failure": failures.get(part.name, "")}
                for part in PARTS
            ],
            "tabs": TABS,
            "shown": shown,
            "back": can_go_back,
            "references": _references(now.run),
        }
        return {**frame, "payload": {**frame["payload"], **plain(own)}}

    def _shown(self) -> tuple[str, ...]:
        """The views that some page shows; before the first page has told, those of an ordinary one."""
        with self._lock:
            pages = [views for views in self._pages.values() if views]
        if not pages:
            return (*FIXED, self.tab)
        return tuple(dict.fromkeys(name for views in pages for name in views))

    def _part(self, name: str) -> View | None:
        """The view of this name, made when it is first shown."""
        # A new view asks the desk, and a change of the desk asks for views: the desk's lock always comes first.
        with self.desk.held(), self._lock:
            if name not in self._parts:
                self._parts[name] = made = self._make(name)
                if made is not None:
                    self._usual[name] = {option: getattr(made, option) for option in _told_options(made)}
                    made.observe(self._looked, list(self._usual[name]))
            return self._parts[name]

    def _make(self, name: str) -> View | None:
        public = next(part.public for part in PARTS if part.name == name)
        options: dict[str, Any] = (
            {"compact": self.maximized != name} if name in ("control", "map", "scrubber") else {}
        )
        if name == "mask":
            options["height"] = self._mask_height
        if name == "control" and self._model is not None:
            options["model"] = self._model
        try:
            return getattr(hyperprune_lab, public)(self.desk, **options)
        except Exception as error:  # a view that cannot be made must not take the others with it
            self._failures[name] = f"{type(error).__name__}: {error}"
            _log.debug("%s could not be made", public, exc_info=True)
            return None

    def _made(self) -> list[View]:
        with self._lock:
            return [view for view in self._parts.values() if view is not None]

    def _let_rest(self) -> None:
        """Keep only those views up to date that somebody sees."""
        shown = set(self._shown())
        with self._lock:
            made = {name: view for name, view in self._parts.items() if view is not None}
            woken = [name for name in made if name in shown and name in self._resting]
            resting = {name for name in made if name not in shown}
            fresh = resting - self._resting
            self._resting = resting
        for name in fresh:
            self.desk.pump.detach(made[name])
        for name in woken:
            self.desk.pump.attach(made[name])
            self.desk.pump.wake(made[name])

    def _pictured(self) -> list[View]:
        """The views that are shown, but for controls."""
        names = [name for name in self._shown() if name not in ("control", "scrubber")]
        return [view for view in map(self._part, names) if view is not None]

    def _words(self) -> Iterator[str]:
        for view in self._pictured():
            with suppress(UserError):
                yield f"{view.title}: {view.question}\n{view.text}"

    # -- inside: looks

    def _look(self) -> Look:
        run, reference = self.desk.run, self.desk.reference
        with self._lock:
            made = {name: view for name, view in self._parts.items() if view is not None}
            usual = {name: dict(options) for name, options in self._usual.items()}
        options = {
            f"{name}.{option}": getattr(view, option)
            for name, view in made.items()
            for option, value in usual[name].items()
            if getattr(view, option) != value
        }
        return Look(
            run="" if run is None else run.directory.root.name,
            tab=self.tab,
            beside=self.beside,
            maximized=self.maximized,
            select=self.desk.selection,
            moment=self.desk.moment,
            against="" if reference is None else reference.directory.root.name,
            options=plain(options),
        )

    def _past(self) -> Past:
        return Past(self._look(), self.desk.run, self.desk.reference, self.desk.following)

    def _apply(self, past: Past) -> None:
        desk, look = self.desk, past.look
        if past.run is not None and past.run is not desk.run:
            desk.open(past.run)
        if past.reference is not desk.reference:
            desk.reference = past.reference
        self.tab = look.tab or self.tab
        self.beside = look.beside or self.beside
        self.maximized = look.maximized
        for name in {key.partition(".")[0] for key in look.options} & {part.name for part in PARTS}:
            self._part(name)
        with self._lock:
            made = {name: view for name, view in self._parts.items() if view is not None}
        for name, view in made.items():
            for option, value in self._usual[name].items():
                # A look may come from another version, or from a view with other choices.
                with suppress(traitlets.TraitError, UserError, ValueError, TypeError):
                    setattr(view, option, look.options.get(f"{name}.{option}", value))
        if past.following:
            desk.follow()
            return
        known = set() if desk.run is None else {row["name"] for row in desk.run.started.get("coverage", [])}
        kept = [name for name in look.select if name in known or f"{name}.weight" in known]
        if kept or not look.select:
            desk.select(kept)
        desk.moment = look.moment

    def _named_run(self, name: str, now: Run | None) -> Run | None:
        """The run of this name: the one at hand, or one beside it, or an example."""
        if not name or (now is not None and now.directory.root.name == name):
            return now
        for entry in _neighbors(self.desk.run):
            if entry.name == name:
                return hyperprune_lab.open_run(entry.path)
        raise UserError(
            f"The run {name!r} is not beside the one that is open: open it, then restore the look."
        )

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Changes in here are no new looks."""
        with self._lock:
            self._history.paused = True
        try:
            yield
        finally:
            with self._lock:
                self._history.paused = False
            self._wake()

    def _looked(self, _: Any = None) -> None:
        with self._lock:
            self._history.note(self._past())
        self._wake()

    def _desk_changed(self, names: frozenset[str]) -> None:
        if "wanted" in names and self.desk.wanted is not None:
            self._bring(self.desk.wanted[0])
        if names & {"run", "reference", "selection", "moment"}:
            self._looked()

    def _bring(self, name: str) -> None:
        """Put the view that another one asks for before the eyes."""
        if name in TABS:
            self.pane = "tab"
            if self.maximized or name != self.beside:
                self.tab = name
        elif name == "mask":
            self.pane = "mask"
        if self.maximized and name in {part.name for part in PARTS} - {"control", "scrubber"}:
            self.maximized = ""

    def _swap(self, change: Any) -> None:
        # What stands beside goes where the tab was.
        if change["new"] == self.beside:
            self.beside = change["old"]

    @traitlets.observe("maximized")
    def _room(self, change: Any) -> None:
        board = self._parts.get("map")
        if board is not None:
            board.set_trait("compact", change["new"] != "map")


def first_run() -> Run | None:
    """What the Lab opens by itself: the example run, or the newest one in the folder ``runs``, or nothing."""
    for find in (example, lambda: latest(home_of_runs())):
        with suppress(UserError):
            return find()
    return None


def _told_options(view: View) -> list[str]:
    return [name for name in sorted(view.trait_names(asked=True)) if name not in _UNTOLD]


def _is_example(run: Run) -> bool:
    with suppress(UserError):
        from hyperprune_lab.folders import data_folder

        return run.directory.root.resolve().is_relative_to(data_folder().resolve())
    return False


def _neighbors(run: Run | None) -> list[Any]:
    """The runs beside this one, and the examples."""
    folders: list[Path] = [] if run is None else [run.directory.root.resolve().parent]
    with suppress(UserError):
        from hyperprune_lab.folders import data_folder
        from hyperprune_lab.runs import EXAMPLES

        folders.append(data_folder() / EXAMPLES)
    return shelf(folders)


def _references(run: Run | None) -> list[dict[str, str]]:
    """The runs that this one can be held against: of the same model, with something decided."""
    if run is None:
        return []
    own = run.directory.root.resolve()
    mine = str(run.started.get("model", {}).get("name", ""))
    fit = [
        entry
        for entry in _neighbors(run)
        if entry.path.resolve() != own and entry.model in (mine, None) and entry.last_seq and entry.pattern
    ]
    return [
        {"name": entry.name, "label": f"{theme.shown_name(entry.name, 30)} ({entry.method} {entry.pattern})"}
        for entry in fit[:MOST_REFERENCES]
    ]
