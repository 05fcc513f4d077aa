"""What a pruning method is handed, what it answers, and the interface it answers through.

Knows nothing about any particular method, nor about where problems come from or decisions go.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern

Kind = Literal["layer-wise", "end-to-end"]
Gradients = Literal["none", "regional", "loss"]
"""What a method needs to know by weight: nothing, the gradient of its block's output norm, or of the model's loss."""

Telemetry = dict[str, float]


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """One linear to prune: its weight, what its input looks like, and the pattern asked for.

    ``name`` is the full dotted name, ``local`` the name within the block, ``component`` the role that is
    comparable across blocks. ``statistics`` come from the calibration tokens to fit on, ``heldout`` (if any)
    from those kept back for choosing and stopping. ``gradient`` is there for methods that ask for one.

    Raises UserError where the weight is not finite, where it does not fit its statistics, or where the
    pattern's groups do not tile the input width.
    """

    name: str
    local: str
    component: str
    block: int
    weight: Float[Tensor, "out in"]
    statistics: InputStatistics
    heldout: InputStatistics | None
    pattern: NMPattern
    gradient: Float[Tensor, "out in"] | None = None

    def __post_init__(self) -> None:
        out_features, in_features = self.weight.shape
        self.pattern.require(in_features, self.name, out_features)
        for statistics in (self.statistics, self.heldout):
            if statistics is not None and statistics.in_features != in_features:
                raise UserError(
                    f"{self.name} reads {in_features} channels but its statistics describe "
                    f"{statistics.in_features}: gather the statistics again with this model."
                )
        if not torch.isfinite(self.weight).all():
            raise UserError(
                f"{self.name} has NaN or infinite weights: the checkpoint is damaged, download it again."
            )


def gradient_of(problem: LinearProblem) -> Float[Tensor, "out in"]:
    """The gradient that a method has asked for; ``ValueError`` where whoever poses the problem did not gather it."""
    if problem.gradient is None:
        raise ValueError(f"{problem.name} comes without the gradient that this method asks for")
    return problem.gradient


@dataclass(frozen=True, eq=False)
class BlockProblem:
    """All linears of one transformer block that are to be pruned, in the block's own order."""

    block: int
    blocks: int
    linears: tuple[LinearProblem, ...]


@dataclass(frozen=True, eq=False)
class Decision:
    """The answer for one linear: ``mask`` is true where a weight is kept.

    ``weight``, where a method has one, is the updated weight (fp32, zero outside the mask); None means that
    the kept weights stay as they are. ``scalars`` and ``arrays`` are evidence for the record.
    """

    mask: Bool[Tensor, "out in"]
    weight: Float[Tensor, "out in"] | None = None
    scalars: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class LayerwiseMethod(Protocol):
    """A method that decides block by block.

    ``summary`` is one line for people, ``reference`` names the publication, ``kind`` says what feedback it
    needs, ``cost`` is one word, ``updates_weights`` whether decisions carry a weight of their own. A method that reads
    gradients says which by an attribute ``gradients`` (see `Gradients`).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    kind: ClassVar[Kind]
    cost: ClassVar[str]
    updates_weights: ClassVar[bool]

    def decide(self, problem: BlockProblem, seed: int) -> Generator[Telemetry, None, dict[str, Decision]]:
        """Yield telemetry per step, so that a run can pause in between; return decisions by linear name."""
        ...


class LinearByLinear:
    """Base of the methods that look at one linear at a time: a step is a linear."""

    kind: ClassVar[Kind] = "layer-wise"
    updates_weights: ClassVar[bool] = False
    gradients: ClassVar[Gradients] = "none"

    def decide_linear(self, problem: LinearProblem) -> Decision:
        """The decision for one linear; a subclass has to say."""
        raise NotImplementedError

    @torch.no_grad()
    def decide(
        self,
        problem: BlockProblem,
        seed: int,  # noqa: ARG002
    ) -> Generator[Telemetry, None, dict[str, Decision]]:
        """Decide each linear in turn; deterministic, so ``seed`` changes nothing."""
        decisions: dict[str, Decision] = {}
        for linear in problem.linears:
            decision = self.decide_linear(linear)
            decisions[linear.name] = decision
            yield {"linears_done": float(len(decisions)), **decision.scalars}
        return decisions
