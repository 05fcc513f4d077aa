"""The live view of the hypernetwork: its telemetry, patterns, pinned groups and embeddings.

Knows no numbers: they come from ``hyperprune_lab.views.hypernetwork``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from hyperprune_lab.views import hypernetwork
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.view import View


class Hypernetwork(View):
    """Strips of telemetry on one step axis; below them what was chosen, and how the network sees the model."""

    _esm = esm("hypernetwork", "network_panels")
    _css = css("hypernetwork")

    view_name = "hypernetwork"
    title = "Hypernetwork"
    question = "Is it learning, and has it made up its mind?"
    help = (
        (
            "How to read it.",
            "Every strip has the same steps across, block after block. The loss is drawn in its signed parts: the "
            "outlier term is a reward and pulls the total down. Entropy 1 means that all patterns are equally likely, "
            "0 that one is certain. Point at a step to read its numbers; click a block to select it.",
        ),
        (
            "How it can mislead.",
            "Each step sees other rows, so single steps jump. Falling temperature alone lowers entropy: a network that "
            "knows nothing also decides in the end. Agreement with Wanda is no aim: it says how much is new. "
            "Embeddings are drawn along two directions of many; see the shares on the axes.",
        ),
    )
    drawing: ClassVar[Any] = hypernetwork
    kinds = (
        *("RunStarted", "StageStarted", "StepMeasured", "ModuleDecided", "BlockFinished", "StageFinished"),
        *("NetworkSaved", "RunStopped", "RunFailed", "RunFinished"),
    )
    follows = ("selection",)

    fit = traitlets.Bool(False, help="Let the scale of the loss span what was measured.").tag(asked=True)
    zoom = traitlets.Bool(False, help="Draw the steps of the selected block alone.").tag(asked=True)

    def data(self, now: Now) -> hypernetwork.HypernetworkData:
        assert now.run is not None
        return hypernetwork.hypernetwork_data(
            now.run, as_of=now.seq, selection=now.selection, fit=self.fit, zoom=self.zoom
        )

    def pandas_code(self, now: Now) -> str:
        as_of = f", as_of={now.seq}" if now.replayed else ""
        lines = [
            "from hyperprune_lab.analysis import histogram, network",
            f"steps = network.steps(run{as_of})",
            "network.loss_terms(run, steps)",
            f"network.warnings(run{as_of})",
        ]
        if now.focus is not None:
            lines.append(f"network.pinned(run, {now.focus!r}{as_of})")
        return "\n".join(lines)
