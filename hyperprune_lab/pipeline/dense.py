"""The dense model's hidden states before every block: computed once, shared by all stages of a run.

Knows nothing about stages. To be asked while every block before the one in question is dense.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from hyperprune_lab.calibration.windows import Calibration
from hyperprune_lab.pipeline.gather import BlockInputs, Hidden, Stream, gather
from hyperprune_lab.pipeline.subject import Subject

KEPT_BYTES = 2 << 30
"""Host memory that hidden states may take; a run that would need more computes them again in every stage."""


class DenseStream:
    """One set of windows on its way through the dense model.

    With ``keep`` the inputs of every block stay in host memory. Without it those of the block that was asked for last
    stay where they are, so that a stage that takes the blocks in order still pays for one pass.
    """

    def __init__(self, subject: Subject, ids: Int[Tensor, "sequences window"]) -> None:
        self.keep = False
        self._subject = subject
        start = Stream.start(subject, ids)
        self.ids = start.ids
        self._calls = start.calls
        self._start: Hidden = start.hidden.cpu()
        self._known: dict[int, Hidden] = {}

    def __len__(self) -> int:
        return len(self._start)

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self._subject.blocks)

    @property
    def bytes(self) -> int:
        """What it takes to keep the inputs of every block."""
        return self._start.nbytes * (self.blocks + 1)

    def before(self, block: int) -> Stream:
        """The hidden states that enter ``block``; the number of blocks stands for what leaves the last one."""
        at = max((known for known in self._known if known <= block), default=0)
        hidden = self._known.get(at, self._start).to(self._subject.device)
        stream = Stream(self._calls, self.ids, hidden)
        for passed in range(at, block):
            stream = stream.through(passed)
            self._remember(passed + 1, stream)
        return stream

    def gather(self, block: int) -> BlockInputs:
        """Statistics of the inputs of a block; what leaves it is known afterwards."""
        inputs, after = gather(self._subject, block, self.before(block))
        self._remember(block + 1, after)
        return inputs

    def _remember(self, block: int, stream: Stream) -> None:
        if not self.keep:
            self._known.clear()
        self._known[block] = stream.hidden.cpu() if self.keep else stream.hidden


@dataclass(frozen=True, eq=False)
class DenseStreams:
    """The calibration windows in the dense model: those to fit on, and those held out (None where there are none)."""

    fit: DenseStream
    heldout: DenseStream | None

    @classmethod
    def of(cls, subject: Subject, calibration: Calibration, limit_bytes: int = KEPT_BYTES) -> DenseStreams:
        """Both streams, kept together or not at all."""
        fit = DenseStream(subject, calibration.fit)
        heldout = DenseStream(subject, calibration.heldout) if len(calibration.heldout) else None
        both = [fit] if heldout is None else [fit, heldout]
        for stream in both:
            stream.keep = sum(each.bytes for each in both) <= limit_bytes
        return cls(fit, heldout)

    @property
    def judging(self) -> DenseStream:
        """The windows to choose by: held out where there are any."""
        return self.fit if self.heldout is None else self.heldout
