"""The live run control: look before a run, start it, watch it, pause, stop and resume it; and the shelf of runs.

Knows nothing about how runs are carried out or looked at; it asks, and shows what comes back.
"""

from __future__ import annotations

import contextlib
import secrets
import time
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from hyperprune_lab.analysis.progress import Quality, progress, quality
from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import data_folder
from hyperprune_lab.pipeline.controller import drop_reins
from hyperprune_lab.record.lock import Owner
from hyperprune_lab.record.reader import Run
from hyperprune_lab.runs import EXAMPLES, home_of_runs
from hyperprune_lab.shelf import ShelfEntry, entry_of
from hyperprune_lab.views import run_control
from hyperprune_lab.views.run_control import RunControlData, Shown
from hyperprune_lab.widgets import start_form
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.run_jobs import Jobs
from hyperprune_lab.widgets.shelf import ShelfWatch
from hyperprune_lab.widgets.view import View, names

_CONTROLS: weakref.WeakValueDictionary[str, RunControl] = weakref.WeakValueDictionary()
"""The controls of this process, by their token."""
_LONGEST_EXPRESSION = 500


class Typed(traitlets.Unicode[str, Any]):
    """A setting as a person types it: a number will do, and None is nothing."""

    def validate(self, obj: Any, value: Any) -> str:  # noqa: ARG002  # traitlets' signature
        return start_form.cleaned(value)


def _setting(name: str) -> Any:
    return Typed(help=f"{name}; empty: its default.").tag(asked=True)


class RunControl(View):
    """What will happen, and what is happening: one row at rest, everything else when it is asked for.

    Runs live in processes of their own. A kernel that was restarted finds its run on the shelf and follows it again.
    """

    _esm = esm("run_control")
    _css = css("run_control")

    view_name = "control"
    title = "Run control"
    question = "What will happen, and what is happening?"
    help = (
        (
            "How to use it.",
            "Choose a model, a pattern, a method and a budget. Check says what will be pruned, how long it takes and "
            "how much memory; Start looks as well and then begins. A run lives in a process of its own: the notebook "
            "stays free, and neither a closed tab nor a restarted kernel ends it. Pause and Stop are heard after the "
            "step at work; what is stopped can be resumed. Keys: c checks, p pauses and goes on, o opens the other "
            "settings, r the runs.",
        ),
        (
            "How it can mislead.",
            "Times are ranges, from a run like it or from this machine's speed, and they are corrected as stages end. "
            "The mean error so far weighs every matrix alike and is that of each matrix on its own input: it says "
            "little about the model's perplexity, which is measured at the end.",
        ),
    )
    drawing: ClassVar[Any] = run_control
    kinds = (
        *("RunStarted", "StageStarted", "BlockStarted", "StepMeasured", "BlockFinished", "StageFinished"),
        *("ModuleDecided", "EvaluationFinished", "CheckpointReached", "Notice"),
        *("RunPaused", "RunResumed", "RunStopped", "RunFailed", "RunFinished"),
    )
    follows = ("scope", "reference")
    needs_run = False

    model = _setting("A hub name, a local folder, or demo")
    pattern = _setting("n:m")
    method = _setting("The method")
    budget = _setting("quick, normal or thorough")
    preset = _setting("lab, paper or released")
    objective = _setting("mask-only or compensated")
    outlier_weight = _setting("λ1")
    continual_weight = _setting("λ2")
    compensation = _setting("none, linear, block or model")
    calibration_text = _setting("A file, stories, wikitext2 or c4")
    samples = _setting("Calibration windows")
    window = _setting("Tokens a window")
    seed = _setting("A whole number")
    device = _setting("auto, cpu, cuda ...")
    out = _setting("The folder of the record")
    overrides: traitlets.List[Any] = traitlets.List(help="Pairs of an expression and dense or n:m.").tag(
        asked=True
    )
    more = traitlets.Bool(False, help="Whether all settings are shown.").tag(asked=True)
    shelf_open = traitlets.Bool(False, help="Whether the runs are listed.").tag(asked=True)
    new_run = traitlets.Bool(False, help="Whether the form is shown though a run is at work.").tag(asked=True)
    compact = traitlets.Bool(False, help="One row; everything else unfolds over what is below.").tag(
        asked=True
    )
    details = traitlets.Bool(False, help="Whether the run is shown in full where the view is compact.").tag(
        asked=True
    )
    folders: traitlets.List[str] = traitlets.List(
        traitlets.Unicode(),
        help="Folders of runs; empty: the project's and the examples. New runs go to the first.",
    ).tag(asked=True)
    reattach = traitlets.Bool(True, help="Whether a run that was left alone is followed again.").tag(
        asked=True
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        self.token = secrets.token_hex(8)
        self._watch = ShelfWatch(self._watched, self._noticed)
        self._jobs = Jobs(self.token, self._wake, self._begun)
        self._quality: tuple[object, Quality] | None = None
        self._expected: tuple[object, dict[str, tuple[float, float]] | None] | None = None
        self._began = False
        self._reached_for: Path | None = None
        self._visited: dict[Path, None] = {}
        _CONTROLS[self.token] = self
        super().__init__(*args, **options)

    # -- what a person does, in Python as in the browser; nothing here waits

    def check(self) -> None:
        """Look before the run: what it would prune and take, and what stands in its way."""
        self._jobs.check(self._request(), self.home, self._earlier())

    def start(self) -> None:
        """Begin the run, in a process of its own, if nothing stands in its way; the desk follows it at once."""
        self._jobs.start(self._request(), self.home, self._earlier())

    def pause(self) -> None:
        """Let the run on the desk wait after the step at work."""
        self._steer("pause")

    def resume(self) -> None:
        """Let the run on the desk go on: a paused one where it is, an interrupted one from its last checkpoint."""
        entry = self._here_now()
        if entry is not None and entry.running:
            self._steer("run")
        elif entry is not None and entry.resumable:
            self._jobs.resume(entry.path)

    def stop(self) -> None:
        """End the run on the desk after the step at work; it can be resumed."""
        self._steer("stop")

    def take_over(self) -> None:
        """Steer the run on the desk from here, whoever did before."""
        entry = self._here_now()
        if entry is not None and entry.running:
            self._jobs.take_over(entry.path, self._watch.look)

    @property
    def busy(self) -> bool:
        """Whether something that was asked for is still being done."""
        return self._jobs.state.work is not None

    @property
    def home(self) -> Path:
        """The folder that new runs are written to."""
        return Path(self.folders[0]).expanduser().absolute() if self.folders else home_of_runs()

    def close(self) -> None:
        """Leave the page; runs that have begun go on."""
        _CONTROLS.pop(self.token, None)
        watch, jobs = getattr(self, "_watch", None), getattr(self, "_jobs", None)
        if watch is not None:
            watch.end(seconds=2.0)
        if jobs is not None:
            jobs.close()
        # Only now: what was on its way may have taken them.
        desk = getattr(self, "desk", None)
        if desk is not None and desk.run is not None:
            with contextlib.suppress(OSError, NameError):  # a process that ends lets go in any case
                drop_reins(desk.run.directory.root, self.token)
        super().close()

    # -- drawing

    def data(self, now: Now) -> RunControlData:
        jobs = self._jobs.state
        values, request = self._values(), self._request()
        looked = jobs.looked
        if looked is not None:
            looked = replace(looked, fresh=jobs.asked == request)
        shelf = self._watch.entries
        models = [entry.model for entry in shelf if entry.model and entry.state != "foreign"]
        answer = looked.answer if looked is not None and looked.fresh else None
        method, pattern = values["method"] or "hyperprune", (values["pattern"] or "2:4").replace(":", "of")
        named = f"{self.home.name}/<time>-{method}-{pattern}"
        return RunControlData(
            form=start_form.form_of(values, self.overrides, now.scope, answer, models, named),
            seq=now.seq,
            looked=looked,
            work=jobs.work,
            trouble=jobs.trouble,
            shown=None if now.run is None else self._shown(now, now.run),
            shelf=shelf,
            home=self.home,
            examples=_examples(),
            shelf_open=self.shelf_open,
            reference=None if now.reference is None else now.reference.directory.root.absolute(),
        )

    def pandas_code(self, now: Now) -> str:  # noqa: ARG002  # the code is about the run to come, not the one shown
        return "run.started['config']"

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """What a person asked for in the browser; only handed on."""
        match kind:
            case "check":
                self.check()
            case "start":
                self.start()
            case "pause":
                self.pause()
            case "resume":
                if content.get("path") is None:
                    self.resume()
                elif (entry := self._listed(content)) is not None and entry.resumable:
                    self._jobs.resume(entry.path)
            case "stop":
                self.stop()
            case "take over":
                self.take_over()
            case "cancel":
                self._jobs.cancel()
            case "dismiss":
                self._jobs.dismiss()
            case "warm":
                if start_form.unable() is None:
                    self._jobs.warm()
            case "open":
                if (entry := self._listed(content)) is not None:
                    path = entry.path
                    self._jobs.do(lambda: self._open(path))
            case "reference":
                if (entry := self._listed(content)) is not None:
                    path = entry.path
                    self._jobs.do(lambda: self._hold_against(path))
            case "defaults":
                for name in start_form.FOLDED:
                    setattr(self, name, "")
            case "rule":
                expression, wanted = (
                    str(content["expression"])[:_LONGEST_EXPRESSION],
                    str(content["wanted"])[:20],
                )
                if expression:
                    self.overrides = [*self.overrides, [expression, wanted]]
            case "unrule":
                gone = [str(content["expression"]), str(content["wanted"])]
                self.overrides = [pair for pair in self.overrides if list(pair) != gone]
            case "unscope":
                wanted_back = set(names(content["modules"]))
                scope = self.desk.scope
                self.desk.scope = {name: what for name, what in scope.items() if name not in wanted_back}

    # -- inside

    def open(self) -> None:
        if not self._began:
            self._began = True
            self._watch.look()
            if self.reattach:
                self._reattach()
        super().open()

    @traitlets.validate("overrides")
    def _pairs(self, proposal: Any) -> list[list[str]]:
        pairs = [[str(part)[:_LONGEST_EXPRESSION] for part in pair] for pair in proposal["value"][:200]]
        if any(len(pair) != 2 for pair in pairs):
            raise UserError("Overrides are pairs: an expression, and 'dense' or a pattern.")
        return pairs

    def _handle(self, kind: str, content: dict[str, Any]) -> None:
        super()._handle(kind, content)
        if kind in ("hello", "bye"):
            self._watch.begin() if self._shown_in else self._watch.end()

    def _key(self, now: Now) -> object:
        here = self._here_now()
        # Whoever steers the run may close the page, of which no record tells.
        other = None if here is None else self._steered_by_another(here)
        return super()._key(now), self._watch.looks, self._jobs.state.version, other

    def _now(self) -> Now:
        """The desk's, with less around it: where the run stands is told below, and what to do about it has a button."""
        now = super()._now()
        problem = now.status.problem
        if problem is not None and problem.get("kind") == "run":
            problem = None
        return replace(now, status=replace(now.status, problem=problem, badge=now.status.badge.split(",")[0]))

    def _code(self, now: Now) -> str:  # noqa: ARG002  # the run to come has nothing to do with the moment
        return start_form.code_of(self._request())

    def _values(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in start_form.NAMES}

    def _request(self) -> start_form.Request:
        return start_form.request_of(self._values(), self.overrides, self.desk.scope)[0]

    def _watched(self) -> list[Path]:
        """The folders on the shelf, and the runs that are or were on the desk, wherever they lie."""
        for run in (self.desk.run, self.desk.reference):
            if run is not None:
                self._visited[run.directory.root.absolute()] = None
        if self.folders:
            return [*(Path(folder).expanduser().absolute() for folder in self.folders), *self._visited]
        examples = _examples()
        return [self.home, *([] if examples is None else [examples]), *self._visited]

    def _earlier(self) -> tuple[Path, ...]:
        return tuple(self._watched())

    def _here(self) -> ShelfEntry | None:
        """The run on the desk."""
        run = self.desk.run
        if run is None:
            return None
        return self._watch.entry(run.directory.root) or entry_of(run.directory.root.absolute())

    def _here_now(self) -> ShelfEntry | None:
        """The run on the desk as it is at this moment: where no page shows the control, no thread has looked."""
        if not self._shown_in:
            self._watch.look()
        return self._here()

    def _shown(self, now: Now, run: Run) -> Shown:
        entry = self._here()
        assert entry is not None
        upto = now.seq if now.replayed else None
        done = progress(run, upto)
        moment = (id(run), run.generation, run.newest_seq(("ModuleDecided",), now.seq))
        if self._quality is None or self._quality[0] != moment:
            self._quality = (moment, quality(run, upto))
        live = entry.running and not now.replayed
        expected = None
        if live:
            found = self._jobs.expected(entry.path)
            key = (entry.path, found is None)
            if self._expected is None or self._expected[0] != key:
                self._expected = (key, run_control.expected_seconds(entry, self._watch.entries, found))
            expected = self._expected[1]
        examples = _examples()
        return Shown(
            entry,
            done,
            self._quality[1],
            pace=run_control.pace_of(run, expected) if live else None,
            waited=max(0.0, time.time() - done.newest) if live and entry.state == "live" else 0.0,
            threads=run.environment.get("threads"),
            follows=self._steered_by_another(entry),
            example=examples is not None and examples in entry.path.parents,
            replayed=now.replayed,
        )

    def _steered_by_another(self, entry: ShelfEntry) -> str | None:
        """Who steers this run, if it is not this control and still there."""
        held = self._watch.reins(entry.path)
        if held is None or held.token == self.token:
            return None
        if held.owner != Owner.this_process():
            return str(held)
        other = _CONTROLS.get(held.token)
        return None if other is None or not other.attended else "another run control of this notebook"

    @property
    def attended(self) -> bool:
        """Whether a page shows it, or it has not been shown yet."""
        return not self._was_shown or bool(self._shown_in)

    def _steer(self, word: str) -> None:
        entry = self._here_now()
        if entry is None or not self._steerable(entry):
            return
        held = self._watch.reins(entry.path)
        if held is None or held.token != self.token:
            self._jobs.take_over(entry.path, self._watch.look)
        self._jobs.steer(entry.path, word, self._watch.look)

    def _steerable(self, entry: ShelfEntry) -> bool:
        return entry.running and entry.owner_here and self._steered_by_another(entry) is None

    def _listed(self, content: Mapping[str, Any]) -> ShelfEntry | None:
        """The run that the browser names, if it is on the shelf."""
        return self._watch.entry(Path(str(content["path"])))

    def _open(self, path: Path) -> None:
        self.desk.open(path)
        self.new_run = False
        self._watch.look()
        self._noticed()

    def _hold_against(self, path: Path) -> None:
        reference = self.desk.reference
        same = reference is not None and reference.directory.root.absolute() == path.absolute()
        self.desk.reference = None if same else Run(path)

    def _begun(self, path: Path) -> None:
        """A run has begun, or gone on: follow it."""
        self.desk.open(path)
        self.new_run = False
        self._watch.look()

    def _noticed(self) -> None:
        """The shelf or the desk shows something new: take the reins of the run on the desk if they lie free."""
        entry = self._here()
        free = entry is not None and self._steerable(entry) and self._watch.reins(entry.path) is None
        if entry is not None and free and self._reached_for != entry.path:
            self._reached_for = entry.path  # once: a folder may be for reading only
            self._jobs.take_over(entry.path, self._watch.look)
        self._wake()

    def _reattach(self) -> None:
        """Follow the newest run of this project that is at work and that nobody looks after."""
        run = self.desk.run
        if run is not None and run.state == "running":
            return
        for entry in self._watch.entries:
            if not (entry.running and entry.owner_here and self.home in entry.path.parents):
                continue
            left_alone = (entry.path / "controller").exists() and self._steered_by_another(entry) is None
            if run is None or left_alone:
                self.desk.open(entry.path)
                self._noticed()
                return


def _examples() -> Path | None:
    try:
        return data_folder() / EXAMPLES
    except UserError:
        return None
