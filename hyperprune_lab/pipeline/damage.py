"""Functional damage: how much of the divergence from the dense model each module's mask alone is to blame for.

With every mask in place, one module at a time gets its dense weights back, and what is then recovered of the KL to the
dense model is its damage. The parts need not add up to the whole: modules make each other's errors better or worse.
Knows nothing about methods, nor about compensation: original weights under the final masks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperprune_lab.calibration.windows import Calibration
from hyperprune_lab.evaluate.divergence import kl_to
from hyperprune_lab.events import (
    BlockFinished,
    BlockStarted,
    Event,
    ModuleMeasured,
    Notice,
    StageFinished,
    StageStarted,
)
from hyperprune_lab.pipeline.environment import peak_memory
from hyperprune_lab.pipeline.gather import Stream
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject

STAGE = "damage"
WINDOW = 128
TOKENS = {"quick": 256, "normal": 512, "thorough": 1024}
"""How many tokens are read, by budget."""
FEWEST_TOKENS = 128
LARGEST_WORK = {"cpu": 2e13, "cuda": 5e15}
"""Floating point operations that the stage may take, by kind of device: minutes."""


@torch.no_grad()
def damage(
    subject: Subject, calibration: Calibration, state: RunState, tokens: int = TOKENS["normal"]
) -> Iterator[Event]:
    """Measure ``damage_kl`` of every pruned linear: nats per token recovered where it alone is dense again.

    ``damage_kl_se`` is the standard error of that mean over tokens. Only blocks from the module's own on are run. At
    most ``tokens`` are read, fewer where that would take too long; a model for which even the fewest would is left
    out, and a notice says so.
    """
    started = time.monotonic()
    within_reach = tokens_within_reach(subject)
    yield StageStarted(STAGE, len(subject.blocks))
    if within_reach < FEWEST_TOKENS:
        yield Notice(
            "info",
            f"Functional damage was not measured: {len(subject.by_name)} passes through "
            f"{subject.coverage.total_parameters:,} parameters would take too long on {subject.device.type}.",
        )
        yield StageFinished(STAGE, time.monotonic() - started)
        return
    masks = state.masks["final"]
    ids = _short(
        calibration.heldout if len(calibration.heldout) else calibration.fit, min(tokens, within_reach)
    )
    probe = Probe.of(subject, ids)
    try:
        subject.apply_masks(masks)
        before = probe.divergence_from(subject, 0, probe.stream.hidden)
        hidden = probe.stream.hidden
        for block, linears in enumerate(subject.linears):
            block_started = time.monotonic()
            yield BlockStarted(STAGE, block)
            for linear in linears:
                if linear.name not in masks:
                    continue
                linear.set_weight(subject.dense_weight(linear))
                recovered = before - probe.divergence_from(subject, block, hidden)
                subject.apply_masks({linear.name: masks[linear.name]})
                scalars = {
                    "damage_kl": recovered.mean().item(),
                    "damage_kl_se": (recovered.std() / math.sqrt(recovered.numel())).item(),
                }
                yield ModuleMeasured(STAGE, block, linear.name, scalars)
            hidden = probe.stream.forward(block, hidden)
            yield BlockFinished(STAGE, block, time.monotonic() - block_started, peak_memory(subject.device))
        scalars = {"kl_mask_only": before.mean().item(), "tokens": float(ids.numel())}
        yield StageFinished(STAGE, time.monotonic() - started, scalars)
    finally:
        subject.restore()


@dataclass(frozen=True, eq=False)
class Probe:
    """Short token windows with what the dense model says behind them, in fp32 on the model's device."""

    stream: Stream
    expected: tuple[Float[Tensor, "window vocabulary"], ...]

    @classmethod
    def of(cls, subject: Subject, ids: Int[Tensor, "sequences window"]) -> Probe:
        """Run the model as it stands (dense) once."""
        stream = Stream.start(subject, ids)
        made = cls(stream, ())
        return cls(stream, tuple(made.logits_from(subject, 0, stream.hidden)))

    def divergence_from(
        self, subject: Subject, block: int, hidden: Float[Tensor, "sequences window hidden"]
    ) -> Float[Tensor, " tokens"]:
        """KL of every token's prediction to the dense model's, from the input of ``block`` on, in nats."""
        found = self.logits_from(subject, block, hidden)
        return torch.cat([kl_to(one, two) for one, two in zip(self.expected, found, strict=True)])

    @torch.no_grad()
    def logits_from(
        self, subject: Subject, block: int, hidden: Float[Tensor, "sequences window hidden"]
    ) -> Iterator[Float[Tensor, "window vocabulary"]]:
        """Logits of one sequence after the other: with a wide vocabulary they are the largest thing here."""
        for index in range(block, len(subject.blocks)):
            hidden = self.stream.forward(index, hidden)
        for one in hidden.split(1):
            yield self.stream.calls.finish(one)[0].float()


def tokens_within_reach(subject: Subject) -> int:
    """How many tokens the work that is allowed leaves room for."""
    allowed = LARGEST_WORK.get(subject.device.type, LARGEST_WORK["cpu"])
    work = work_per_token(
        [sum(parameter.numel() for parameter in block.parameters()) for block in subject.blocks],
        [len(linears) for linears in subject.linears],
    )
    return int(allowed / work)


def work_per_token(parameters: list[int], linears: list[int]) -> float:
    """Floating point operations per token in the blocks: each linear of a block needs it and all later ones."""
    later = [sum(parameters[block:]) for block in range(len(parameters))]
    return 2.0 * sum(count * size for count, size in zip(linears, later, strict=True))


def _short(ids: Int[Tensor, "sequences window"], tokens: int) -> Int[Tensor, "_ _"]:
    """Windows cut into short ones, taken from all sequences alike, ``tokens`` in all or what there is."""
    window = min(WINDOW, ids.shape[1], tokens)
    pieces = ids[:, : ids.shape[1] // window * window].unflatten(1, (-1, window))
    by_place = pieces.transpose(0, 1).flatten(0, 1)
    return by_place[: max(1, tokens // window)]
