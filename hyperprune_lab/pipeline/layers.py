"""The layer-wise stage: block after block, gather statistics, let the method decide, put the evidence on the stream.

Knows nothing about how a method decides or where events go.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hyperprune_lab.events import (
    BlockFinished,
    BlockStarted,
    Event,
    ForgettingMeasured,
    StageFinished,
    StageStarted,
    StepMeasured,
)
from hyperprune_lab.methods.base import BlockProblem, Decision, LayerwiseMethod, LinearProblem
from hyperprune_lab.methods.hyperprune import HyperPrune
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.environment import peak_memory
from hyperprune_lab.pipeline.evidence import References, input_event, module_event, numpy
from hyperprune_lab.pipeline.gather import BlockInputs, Stream, gather
from hyperprune_lab.pipeline.gradients import ByLinear, loss_gradients, regional_gradients
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject, derived_seed

STAGE = "layers"


@dataclass(eq=False)
class LayersStage:
    """Runs a method over all blocks; ``prefix`` says whose activations its statistics come from.

    Errors, references and evidence always use the dense prefix, so that they compare between runs.
    """

    subject: Subject
    method: LayerwiseMethod
    streams: DenseStreams
    seed: int
    prefix: str = "dense"
    dense_blocks: tuple[int, ...] = ()
    full_evidence: bool = True
    problems: dict[str, LinearProblem] = field(default_factory=dict)

    def run(self, state: RunState) -> Iterator[Event]:
        """Decide the blocks that are not yet decided; earlier ones are only streamed through."""
        started = time.monotonic()
        blocks = len(self.subject.blocks)
        done = state.done if state.stage == STAGE else (0 if not state.stage else blocks)
        yield StageStarted(STAGE, blocks)
        fit, held = self.streams.fit, self.streams.heldout
        needed = getattr(self.method, "gradients", "none")
        gradients: ByLinear = {}
        if needed == "loss" and done < blocks:
            gradients = yield from self._measured(loss_gradients(self.subject, fit.before(0)), None)
        pruned = fit.before(0)
        for block in range(blocks):
            skipped = block in self.dense_blocks or not self.subject.linears[block]
            if not skipped and (block >= done or isinstance(self.method, HyperPrune)):
                inputs = fit.gather(block)
                heldout = None if held is None else held.gather(block)
                own = inputs if self.prefix == "dense" else gather(self.subject, block, pruned)[0]
                if needed == "regional" and block >= done:
                    around = regional_gradients(self.subject, block, fit.before(block))
                    gradients = yield from self._measured(around, block)
                problem = self._problem(block, own, heldout, gradients)
                if isinstance(self.method, HyperPrune) and self.method.settings.model_stage.steps:
                    self.problems |= {linear.name: linear for linear in problem.linears}
                if block < done:
                    self._meet_again(problem, state)
                else:
                    yield from self._decide(problem, inputs, state)
            if self.prefix == "pruned":
                pruned = self._pruned_through(block, pruned, state)
            if block >= done:
                yield state.reached(STAGE, block + 1)
        seconds = time.monotonic() - started
        errors = [module["error_rel"] for module in state.results.get("modules", {}).values()]
        yield StageFinished(STAGE, seconds, {"error_rel_mean": sum(errors) / max(1, len(errors))})

    def _measured(
        self, gradients: Generator[None, None, ByLinear], block: int | None
    ) -> Generator[Event, None, ByLinear]:
        """Gradients, with an event per sequence."""
        step = 0
        while True:
            try:
                next(gradients)
            except StopIteration as finished:
                return finished.value
            yield StepMeasured(STAGE, block, step, len(self.streams.fit), {})
            step += 1

    def _problem(
        self, block: int, inputs: BlockInputs, heldout: BlockInputs | None, gradients: ByLinear
    ) -> BlockProblem:
        linears = tuple(
            LinearProblem(
                name=linear.name,
                local=linear.local,
                component=linear.component,
                block=block,
                weight=self.subject.dense_weight(linear),
                statistics=inputs.by_linear[linear.name],
                heldout=None if heldout is None else heldout.by_linear[linear.name],
                pattern=self.subject.patterns[linear.name],
                gradient=gradients.get(linear.name),
            )
            for linear in self.subject.linears[block]
        )
        return BlockProblem(block, len(self.subject.blocks), linears)

    def _meet_again(self, problem: BlockProblem, state: RunState) -> None:
        """After a resume: let HyperPrune rebuild the contexts of a block that it has already decided."""
        if isinstance(self.method, HyperPrune):
            self.method.priors |= state.masks["prior"]
            self.method.meet(problem)

    def _decide(self, problem: BlockProblem, inputs: BlockInputs, state: RunState) -> Iterator[Event]:
        started = time.monotonic()
        block = problem.block
        yield BlockStarted(STAGE, block)
        measured = {linear.name: self._on_dense_prefix(linear, inputs) for linear in problem.linears}
        references = {name: References.of(linear) for name, linear in measured.items()}
        decisions: dict[str, Decision]
        steps = self.method.decide(problem, derived_seed(self.seed, STAGE, block))
        step = 0
        while True:
            try:
                values = next(steps)
            except StopIteration as finished:
                decisions = finished.value
                break
            yield StepMeasured(STAGE, block, step, self._steps(problem), values)
            step += 1
        by_name = {linear.name: linear for linear in problem.linears}
        for key, readers in inputs.readers.items():
            linear = by_name[readers[0]]
            yield input_event(
                STAGE,
                block,
                key,
                readers,
                inputs.by_linear[readers[0]],
                linear.heldout,
                linear.pattern,
                self.full_evidence,
            )
        for name, decision in decisions.items():
            event = module_event(STAGE, measured[name], decision, references[name], self.full_evidence)
            yield event
            state.masks.setdefault("final", {})[name] = decision.mask
            state.masks.setdefault("wanda", {})[name] = references[name].wanda
            if decision.weight is not None:
                state.weights.setdefault("published", {})[name] = decision.weight
            state.results.setdefault("modules", {})[name] = {
                key: event.scalars.get(key)
                for key in ("error_rel", "decided_by_network", "changed_from_prior", "entropy")
            }
        arrays: dict[str, Any] = {}
        if isinstance(self.method, HyperPrune):
            state.masks["prior"] = dict(self.method.priors)
            state.method = self.method.tensors()
            arrays = self._embeddings()
            recalled = self.method.reservoir.ask_all(self.method.chooser)
            state.results |= forgetting_summary(recalled)
            yield ForgettingMeasured(block, recalled)
        yield BlockFinished(
            STAGE, block, time.monotonic() - started, peak_memory(self.subject.device), {}, arrays
        )

    def _steps(self, problem: BlockProblem) -> int:
        if isinstance(self.method, HyperPrune):
            return self.method.settings.training.steps
        return len(problem.linears)

    def _on_dense_prefix(self, linear: LinearProblem, inputs: BlockInputs) -> LinearProblem:
        if self.prefix == "dense":
            return linear
        return replace(linear, statistics=inputs.by_linear[linear.name])

    def _embeddings(self) -> dict[str, Any]:
        assert isinstance(self.method, HyperPrune)
        arrays: dict[str, Any] = {}
        for pattern in self.method.chooser.heads:
            network = self.method.chooser.network_of(pattern)
            arrays[f"layer_embedding/{pattern}"] = numpy(network.layer_embedding).copy()
            arrays[f"component_embedding/{pattern}"] = numpy(network.component_embedding).copy()
        return arrays

    @torch.no_grad()
    def _pruned_through(self, block: int, stream: Stream, state: RunState) -> Stream:
        """The stream behind the block as the method leaves it: with its own weights where it has some."""
        published = state.weights.get("published", {})
        for linear in self.subject.linears[block]:
            mask = state.masks.get("final", {}).get(linear.name)
            if mask is not None:
                weight: Tensor = published.get(linear.name, self.subject.dense_weight(linear) * mask)
                linear.set_weight(weight)
        after = stream.through(block)
        self.subject.restore(block)
        return after


def forgetting_summary(recalled: dict[str, list[float]]) -> dict[str, float | None]:
    """Two numbers for a row of the forgetting matrix, over all blocks but the one just decided.

    ``average_forgetting``: mean share of groups whose pattern the network would now choose differently.
    ``backward_transfer``: mean of (error at decision - error of the mask it would choose now); positive means that
    learning later blocks has made it better at earlier ones.
    """
    earlier = len(recalled["changed"]) - 1
    if earlier < 1:
        return {"average_forgetting": None, "backward_transfer": None}
    gained = [
        then - now for then, now in zip(recalled["error_rel_at_decision"], recalled["error_rel"], strict=True)
    ]
    return {
        "average_forgetting": sum(recalled["changed"][:earlier]) / earlier,
        "backward_transfer": sum(gained[:earlier]) / earlier,
    }
