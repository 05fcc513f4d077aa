"""The live comparison: a table of runs, where their masks differ, and which words one of them broke.

Knows no numbers: they come from ``hyperprune_lab.views.compare``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import traitlets

from hyperprune_lab.analysis.scoreboard import STATES
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.runs import EXAMPLES
from hyperprune_lab.shelf import ShelfEntry, shelf
from hyperprune_lab.views import compare, compare_export, theme
from hyperprune_lab.views.compare_columns import COLUMNS
from hyperprune_lab.views.compare_masks import MEASURES
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Desk, Now, as_desk, as_run
from hyperprune_lab.widgets.view import Answer, Measure, View

PATIENCE_SECONDS = 0.3
"""A page waits this long for the masks of large runs to be compared, then shows what there is and goes on."""
MOST_CANDIDATES = 40
_SORTS = {"", "name", "-name", *(f"{sign}{column.key}" for column in COLUMNS for sign in ("", "-"))}


class Compare(View):
    """Runs side by side. Of a list of runs the first is the reference that the others are held against.

    On a desk it shows the desk's run and its reference; ``others`` adds runs from the folders of these two (or any,
    given as runs or paths).
    """

    _esm = esm("compare", "marks", "compare_table", "compare_words")
    _css = css("compare")

    view_name = "compare"
    title = "Compare"
    question = "What differs, and which words broke?"
    help = (
        (
            "How to read it.",
            "The table has one row a run, the reference pinned on top; ★ is the best of its column, ☆ not to be told "
            "from the best on this text. Masks: the darker a cell, the fewer groups are decided differently. Words: "
            "both models read the same text and were given the true words before each token; orange tokens cost this "
            "run more nats than the other, blue ones fewer, white within ±0.1. A solid underline says worse, a dotted "
            "one better, and the thicker the more.",
        ),
        (
            "How it can mislead.",
            "Perplexities compare only under one protocol: other texts or windows stand apart. The weights of a "
            "compensated model were changed, so hold it against other compensated ones. A token may look bad although "
            "both guess it badly. Free continuations differ after one other word, which says little about quality. "
            "Times are those of the machines on which the runs ran.",
        ),
    )
    measures = tuple(Measure(one.name, one.label) for one in MEASURES.values())
    drawing: ClassVar[Any] = compare
    kinds = (
        *(
            "RunStarted",
            "ModuleDecided",
            "BlockFinished",
            "StageStarted",
            "StageFinished",
            "EvaluationFinished",
        ),
        *("RunStopped", "RunFailed", "RunFinished"),
    )
    follows = ("reference",)

    others = traitlets.List(traitlets.Unicode(), help="Further runs, by name.").tag(asked=True)
    focus = traitlets.Unicode("", help="The run whose masks and words are shown; empty: the desk's.").tag(
        asked=True
    )
    weights = traitlets.Enum(
        STATES,
        STATES[0],
        help="Whether words and continuations are those of the mask alone or of compensated weights.",
    ).tag(asked=True)
    against = traitlets.Enum(("reference", "dense"), "reference", help="What words are held against.").tag(
        asked=True
    )
    domain = traitlets.Unicode("", help="The text that is shown; empty: the one with the worst token.").tag(
        asked=True
    )
    page = traitlets.Int(-1, min=-1, help="Its page; -1: the one with the worst token.").tag(asked=True)
    sort = traitlets.Enum(sorted(_SORTS), "", help="A column, with - the largest first.").tag(asked=True)
    part = traitlets.Enum(("masks", "words", "texts"), "words", help="What a narrow page shows.").tag(
        asked=True
    )
    rounds = traitlets.Int(0, help="How often reading went on, or the shelf was looked at.").tag(asked=True)

    def __init__(
        self,
        source: Sequence[Run | Path | str] | Desk | Run | Path | str | None = None,
        *,
        reference: Run | Path | str | None = None,
        others: Sequence[Run | Path | str] = (),
        **options: Any,
    ) -> None:
        self._hurried = threading.local()
        self._opened: dict[Path, Run] = {}
        self._settled: set[Path] = set()
        self._left = 0
        first: Any = source
        if isinstance(source, list | tuple):
            runs = [as_run(one) for one in source]
            if not runs:
                raise UserError("There is nothing to compare: name runs, as in Compare([one, other]).")
            if reference is None and len(runs) > 1:
                reference, *runs = runs
            first, others = runs[0], [*runs[1:], *others]
        # A name is one of a run beside those that are open; whatever else is given is opened here.
        self.desk = as_desk(first, reference)
        self._given = [
            as_run(one) for one in others if not isinstance(one, str) or Path(one).expanduser().is_dir()
        ]
        for run in (self.desk.run, self.desk.reference, *self._given):
            if run is not None:
                self._opened.setdefault(_where(run), run)
        named = {_where(run): name for name, run in self._known().items() if isinstance(run, Run)}
        names = [one for one in others if isinstance(one, str) and not Path(one).expanduser().is_dir()]
        super().__init__(self.desk, others=[*(named[_where(run)] for run in self._given), *names], **options)
        # What was left to read when the view was made: the pump may have gone on before it knew the view.
        if self._left:
            self._wake()

    # -- what a person uses

    def table(self) -> pd.DataFrame:
        """The table, one row a run, with every figure unrounded."""
        return pd.DataFrame(compare.table(self._draw(self._now()).data))

    def latex(self) -> str:
        """The table as LaTeX (packages booktabs and, for the groups, nothing else); the best are bold."""
        return compare_export.latex(self._draw(self._now()).data)

    def parquet(self, path: Path | str) -> Path:
        """Write the table as a Parquet file.

        Raises:
            UserError: the folder is not there.
        """
        path = Path(path).expanduser()
        if not path.parent.is_dir():
            raise UserError(f"There is no folder {path.parent} to write the table to.")
        path.write_bytes(compare_export.parquet(self._draw(self._now()).data))
        return path

    # -- what it draws

    def data(self, now: Now) -> compare.CompareData:
        assert now.run is not None
        entries = self._shelf(now)
        known = self._known(now, entries)
        named = {_where(one) if isinstance(one, Run) else one: name for name, one in known.items()}
        own = named[_where(now.run)]
        against = None if now.reference is None else named[_where(now.reference)]
        shown = {own: now.run}
        if against is not None and now.reference is not None:
            shown.setdefault(against, now.reference)
        for name in self.others:
            with suppress(UserError):  # a run that went away, or is damaged: the others stay
                shown.setdefault(name, self._run(name, known))
        hurried = self._in_a_hurry
        found = compare.compare_data(
            shown,
            as_of=now.seq,
            replayed=own,
            reference=against,
            focus=self.focus or (None if own == against else own),
            state=self.weights,
            against=self.against,
            measure=self.measure,
            domain=self.domain,
            page=self.page,
            sort=self.sort,
            candidates=_candidates(known, entries, shown),
            removable=self.others,
            seconds=PATIENCE_SECONDS if hurried else None,
        )
        self._left = found.map.left + found.matrix.left
        if hurried and self._left:
            self.desk.pump.do(self._go_on)
        return found

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """``add``, ``remove``, ``pin`` (as the reference; none if empty) or ``open`` a run; ``shelf``: look again."""
        name = str(content.get("run", ""))[:2000]
        match kind:
            case "shelf":
                self._go_on()
            case "add" if name not in self.others:
                self.others = [*self.others, name][-compare.MOST_RUNS :]
                self.focus = name
            case "remove":
                self.others = [other for other in self.others if other != name]
                self.focus = "" if self.focus == name else self.focus
            case "pin":
                self.desk.pump.do(lambda: self._pin(name))
            case "open":
                self.desk.pump.do(lambda: self._show_everywhere(name))

    def on_ask(self, what: Mapping[str, Any], now: Now) -> Answer:
        data = self._draw(now).data
        match what.get("name"):
            case "latex":
                return None, [compare_export.latex(data).encode("utf-8", "replace")]
            case "parquet":
                return None, [compare_export.parquet(data)]
        raise UserError("This view has no answer to that.")

    def pandas_code(self, now: Now) -> str:
        lines = ["from hyperprune_lab.analysis import scoreboard, tokenloss", ""]
        if now.reference is None or self.against == "dense":
            lines += [f'shared = tokenloss.shared_text(run, "{self.weights}", run, "dense")']
        else:
            root = str(now.reference.directory.root)
            lines += [f"other = open_run({root!r})", "print(scoreboard.standing(other))"]
            lines += [f'shared = tokenloss.shared_text(run, "{self.weights}", other, "{self.weights}")']
        lines += ["print(scoreboard.standing(run))", "print(tokenloss.difference(shared.domains))"]
        return "\n".join([*lines, "tokenloss.extremes(shared.domains, 12)"])

    # A page need not wait until large masks are compared; a person who asks for the text or the picture does.

    def refresh(self) -> None:
        with self._hurry():
            super().refresh()

    def open(self) -> None:
        with self._hurry():
            super().open()

    @property
    def _in_a_hurry(self) -> bool:
        return getattr(self._hurried, "now", False)

    @contextmanager
    def _hurry(self) -> Iterator[None]:
        self._hurried.now = True
        try:
            yield
        finally:
            self._hurried.now = False

    def _key(self, now: Now) -> object:
        beside = []
        for path, run in tuple(self._opened.items()):
            if run not in (now.run, now.reference) and path not in self._settled:
                state = run.state
                beside.append((path, run.generation, run.last_seq, state))
                if state == "finished":
                    self._settled.add(path)
        # Words and pictures for a person are complete, whatever was left undone for a page.
        return super()._key(now), tuple(beside), not self._in_a_hurry and self._left > 0

    def _go_on(self) -> None:
        self.rounds += 1

    # -- inside: runs by name

    def _known(
        self, now: Now | None = None, entries: Sequence[ShelfEntry] | None = None
    ) -> dict[str, Run | Path]:
        """Everything that can be compared, by the name that it is shown with: a folder's, or more of its path where
        two have the same. Those at hand come first, so that their names stay.
        """
        run, reference = (self.desk.run, self.desk.reference) if now is None else (now.run, now.reference)
        if entries is None:
            entries = self._shelf(now)
        places: dict[Path, Run | Path] = {}
        for one in (run, reference, *self._given):
            if one is not None:
                places.setdefault(_where(one), one)
        for entry in entries:
            where = entry.path.resolve()
            places.setdefault(where, self._opened.get(where, where))
        named: dict[str, Run | Path] = {}
        for where, what in places.items():
            parts = where.parts
            names = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
            named[next((name for name in names if name not in named), str(where))] = what
        return named

    def _run(self, name: str, known: Mapping[str, Run | Path]) -> Run:
        """Opened once.

        Raises:
            UserError: there is no such run here, or it cannot be opened.
        """
        what = known.get(name)
        if what is None:
            raise UserError(f"There is no run {theme.shown_name(name)!r} beside the one that is open.")
        if isinstance(what, Run):
            return what
        if what not in self._opened:
            self._opened[what] = open_run(what)
        return self._opened[what]

    def _shelf(self, now: Now | None) -> list[ShelfEntry]:
        run, reference = (self.desk.run, self.desk.reference) if now is None else (now.run, now.reference)
        folders = [_where(one).parent for one in (run, reference, *self._given) if one is not None]
        with suppress(UserError):
            from hyperprune_lab.folders import data_folder

            folders.append(data_folder() / EXAMPLES)
        return [entry for entry in shelf(dict.fromkeys(folders)) if entry.last_seq][: 4 * MOST_CANDIDATES]

    def _show_everywhere(self, name: str) -> None:
        with suppress(UserError):
            run = self._run(name, self._known())
            self._keep(self.desk.run, but=name)
            self.others = [other for other in self.others if other != name]
            self.focus = ""
            self.desk.open(run)

    def _pin(self, name: str) -> None:
        before = self.desk.reference
        try:
            run = self._run(name, self._known()) if name else None
        except UserError:
            return
        self._keep(before, but=name)
        self.others = [other for other in self.others if other != name]
        if self.focus == name:
            self.focus = ""
        self.desk.reference = run

    def _keep(self, run: Run | None, but: str) -> None:
        """A run that the desk lets go stays in the table."""
        if run is None:
            return
        self._opened.setdefault(_where(run), run)
        name = next((name for name, one in self._known().items() if one is run), None)
        if name is not None and name != but and name not in self.others:
            self.others = [*self.others, name]


def _candidates(
    known: Mapping[str, Run | Path], entries: Sequence[ShelfEntry], shown: Mapping[str, Run]
) -> list[tuple[str, str]]:
    """What can be added: names, and labels with method and pattern."""
    by_path = {entry.path.resolve(): entry for entry in entries}
    found = []
    for name, what in known.items():
        entry = by_path.get(what if isinstance(what, Path) else _where(what))
        if name in shown or entry is None or entry.state in ("damaged", "foreign"):
            continue
        about = " ".join(word for word in (entry.method, entry.pattern) if word)
        state = "" if entry.state == "finished" else f", {entry.state}"
        found.append((name, f"{theme.shown_name(name, 40)} ({theme.shown_name(about, 40)}{state})"))
    return found[:MOST_CANDIDATES]


def _where(run: Run) -> Path:
    return run.directory.root.resolve()
