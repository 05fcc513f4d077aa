"""The live outlier channels: a scatter with a threshold to drag, and the loudest channels one by one.

Knows no numbers: they come from ``hyperprune_lab.views.outliers``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import traitlets

from hyperprune_lab.analysis.channel_digest import THRESHOLDS
from hyperprune_lab.analysis.outliers import THRESHOLD
from hyperprune_lab.views import outliers
from hyperprune_lab.widgets.assets import css, esm
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.pointing import look_at
from hyperprune_lab.widgets.view import View

PATIENCE_SECONDS = 0.3
"""A page waits this long for a large run's channels, then shows those that were read and reads on."""


class OutlierChannels(View):
    """How loud every input channel is, and what was kept of it; a click sends the mask explorer to its column."""

    _esm = esm("outliers", "marks")
    _css = css("outliers")

    view_name = "outliers"
    title = "Outlier channels"
    question = "Did the loud channels survive?"
    help = (
        (
            "How to read it.",
            "Each dot is one input channel: to the right the louder it is (its RMS over the median of its input), "
            "upward the more of the weights that read it are kept; its size is the share of their energy that is "
            "kept. The dashed line is n/m, what chance keeps. Drag the blue threshold, or use ← and →. On the right "
            "the loudest twenty: this run, Wanda and magnitude, and as a bar the price: what the other channels of "
            "their groups keep.",
        ),
        (
            "How it can mislead.",
            "A channel may lose weights and still keep its energy: look at the size. A mask of magnitude does not "
            "see loudness at all. In a group of m a channel can only keep more where its neighbors keep less, so two "
            "loud channels in one group fight. And loud is not the same as important: see the error shares in "
            "the reconstruction view.",
        ),
    )
    drawing: ClassVar[Any] = outliers
    kinds = ("RunStarted", "BlockFinished", "StageFinished", "RunStopped", "RunFailed", "RunFinished")
    follows = ("selection", "hovered_channel")

    threshold = traitlets.Float(
        THRESHOLD, help="How many times the median an outlier reaches; goes to the nearest step."
    ).tag(asked=True)
    chosen = traitlets.Unicode("", help="Inputs: all (empty), 'selection', or the name of a kind.").tag(
        asked=True
    )
    block = traitlets.Int(-1, help="The block whose inputs are shown; -1: all.").tag(asked=True)
    fit = traitlets.Bool(False, help="Let the axis end where the loudest channel does.").tag(asked=True)
    rounds = traitlets.Int(0, help="How often reading went on.").tag(asked=True)

    def __init__(self, *args: Any, **options: Any) -> None:
        self._hurried = threading.local()
        self._unread = 0
        super().__init__(*args, **options)
        # What was left to read when the view was made: the pump may have gone on before it knew the view.
        if self._unread:
            self._wake()

    @traitlets.validate("threshold")
    def _a_step(self, proposal: Any) -> float:
        return min(THRESHOLDS, key=lambda step: abs(step - proposal["value"]))

    def data(self, now: Now) -> outliers.OutliersData:
        assert now.run is not None
        hurried = self._in_a_hurry
        found = outliers.outliers_data(
            now.run,
            as_of=now.seq,
            threshold=self.threshold,
            chosen=self.chosen,
            block=None if self.block < 0 else self.block,
            selection=now.selection,
            pinned=now.hovered_channel,
            fit=self.fit,
            seconds=PATIENCE_SECONDS if hurried else None,
        )
        self._unread = found.left
        if hurried and found.left:
            self.desk.pump.do(self._read_on)
        return found

    def on_message(self, kind: str, content: Mapping[str, Any]) -> None:
        """``channel``: look at this channel of this module, here and in the mask explorer."""
        if kind == "channel":
            look_at(self.desk, kind, content)

    def pandas_code(self, now: Now) -> str:
        as_of = f", as_of={now.seq}" if now.replayed else ""
        return (
            "from hyperprune_lab.analysis import outliers\n\n"
            f"readers = outliers.readers(run{as_of})\n"
            f"print(outliers.summary(readers, threshold={self.threshold:g}).headline)\n"
            f"outliers.dumbbells(readers, top={outliers.TOP}, threshold={self.threshold:g})"
        )

    # A page need not wait for the channels of a large run; a person who asks for the text or the picture does.

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
        return super()._key(now), self._in_a_hurry

    def _read_on(self) -> None:
        self.rounds += 1
