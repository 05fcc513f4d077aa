"""The compensation ladder: what can be won back on a fixed mask, rung by rung, for any method alike.

``linear``: least squares per linear on the pruned stream. ``block``: then each block is refitted to the output of the
dense stream, weights under the mask and norm gains trained. ``model``: then all blocks together, by KL to the dense
model. Only the dense model teaches: no label of the calibration text is used. Knows nothing about how masks came about.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hyperprune_lab.events import (
    BlockFinished,
    BlockStarted,
    Event,
    StageFinished,
    StageStarted,
    StepMeasured,
    WeightsChanged,
)
from hyperprune_lab.methods.least_squares import least_squares
from hyperprune_lab.models.linears import is_linear
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.environment import peak_memory
from hyperprune_lab.pipeline.evidence import numpy
from hyperprune_lab.pipeline.feedback import Teacher
from hyperprune_lab.pipeline.gather import BATCH, Stream, gather
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject, derived_seed

STAGE, PRIOR_STAGE = "compensation", "compensation of the prior"


@dataclass(frozen=True)
class LadderSettings:
    """``block_steps`` Adam steps per block at each of ``block_rates`` (the held-out sequences choose), then
    ``model_steps`` at each of ``model_rates``; rates fall linearly to zero; norm gains train where ``gains``."""

    rung: str = "block"
    block_steps: int = 60
    block_rates: tuple[float, ...] = (1e-3,)
    model_steps: int = 150
    model_rates: tuple[float, ...] = (1e-4, 3e-4)
    batch: int = BATCH
    gains: bool = True


class MaskedRefit:
    """Adam on fp32 masters of a set of parameters, some under masks; the model's own copies follow, rounded."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        masks: Mapping[str, Tensor],
        start: Mapping[str, Tensor],
        rate: float,
    ) -> None:
        self.parameters, self.masks, self.rate = dict(parameters), dict(masks), rate
        self.masters = {name: start[name].float().clone() for name in parameters}
        self.optimizer = torch.optim.Adam(self.masters.values(), lr=rate, betas=(0.9, 0.95))
        self.write()

    @torch.no_grad()
    def write(self) -> None:
        """Put the masters into the model."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.masters[name])

    def step(self, loss: Tensor, progress: float) -> None:
        """One step down ``loss``; the rate has fallen to ``1 - progress`` of its start."""
        names = list(self.parameters)
        gradients = torch.autograd.grad(loss, [self.parameters[name] for name in names])
        for name, gradient in zip(names, gradients, strict=True):
            mask = self.masks.get(name)
            gradient = gradient.float()
            self.masters[name].grad = gradient if mask is None else gradient * mask
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * (1.0 - progress)
        self.optimizer.step()
        self.write()


@dataclass(eq=False)
class Ladder:
    """Climbs the ladder for one set of masks; ``label`` names it in the state (``final`` or ``prior``)."""

    subject: Subject
    streams: DenseStreams
    settings: LadderSettings
    seed: int
    label: str = "final"

    @property
    def stage(self) -> str:
        """Its name on the stream of events."""
        return STAGE if self.label == "final" else PRIOR_STAGE

    def run(self, state: RunState) -> Iterator[Event]:
        """Compensate the blocks that are not yet done; weights are left in ``state.weights[label]``."""
        started = time.monotonic()
        masks = state.masks[self.label]
        done = state.done if state.stage == self.stage else 0
        weights = state.weights.setdefault(self.label, {})
        if not done:
            weights.clear()
        blocks = len(self.subject.blocks)
        yield StageStarted(self.stage, blocks)
        dense, held = self.streams.fit, self.streams.heldout
        pruned, pruned_held = dense.before(0), None if held is None else held.before(0)
        for block in range(blocks):
            if block >= done:
                fit = Passage(dense.before(block), dense.before(block + 1), pruned)
                judging = fit
                if held is not None and pruned_held is not None:
                    judging = Passage(held.before(block), held.before(block + 1), pruned_held)
                block_started = time.monotonic()
                yield BlockStarted(self.stage, block)
                fitting = BlockFit(self, block, masks, fit, judging)
                yield from fitting.run()
                weights |= fitting.weights
                if self.label == "final":
                    yield WeightsChanged(
                        self.stage, block, {name: numpy(v) for name, v in fitting.weights.items()}
                    )
                peak = peak_memory(self.subject.device)
                yield BlockFinished(
                    self.stage, block, time.monotonic() - block_started, peak, fitting.scalars
                )
                self.subject.restore(block)
                yield state.reached(self.stage, block + 1)
            prefix = self.subject.blocks.prefix(block) + "."
            self.subject.apply_weights({name: v for name, v in weights.items() if name.startswith(prefix)})
            pruned = pruned.through(block)
            pruned_held = None if pruned_held is None else pruned_held.through(block)
            self.subject.restore(block)
        if self.settings.rung == "model" and done <= blocks:
            yield from self._refit_model(masks, weights)
            if self.label == "final":
                yield from self._changed(weights)
            yield state.reached(self.stage, blocks + 1)
        scalars = yield from self._keep_the_better(masks, weights)
        yield StageFinished(self.stage, time.monotonic() - started, scalars)

    def _keep_the_better(
        self, masks: Mapping[str, Bool[Tensor, "out in"]], weights: dict[str, Tensor]
    ) -> Generator[Event, None, dict[str, float]]:
        """Go back to the original weights under the masks where that is closer to the dense model on held-out text.

        Masks that were learned from the whole model's divergence may be worth more than a refit block by block.
        """
        held = Teacher.of(self.streams.judging)
        with self.subject.wearing(weights=weights):
            compensated = held.mean_divergence(self.subject)
        with self.subject.wearing(masks=masks):
            original = held.mean_divergence(self.subject)
        if original < compensated:
            stored = stored_masks(self.subject, masks)
            for name in weights:
                dense = self.subject.dense[name].float()
                weights[name] = dense * stored[name] if name in stored else dense.clone()
            if self.label == "final":
                yield from self._changed(weights)
        return {"heldout_divergence": compensated, "heldout_divergence_original": original}

    def _changed(self, weights: Mapping[str, Tensor]) -> Iterator[Event]:
        """Every block's weights as they now are."""
        for block in range(len(self.subject.blocks)):
            prefix = self.subject.blocks.prefix(block) + "."
            changed = {name: numpy(v) for name, v in weights.items() if name.startswith(prefix)}
            yield WeightsChanged(self.stage, block, changed)

    def _refit_model(
        self, masks: Mapping[str, Bool[Tensor, "out in"]], weights: dict[str, Tensor]
    ) -> Iterator[Event]:
        """KL to the dense model through all blocks; the best rate by held-out divergence, no refit included."""
        fit, held = Teacher.of(self.streams.fit), Teacher.of(self.streams.judging)
        stored = stored_masks(self.subject, masks)
        parameters = {name: p for name, p in self.subject.model.named_parameters() if name in weights}
        start = {name: weights[name] for name in parameters}
        self.subject.apply_weights(start)
        best, best_divergence = start, held.mean_divergence(self.subject)
        for rate in self.settings.model_rates:
            refit = MaskedRefit(parameters, stored, start, rate)
            generator = torch.Generator().manual_seed(derived_seed(self.seed, self.stage, "model"))
            with trainable(parameters.values()):
                for step in range(self.settings.model_steps):
                    pick = torch.randperm(len(fit.after), generator=generator)[: self.settings.batch]
                    loss = fit.divergence(self.subject, pick.to(self.subject.device))
                    refit.step(loss, step / self.settings.model_steps)
                    values = {"divergence": float(loss.detach()), "rate": rate}
                    yield StepMeasured(self.stage, None, step, self.settings.model_steps, values)
            divergence = held.mean_divergence(self.subject)
            if divergence < best_divergence:
                best, best_divergence = {k: v.clone() for k, v in refit.masters.items()}, divergence
        self.subject.restore()
        weights |= best


@dataclass(frozen=True, eq=False)
class Passage:
    """One set of windows at a block: the dense stream before and behind it, and the pruned stream before it."""

    dense: Stream
    after: Stream
    pruned: Stream


@dataclass(eq=False)
class BlockFit:
    """Compensates one block: least squares first, then the refit if the rung asks for it."""

    ladder: Ladder
    block: int
    masks: Mapping[str, Bool[Tensor, "out in"]]
    fit: Passage
    judging: Passage

    def __post_init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.scalars: dict[str, float] = {}

    def run(self) -> Iterator[Event]:
        """Leaves ``weights`` (by full parameter name, fp32) and ``scalars``; the block keeps its last state."""
        subject, settings = self.ladder.subject, self.ladder.settings
        inputs, _ = gather(subject, self.block, self.fit.pruned)
        for linear in subject.linears[self.block]:
            if linear.name in self.masks:
                weight = subject.dense_weight(linear)
                gram = inputs.by_linear[linear.name].gram
                solved = least_squares(weight, gram, self.masks[linear.name])
                self.weights[f"{linear.name}.weight"] = solved.T.contiguous() if linear.transposed else solved
        if not self.weights or settings.rung == "linear":
            return
        trained = self._trained()
        for name, parameter in trained.items():
            self.weights.setdefault(name, parameter.detach().float().clone())
        yield from self._refit(trained)

    def _trained(self) -> dict[str, nn.Parameter]:
        """Masked weights, and (if asked for) the gains and biases of norms: every vector that belongs to no linear."""
        subject = self.ladder.subject
        prefix = subject.blocks.prefix(self.block)
        block = subject.blocks[self.block]
        vectors = {
            name
            for name, parameter in block.named_parameters()
            if self.ladder.settings.gains
            and parameter.dim() == 1
            and not is_linear(block.get_submodule(name.rpartition(".")[0]))
        }
        return {
            f"{prefix}.{name}": parameter
            for name, parameter in block.named_parameters()
            if f"{prefix}.{name}" in self.weights or name in vectors
        }

    def _refit(self, trained: dict[str, nn.Parameter]) -> Iterator[Event]:
        ladder, settings = self.ladder, self.ladder.settings
        stored = stored_masks(ladder.subject, self.masks)
        start = dict(self.weights)
        ladder.subject.apply_weights(start)
        best, best_loss = start, self._heldout_loss()
        self.scalars["block_error_linear"] = best_loss
        for rate in settings.block_rates:
            refit = MaskedRefit(trained, {n: m for n, m in stored.items() if n in trained}, start, rate)
            generator = torch.Generator().manual_seed(derived_seed(ladder.seed, ladder.stage, self.block))
            with trainable(trained.values()):
                for step in range(settings.block_steps):
                    pick = torch.randperm(len(self.fit.pruned), generator=generator)[: settings.batch]
                    loss = self._loss(self.fit, pick.to(ladder.subject.device))
                    refit.step(loss, step / settings.block_steps)
                    values = {"block_error": float(loss.detach()), "rate": rate}
                    yield StepMeasured(ladder.stage, self.block, step, settings.block_steps, values)
            loss_now = self._heldout_loss()
            if loss_now < best_loss:
                best, best_loss = {k: v.clone() for k, v in refit.masters.items()}, loss_now
        self.scalars["block_error_refit"] = best_loss
        self.weights = best

    def _loss(self, at: Passage, pick: Tensor) -> Float[Tensor, ""]:
        """Squared distance to the dense stream behind the block, over the energy of what the dense block adds."""
        target = at.after.hidden[pick].float()
        added = (target - at.dense.hidden[pick].float()).square().sum()
        output = at.pruned.forward(self.block, at.pruned.hidden[pick]).float()
        return (output - target).square().sum() / added.clamp_min(1e-30)

    @torch.no_grad()
    def _heldout_loss(self) -> float:
        windows = len(self.judging.pruned)
        picks = torch.arange(windows, device=self.ladder.subject.device).split(BATCH)
        losses = [float(self._loss(self.judging, pick)) * len(pick) for pick in picks]
        return sum(losses) / windows


def stored_masks(subject: Subject, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Masks by parameter name, in the orientation in which the model stores the weights."""
    return {
        f"{name}.weight": mask.T if subject.by_name[name].transposed else mask for name, mask in masks.items()
    }


class trainable:  # noqa: N801
    """Gradients for these parameters inside the ``with`` statement, and only there."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)

    def __enter__(self) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(True)

    def __exit__(self, *exception: object) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(False)
