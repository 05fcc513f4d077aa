"""The whole-model stage: the network learns from the model's divergence, through soft masks of all layers at once.

Only for methods that have a network to train so, and only where the model with its gradients fits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperprune_lab.events import (
    BlockFinished,
    Event,
    ForgettingMeasured,
    ModuleDecided,
    StageFinished,
    StageStarted,
    StepMeasured,
)
from hyperprune_lab.hypernet.model_trainer import ModelStageState, ModelTrainer, network_now
from hyperprune_lab.hypernet.optimizer import load_adam, save_adam
from hyperprune_lab.methods.base import Decision, LinearProblem
from hyperprune_lab.methods.hyperprune import HyperPrune
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.environment import peak_memory
from hyperprune_lab.pipeline.evidence import References, module_event
from hyperprune_lab.pipeline.feedback import DenseFeedback
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject, derived_seed

STAGE = "model"
_CHECKPOINTS = 4


@dataclass(eq=False)
class ModelStage:
    """Trains HyperPrune's network on the divergence and lets it decide every block again.

    ``on_compensated`` lays the masks on the prior's compensated weights instead of the original ones.
    """

    subject: Subject
    method: HyperPrune
    streams: DenseStreams
    problems: dict[str, LinearProblem]
    seed: int
    full_evidence: bool = True
    on_compensated: bool = False

    def run(self, state: RunState) -> Iterator[Event]:
        """Train, checkpointing between steps, then put every block's new masks on the stream."""
        started = time.monotonic()
        method = self.method
        compensated = state.weights["prior"] if self.on_compensated else None
        feedback = DenseFeedback(self.subject, self.streams, compensated, state.masks.get("prior"))
        trainer = ModelTrainer(
            method.chooser,
            method.settings.model_stage,
            method.contexts,
            feedback,
            derived_seed(self.seed, STAGE),
            state.masks["final"],
        )
        if state.stage == STAGE:
            self._load(trainer, state)
        else:
            # As long as nothing beats the start, the network that gave the start is the best one.
            trainer.state.best_network = network_now(method.chooser)
        total = trainer.total_steps
        yield StageStarted(STAGE, len(self.subject.blocks), total)
        steps = trainer.train()
        while True:
            try:
                values = next(steps)
            except StopIteration as finished:
                masks: dict[str, Tensor] = finished.value
                break
            done = trainer.state.round * trainer.settings.steps + trainer.state.step
            yield StepMeasured(STAGE, None, done - 1, total, values)
            if done < total and done % max(1, total // _CHECKPOINTS) == 0:
                self._save(trainer, state)
                yield state.reached(STAGE, done)
        yield from self._decide(masks, trainer, state, time.monotonic() - started)

    def _decide(
        self, masks: dict[str, Tensor], trainer: ModelTrainer, state: RunState, seconds: float
    ) -> Iterator[Event]:
        self._keep_best(trainer, state)
        shares = self._network_shares(masks, trainer)
        for block, linears in enumerate(self.subject.linears):
            names = [linear.name for linear in linears if linear.name in masks]
            for name in names:
                entropy = trainer.state.best_entropy.get(name)
                yield self._event(name, masks[name], shares.get(name, 1.0), entropy, state)
            if names:
                yield BlockFinished(
                    STAGE, block, seconds / len(self.subject.linears), peak_memory(self.subject.device)
                )
        state.masks["final"] = masks
        yield ForgettingMeasured(-1, self.method.reservoir.ask_all(self.method.chooser))
        yield StageFinished(STAGE, seconds, {"heldout_divergence": trainer.state.best_divergence})

    def _keep_best(self, trainer: ModelTrainer, state: RunState) -> None:
        """Leave the network as it was when it gave the chosen masks, and what its features were made around."""
        best = trainer.state
        chooser = self.method.chooser
        network = {
            name: value for name, value in best.best_network.items() if not name.startswith("residuals/")
        }
        chooser.load_state_dict(network)
        for name in chooser.residuals:
            chooser.residuals[name] = best.best_network[f"residuals/{name}"]
        state.masks["base"] = best.best_base
        for label in ("best", "best_base"):
            state.masks.pop(label, None)

    def _event(
        self, name: str, mask: Tensor, share: float, entropy: float | None, state: RunState
    ) -> ModuleDecided:
        problem = self.problems[name]
        prior = state.masks["prior"][name]
        changed = 1.0 - (problem.pattern.ids(mask) == problem.pattern.ids(prior)).float().mean().item()
        before = state.results["modules"][name]
        same_as_layers = torch.equal(mask, state.masks["final"][name])
        by_network = before["decided_by_network"] if same_as_layers else share
        scalars = {"changed_from_prior": changed, "decided_by_network": by_network}
        if (entropy := before["entropy"] if entropy is None else entropy) is not None:
            scalars["entropy"] = entropy
        event = module_event(
            STAGE, problem, Decision(mask, scalars=scalars), References.of(problem), self.full_evidence
        )
        state.results["modules"][name] = scalars | {
            "error_rel": event.scalars["error_rel"],
            "entropy": entropy,
        }
        return event

    def _network_shares(self, masks: dict[str, Tensor], trainer: ModelTrainer) -> dict[str, float]:
        """With free residual logits: by linear, the share of groups that the network alone decides the same way."""
        chooser = self.method.chooser
        if not chooser.residuals or not trainer.state.best_base:
            return {}
        residuals, chooser.residuals = chooser.residuals, {}
        trainer.state.base = dict(trainer.state.best_base)
        trainer.prepare_round()
        alone = trainer.hard_masks()
        chooser.residuals = residuals
        patterns = self.subject.patterns
        return {
            name: (patterns[name].ids(alone[name]) == patterns[name].ids(mask)).float().mean().item()
            for name, mask in masks.items()
        }

    def _save(self, trainer: ModelTrainer, state: RunState) -> None:
        stage = trainer.state
        state.masks |= {"base": stage.base, "best": stage.best, "best_base": stage.best_base}
        tensors = self.method.tensors() | save_adam(trainer.optimizer, "model_optimizer")
        tensors |= {f"best/{name}": value for name, value in stage.best_network.items()}
        state.method = tensors
        state.results["model_stage"] = {
            "best_divergence": stage.best_divergence,
            "best_entropy": dict(stage.best_entropy),
            "round": stage.round,
            "step": stage.step,
        }

    def _load(self, trainer: ModelTrainer, state: RunState) -> None:
        saved = state.results["model_stage"]
        trainer.state = ModelStageState(
            base=state.masks["base"],
            best=state.masks["best"],
            best_base=state.masks.get("best_base", {}),
            best_network={
                name.removeprefix("best/"): value
                for name, value in state.method.items()
                if name.startswith("best/")
            },
            best_divergence=float(saved["best_divergence"]),
            best_entropy=dict(saved["best_entropy"]),
            round=int(saved["round"]),
            step=int(saved["step"]),
        )
        load_adam(trainer.optimizer, state.method, "model_optimizer")
