"""The live view of forgetting: what the shared network would now decide differently.

Knows no numbers: they come from ``hyperprune_lab.views.forgetting``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from hyperprune_lab.views import forgetting
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.view import Measure, View


class Forgetting(View):
    """Matrix and curves of every earlier block, asked again after each later one; a reference run beside them."""

    _esm = esm("forgetting")
    _css = css("forgetting")

    view_name = "forgetting"
    title = "Forgetting"
    question = "Does the network still know what it decided?"
    help = (
        (
            "How to read it.",
            "After each block the network is asked again about a fixed sample of groups of every block before. A row "
            "is such a moment, a column the block that is asked about; read a column downwards to see one block being "
            "forgotten. The same numbers are the curves. Click a block to select it everywhere.",
        ),
        (
            "How it can mislead.",
            "A group that would now be decided differently is not always a loss: the new choice may be as good. "
            '"Error if regenerated" tells. And nothing here changes the stored masks of the run: forgetting '
            "matters where the network is to give the masks again.",
        ),
    )
    measures = tuple(Measure(one.name, one.short) for one in forgetting.MEASURES.values())
    drawing: ClassVar[Any] = forgetting
    kinds = ("RunStarted", "StageStarted", "ForgettingMeasured", "EvaluationFinished")
    follows = ("selection", "reference")

    fit = traitlets.Bool(False, help="Let the scale span what was measured.").tag(asked=True)

    def data(self, now: Now) -> forgetting.ForgettingData:
        assert now.run is not None
        return forgetting.forgetting_data(
            now.run,
            as_of=now.seq,
            measure=self.measure,
            selection=now.selection,
            reference=now.reference,
            fit=self.fit,
        )

    def pandas_code(self, now: Now) -> str:
        as_of = f", as_of={now.seq}" if now.replayed else ""
        lines = [
            "from hyperprune_lab.analysis import forgetting",
            f"forgetting.matrix(run, {self.measure!r}{as_of})  # row: after this block, column: block asked again",
            f"forgetting.summary(run{as_of})",
        ]
        if now.reference is not None:
            other = str(now.reference.directory.root)
            lines.append(f"forgetting.compare(run, open_run({other!r}), {self.measure!r}{as_of})")
        return "\n".join(lines)
