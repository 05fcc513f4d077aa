"""One block of the embedded model with everything that a pruning method is handed: weights, statistics, pattern.

Knows nothing about methods. What takes a run minutes takes this seconds: a few sequences, up to the block, dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hyperprune_lab.calibration import CalibrationConfig, load_calibration
from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import EMBEDDED
from hyperprune_lab.methods.base import BlockProblem, LinearProblem
from hyperprune_lab.models import open_model
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline.gather import Stream, gather
from hyperprune_lab.pipeline.subject import Subject

SEQUENCES = 24
"""As many as a quick run calibrates on; two of them are held out."""


@dataclass(frozen=True, eq=False)
class DemoBlock:
    """A block as a problem to solve; ``block["mlp.down_proj"]`` is one of its linears."""

    problem: BlockProblem

    def __getitem__(self, local: str) -> LinearProblem:
        for linear in self.problem.linears:
            if linear.local == local:
                return linear
        raise UserError(f"This block has no {local!r}. Its linears are: {', '.join(self.names)}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The linears' names within the block."""
        return tuple(linear.local for linear in self.problem.linears)

    def __repr__(self) -> str:
        linear = self.problem.linears[0]
        return (
            f"block {self.problem.block} of {self.problem.blocks} of the embedded model, "
            f"{len(self.problem.linears)} linears, {linear.statistics.tokens} calibration tokens, {linear.pattern}"
        )


@lru_cache(maxsize=4)
def demo_block(block: int = 1, pattern: str = "2:4", sequences: int = SEQUENCES) -> DemoBlock:
    """Open the embedded model in fp32 and gather the statistics of one block on ``sequences`` calibration sequences.

    Raises:
        UserError: no such block, or the pattern does not fit.
    """
    opened = open_model(EMBEDDED, dtype="float32")
    parsed = NMPattern.parse(pattern)
    subject = Subject.of(opened, parsed)
    blocks = len(subject.blocks)
    if not 0 <= block < blocks:
        raise UserError(f"The embedded model has blocks 0 to {blocks - 1}; there is no block {block}.")
    calibration = load_calibration(CalibrationConfig(samples=sequences), opened.tokenizer, opened.context, 0)
    fit = Stream.start(subject, calibration.fit)
    heldout = Stream.start(subject, calibration.heldout)
    for before in range(block):
        fit, heldout = fit.through(before), heldout.through(before)
    statistics = gather(subject, block, fit)[0].by_linear
    kept_back = gather(subject, block, heldout)[0].by_linear
    linears = tuple(
        LinearProblem(
            name=linear.name,
            local=linear.local,
            component=linear.component,
            block=block,
            weight=subject.dense_weight(linear),
            statistics=statistics[linear.name],
            heldout=kept_back[linear.name],
            pattern=parsed,
        )
        for linear in subject.linears[block]
    )
    return DemoBlock(BlockProblem(block, blocks, linears))
