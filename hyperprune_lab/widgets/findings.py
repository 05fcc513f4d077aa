"""The live findings: what is wrong, why, what to do, and what another setting would change.

Knows no numbers: they come from ``hyperprune_lab.views.findings``; trials are answered by a process of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from hyperprune_lab.analysis.linears import require_linear
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.views import findings
from hyperprune_lab.views.findings import LINKS, ORDERS
from hyperprune_lab.views.findings_words import METHODS
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.diagnosing import NOTHING_YET, Diagnoses
from hyperprune_lab.widgets.view import LONGEST_NAME, Measure, View
from hyperprune_lab.widgets.what_if import Trials, unable

if TYPE_CHECKING:
    from hyperprune_lab.pipeline.inquiry import Inquiry

PATIENCE_SECONDS = 0.3
"""A page waits this long for a diagnosis, then shows the one before it."""
MOST_SAMPLES = 4096


class Findings(View):
    """Modules ranked by what they cost; for the selected one its cause, a remedy, and a what-if to try it."""

    _esm = esm("findings", "marks")
    _css = css("findings")

    view_name = "findings"
    title = "Findings"
    question = "Why did this layer fail?"
    help = (
        (
            "How to read it.",
            "Each row is one module. Damage is what the model gets back, in nats per token, when this module alone is "
            "dense again (the line: two standard errors). Error over trend holds its error against what others of its "
            "kind lead one to expect at its depth. ✕ failing: something is broken; ▲ doubtful: worth mending; ○ good "
            "to know. Choose a row for its cause, the numbers behind it and a remedy; a what-if prunes its block once "
            "more with another setting and runs the model to its end. Nothing of it enters the record.",
        ),
        (
            "How it can mislead.",
            "A module can do much damage without any fault: the model leans on it. Damages do not add up, since errors "
            "of several modules act on one another. A cause is what the record shows, not what was done; of two that "
            "fit, both are told. A what-if judges on few windows: trust its interval, not its middle. It keeps the "
            "rest of the model as it is, on the original weights.",
        ),
        ("Keys.", "↑ ↓ Home End: choose a module. w: try the remedy. a: all modules, or the first ones."),
    )
    measures = tuple(Measure(order.name, order.label) for order in ORDERS.values())
    drawing: ClassVar[Any] = findings
    kinds = ("RunStarted", "BlockFinished", "StageFinished", "RunStopped", "RunFailed", "RunFinished")

    everything = traitlets.Bool(False, help="Whether all modules are listed.").tag(asked=True)

    def __init__(self, *args: Any, **options: Any) -> None:
        self._hurried = threading.local()
        self._diagnoses = Diagnoses(self._wake_soon)
        self._trials = Trials(self._wake_soon)
        super().__init__(*args, **options)

    # -- what a person uses

    def what_if(
        self,
        module: str | None = None,
        *,
        method: str | None = None,
        pattern: str | None = None,
        dense: bool = False,
        samples: int | None = None,
        whole_block: bool = False,
    ) -> Inquiry:
        """Ask what would change if ``module`` (default: the selected one) were pruned otherwise, or left dense.

        Returns at once; ``.wait()`` for its ``.answer``. Without any setting the remedy of the module's likeliest
        cause is tried.

        Raises:
            UserError: nothing can be tried here or now, or there is no such setting.
        """
        now = self._now()
        data = self._draw(now).data
        name = module or data.focus
        if name is None:
            raise UserError("Select a module first: view.desk.select([name]).")
        chosen = method or pattern or dense or samples or whole_block
        remedies = [
            finding.what_if for finding in data.findings if finding.module == name and finding.what_if
        ]
        if remedies and not chosen:
            return self._ask(now, name, remedies[0])
        dense = dense or not chosen
        return self._ask(now, name, self._setting(now, name, method, pattern, dense, samples, whole_block))

    @property
    def busy(self) -> bool:
        """Whether an answer to a what-if is still to come."""
        return self._trials.busy

    def close(self) -> None:
        trials = getattr(self, "_trials", None)
        if trials is not None:
            trials.close()
        super().close()

    # -- what it draws

    def data(self, now: Now) -> findings.FindingsData:
        assert now.run is not None
        # A click must not read the record again, and a page not wait for a large one.
        patience = PATIENCE_SECONDS if self._in_a_hurry else None
        found = self._diagnoses.of(now.run, now.run.newest_seq(self.kinds, now.seq), patience)
        return findings.findings_data(
            now.run,
            as_of=now.seq,
            diagnosis=found.diagnosis or NOTHING_YET,
            order=self.measure,
            everything=self.everything,
            selection=now.selection,
            trials=self._trials.of(now.run.directory.root),
            cannot_try=self._cannot_try(now),
            pending=not found.present,
        )

    def pandas_code(self, now: Now) -> str:
        as_of = f", as_of={now.seq}" if now.replayed else ""
        code = f"from hyperprune_lab.analysis.diagnosis import diagnose\n\ndiagnosis = diagnose(run{as_of})\n"
        if now.focus is not None:
            code += f"print(*(finding.sentence for finding in diagnosis.of({now.focus!r})), sep='\\n')\n"
        return code + "diagnosis.modules.head(12)"

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """``try`` a setting, ``cancel`` or ``forget`` a trial, ``warm`` up, ``open`` a link of a finding."""
        match kind:
            case "try":
                self._try(content)
            case "cancel":
                self._trials.cancel(int(content["number"]))
            case "forget":
                self._trials.forget(int(content["number"]))
            case "warm":
                if self.desk.run is not None and not self._cannot_try(self._now()):
                    self._trials.warm()
            case "open":
                view, measure = str(content["view"]), str(content["measure"])
                if (view, measure) in LINKS and self.desk.run is not None:
                    module = str(content["module"])[:LONGEST_NAME]
                    require_linear(self.desk.run, module)
                    if self.desk.selection[:1] != (module,):
                        self.desk.select([module])
                    self.desk.show(view, **LINKS[view, measure][1])

    # -- inside

    def _try(self, content: Mapping[str, Any]) -> None:
        now, name = self._now(), str(content["module"])[:LONGEST_NAME]
        how, samples = str(content.get("how") or ""), int(content.get("samples") or 0)
        pattern = str(content.get("pattern") or "")[:20] or None
        method = how if how not in ("", "dense") else None
        whole = bool(content.get("whole"))
        self._ask(
            now, name, self._setting(now, name, method, pattern, how == "dense", samples or None, whole)
        )

    def _setting(
        self,
        now: Now,
        module: str,
        method: str | None,
        pattern: str | None,
        dense: bool,
        samples: int | None,
        whole_block: bool,
    ) -> dict[str, Any]:
        """The setting as the inquiry takes it."""
        if now.run is None:
            raise UserError(self._cannot_try(now))
        linear = require_linear(now.run, module)
        setting: dict[str, Any] = {"block": int(linear["block"])}
        if not whole_block:
            setting["modules"] = [module]
        if dense:
            return {**setting, "dense": True}
        if method is not None and method not in METHODS:
            raise UserError(f"{method} cannot decide one block. Methods that can: {', '.join(METHODS)}.")
        if pattern is not None:
            NMPattern.parse(pattern).require(int(linear["in_features"]), module)
        if samples is not None and not 1 <= samples <= MOST_SAMPLES:
            raise UserError(f"samples {samples}: between 1 and {MOST_SAMPLES} windows can be read.")
        given = {"method": method, "pattern": pattern, "samples": samples}
        return setting | {name: value for name, value in given.items() if value is not None}

    def _ask(self, now: Now, module: str, setting: Mapping[str, Any]) -> Inquiry:
        reason = self._cannot_try(now)
        if reason or now.run is None:
            raise UserError(reason)
        return self._trials.ask(now.run.directory.root, module, setting)

    def _cannot_try(self, now: Now) -> str:
        if now.run is None:
            return "No run is open."
        if now.replayed:
            return "What-if asks about the end of the run: go to the newest moment."
        if now.run.state != "finished":
            return "What-if asks about final masks: it waits for the end of the run."
        return unable()

    def _wake_soon(self) -> None:
        # The first diagnosis may be there before the view is.
        if getattr(self, "desk", None) is not None:
            self._wake()

    def _key(self, now: Now) -> object:
        state = None if now.run is None else now.run.state
        versions = self._trials.version, self._diagnoses.version
        return super()._key(now), versions, state, now.replayed, self._in_a_hurry

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
