"""The live reconstruction view: errors over depth, and where those of the selection come from.

Knows no numbers: they come from ``hyperprune_lab.views.reconstruction``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import traitlets

from hyperprune_lab.views import reconstruction
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.pointing import look_at
from hyperprune_lab.widgets.view import View


class Reconstruction(View):
    """Errors of every kind of linear over depth; a click or the arrows select one and show its causes."""

    _esm = esm("reconstruction", "marks")
    _css = css("reconstruction")

    view_name = "reconstruction"
    title = "Reconstruction"
    question = "Where does the error come from?"
    help = (
        (
            "How to read it.",
            "Each small panel is one kind of linear, the input block on the left; all share one logarithmic axis. "
            "Thick is this run, thin are Wanda's and magnitude's masks on the same statistics, dashed what "
            "compensated weights leave of a whole block's output. Below, the selected linear: how much of its error "
            "in the pruned model is its own (local) and how much it was handed (inherited), the rows and the channels "
            "it comes through, and whether it holds on text that was not calibrated on.",
        ),
        (
            "How it can mislead.",
            "Local and inherited error do not add up to the total: the cross term is printed, and may be negative. "
            "So may a channel's share: what it lost cancels what correlated channels lost. The error counts "
            "output energy, so one loud row can hide many quiet ones. And a small error early on may cost the model "
            "more than a large one at the end: functional damage is in the findings.",
        ),
    )
    drawing: ClassVar[Any] = reconstruction
    kinds = (
        *("RunStarted", "ModuleDecided", "ModuleMeasured", "BlockFinished", "StageFinished"),
        *("RunStopped", "RunFailed", "RunFinished"),
    )
    follows = ("selection",)

    fit = traitlets.Bool(False, help="Let the axes span what was measured.").tag(asked=True)

    def data(self, now: Now) -> reconstruction.ReconstructionData:
        assert now.run is not None
        return reconstruction.reconstruction_data(
            now.run, as_of=now.seq, selection=now.selection, fit=self.fit
        )

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """``channel`` or ``row``: look at it in the mask explorer."""
        look_at(self.desk, kind, content)

    def pandas_code(self, now: Now) -> str:
        as_of = f", as_of={now.seq}" if now.replayed else ""
        code = f"from hyperprune_lab.analysis import reconstruction\n\nerrors = reconstruction.errors(run{as_of})\n"
        code += "errors.pivot_table(index='block', columns=['panel', 'method'], values='error_rel')"
        if now.focus is not None:
            code += f"\nreconstruction.decomposition(run{as_of}).set_index('module').loc[[{now.focus!r}]]"
        return code
