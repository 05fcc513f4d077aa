"""The live model map: which layers lost most, and the place to select modules and to set their scope.

Knows no numbers: they come from ``hyperprune_lab.views.model_map``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import traitlets

from hyperprune_lab.views import model_map
from hyperprune_lab.views.measures import MEASURES
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.view import Measure, View


class ModelMap(View):
    """Every module of every block as a cell; click, drag, arrows and ``/`` select, buttons set the scope."""

    _esm = esm("model_map")
    _css = css("model_map")

    view_name = "map"
    title = "Model map"
    question = "Which layers lost most?"
    help = (
        (
            "How to read it.",
            "Each cell is one weight matrix, each column one block, the input on the left. Color is the measure; "
            "the strip on top is each block's worst, and the three worst carry their numbers. Hatched cells are not "
            "pruned or not measured, outlined ones are still to come.",
        ),
        (
            "How it can mislead.",
            "The error is that of one matrix on its own input, over the energy of its dense output: a large one deep "
            'in the network may cost less than a small one early on. Choose "error inside the pruned model" to see '
            "what arrives from the layers before.",
        ),
    )
    measures = tuple(Measure(one.name, one.label) for one in MEASURES.values())
    drawing: ClassVar[Any] = model_map
    kinds = (
        *("RunStarted", "StageStarted", "BlockStarted", "BlockFinished", "StageFinished"),
        *("InputMeasured", "ModuleDecided", "ModuleMeasured", "Notice"),
        *("RunStopped", "RunFailed", "RunFinished"),
    )
    follows = ("selection", "scope")

    fit = traitlets.Bool(False, help="Let the colors span what was measured.").tag(asked=True)
    expanded = traitlets.List(traitlets.Unicode(), help="Rows of experts shown one by one.").tag(asked=True)
    compact = traitlets.Bool(False, help="Grid only, for a low strip above other views.").tag(asked=True)

    _measured: tuple[object, model_map.ModelMapData] | None = None

    def data(self, now: Now) -> model_map.ModelMapData:
        assert now.run is not None
        # A click must not read a large record again: what was measured is kept for as long as it holds.
        moment = (id(now.run), now.run.generation, now.run.newest_seq(self.kinds, now.seq))
        key = (*moment, self.measure, tuple(self.expanded), self.fit)
        if self._measured is None or self._measured[0] != key:
            measured = model_map.model_map_data(
                now.run, as_of=now.seq, measure=self.measure, expanded=self.expanded, fit=self.fit
            )
            self._measured = (key, measured)
        return replace(self._measured[1], seq=now.seq, selection=now.selection, scope=dict(now.scope))

    def pandas_code(self, now: Now) -> str:
        column = "error_rel" if self.measure in ("error_vs_wanda", "seconds") else self.measure
        as_of = f"as_of={now.seq}" if now.replayed else ""
        return f"modules = run.modules({as_of})\nmodules.sort_values({column!r}, ascending=False).head(10)"
