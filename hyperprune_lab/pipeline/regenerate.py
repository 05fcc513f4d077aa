"""Asks a recorded run's network again: which masks would it choose now, and are they the recorded ones?

Knows nothing about training. Contexts are made again by the very stages that made them in the run.

For ``paper`` the network sees weights only, so that no data is needed. Else statistics, priors and gradients come from
the recorded calibration again, and the recorded base masks say what features were made around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperprune_lab.calibration.windows import load_calibration
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Arrays
from hyperprune_lab.hypernet.chooser import ChooserSettings
from hyperprune_lab.hypernet.features import LinearContext
from hyperprune_lab.hypernet.model_trainer import ModelTrainer
from hyperprune_lab.hypernet.settings import HyperPruneSettings, ModelStageSettings
from hyperprune_lab.hypernet.trainer import TrainingSettings
from hyperprune_lab.methods.hyperprune import HyperPrune, Roster
from hyperprune_lab.models.linears import PrunableLinear
from hyperprune_lab.patterns import unpack
from hyperprune_lab.pipeline import layers, model_stage
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.evaluation import measured
from hyperprune_lab.pipeline.feedback import DenseFeedback
from hyperprune_lab.pipeline.ladder import PRIOR_STAGE, Ladder
from hyperprune_lab.pipeline.recorded import RecordedRun
from hyperprune_lab.pipeline.state import Masks, RunState

_WORST = 5


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """The network that decided a run's final masks; ``base`` is empty where the layer-wise stage decided."""

    method: HyperPrune
    base: Masks

    @classmethod
    def of(cls, run: RecordedRun) -> SavedNetwork:
        """The network of the last stage, or of the layer-wise one where nothing has beaten it since.

        Raises ``UserError`` where the run has none, or one that this version cannot read.
        """
        saved = run.store.network()
        if saved is None:
            raise UserError(
                f"{run.path} has no network to ask again: {run.config.method} decides without one."
                if run.config.method != "hyperprune"
                else f"{run.path} has no network yet: let its first stage finish."
            )
        if not any(name.startswith("base/") for name in saved[0]):
            saved = run.store.network(layers.STAGE) or saved
        arrays, described = saved
        try:
            settings = recorded_settings(run.store.config["hyperprune"])
            method = HyperPrune(settings, _roster(run, described), 0)
            if method.chooser.describe() != described:
                raise ValueError("its settings do not fit its shapes")
            tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
            method.chooser.load_state_dict(_below("network/", tensors))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"the network in {run.path} is not one of this version ({' '.join(str(error).split())[:200]}): "
                "ask it with the version that recorded it."
            ) from error
        device = run.subject.device
        method.chooser.residuals = {
            name: value.to(device) for name, value in _below("residual/", tensors).items()
        }
        return cls(method, _unpacked(run, arrays))


def regenerate(path: Path | str) -> dict[str, Any]:
    """How many groups the network would decide as recorded, and what the masks are worth.

    ``exact`` says that all are; ``worst`` are the linears with the least agreement; ``stored_ppl`` and
    ``regenerated_ppl`` are mask-only perplexities on the run's own evaluation text. Raises ``UserError`` where the run
    has no network, its masks are not final, or model or calibration are no longer what they were.
    """
    run = RecordedRun.open(path)
    stored = run.masks()
    saved = SavedNetwork.of(run)
    found = regenerated_masks(run, saved, stored)
    patterns = run.subject.patterns
    same = {
        name: patterns[name].ids(mask) == patterns[name].ids(stored[name]) for name, mask in found.items()
    }
    groups = sum(equal.numel() for equal in same.values())
    agreeing = sum(int(equal.sum()) for equal in same.values())
    shares = {name: equal.float().mean().item() for name, equal in same.items()}
    exact = groups == agreeing
    stored_ppl = _perplexity(run, stored)
    return {
        "run": str(path),
        "preset": saved.method.settings.preset,
        "groups": groups,
        "agreeing_groups": agreeing,
        "agreement": agreeing / groups,
        "exact": exact,
        "stored_ppl": stored_ppl,
        "regenerated_ppl": stored_ppl if exact else _perplexity(run, found),
        "worst": dict(sorted(shares.items(), key=lambda item: item[1])[:_WORST]),
    }


def regenerated_masks(run: RecordedRun, saved: SavedNetwork, stored: Mapping[str, Tensor]) -> Masks:
    """The masks that the network gives, by linear; a linear that the run left to the prior keeps the prior."""
    method = saved.method
    if method.settings.chooser.features == "weights" and method.settings.prior == "none":
        contexts = {
            linear.name: _weights_only(run, linear, block)
            for block, linears in enumerate(run.subject.linears)
            for linear in linears
            if linear.name in stored
        }
        return {name: method.chooser.hard_mask(context) for name, context in contexts.items()}
    streams = _streams(run)
    state = _meet_again(run, saved, stored, streams)
    if saved.base:
        feedback = DenseFeedback(run.subject, streams, state.weights.get("prior"), state.masks.get("prior"))
        trainer = ModelTrainer(
            method.chooser, method.settings.model_stage, method.contexts, feedback, 0, saved.base
        )
        trainer.prepare_round()
        return trainer.hard_masks()
    by_prior = _left_to_the_prior(run)
    return {
        name: context.prior if name in by_prior else method.chooser.hard_mask(context)
        for name, context in method.contexts.items()
    }


def recorded_settings(values: Mapping[str, Any]) -> HyperPruneSettings:
    """The settings as the record has them, whatever the preset means today; the inverse of their ``to_json``."""
    nested = {
        "chooser": ChooserSettings(**values["chooser"]),
        "training": TrainingSettings(**values["training"]),
        "model_stage": ModelStageSettings(**values["model_stage"]),
        "dense_blocks": tuple(values["dense_blocks"]),
    }
    return HyperPruneSettings(**{**values, **nested})


def _roster(run: RecordedRun, described: Mapping[str, Any]) -> Roster:
    patterns = tuple(sorted(set(run.subject.patterns.values())))
    shape = described["shapes"][str(patterns[0])]
    return Roster(shape["blocks"], tuple(shape["components"]), patterns, run.subject.device)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _unpacked(run: RecordedRun, arrays: Arrays) -> Masks:
    masks = {}
    for name, linear in run.subject.by_name.items():
        packed = arrays.get(f"base/{name}")
        if packed is None:
            continue
        if packed.dtype != np.uint8 or packed.shape != (linear.out_features, -(-linear.in_features // 8)):
            raise UserError(
                f"{run.path} is damaged: the network's base mask of {name} does not fit the model."
            )
        masks[name] = torch.from_numpy(unpack(packed, linear.in_features)).to(run.subject.device)
    return masks


def _weights_only(run: RecordedRun, linear: PrunableLinear, block: int) -> LinearContext:
    """A context for a network that sees weights only, with a prior of no strength; zeros are never read."""
    weight, pattern = run.subject.dense_weight(linear), run.subject.patterns[linear.name]
    unknown = weight.new_zeros(1)
    groups = weight.shape[1] // pattern.group
    return LinearContext(
        name=linear.name,
        component=linear.component,
        block=block,
        pattern=pattern,
        weight=weight,
        gram=unknown.expand(weight.shape[1], weight.shape[1]),
        prior=pattern.project(weight.abs()),
        coupling=unknown.expand(weight.shape),
        inverse_diagonal=unknown.expand(weight.shape[1]),
        energies=unknown.expand(len(weight), groups, pattern.count) if pattern.enumerable else None,
    )


def _streams(run: RecordedRun) -> DenseStreams:
    """The calibration windows of the run; raises ``UserError`` where they are not the ones that it had."""
    opened = run.subject.opened
    calibration = load_calibration(run.config.calibration, opened.tokenizer, opened.context, run.config.seed)
    if calibration.identity["ids_sha256"] != run.store.started["data"].get("ids_sha256"):
        raise UserError(
            f"the calibration text of {run.path} ({calibration.identity['source']}) or its tokenizer has changed "
            "since the run: its statistics cannot be gathered again. Put the text back as it was."
        )
    return DenseStreams.of(run.subject, calibration)


def _meet_again(
    run: RecordedRun, saved: SavedNetwork, stored: Mapping[str, Tensor], streams: DenseStreams
) -> RunState:
    """Gather statistics and build every context, as the layer-wise stage does after a resume.

    Around base masks the priors are of use only where the network learned on their compensated weights; else they are
    computed again from the same statistics.
    """
    stages = list(run.store.started["stages"])
    on_compensated = PRIOR_STAGE in stages[: stages.index(model_stage.STAGE)] if saved.base else False
    state = RunState(stage=layers.STAGE, done=len(run.subject.blocks))
    state.masks = {"prior": {} if on_compensated else dict(saved.base), "final": dict(stored)}
    prefix = "dense" if run.config.prefix == "auto" else run.config.prefix
    method = saved.method
    stage = layers.LayersStage(
        run.subject, method, streams, run.config.seed, prefix, method.settings.dense_blocks
    )
    for _ in stage.run(state):
        pass
    if on_compensated:
        state.masks["prior"] = dict(method.priors)
        ladder = Ladder(run.subject, streams, run.ladder, run.config.seed, "prior")
        for _ in ladder.run(state):
            pass
    return state


def _left_to_the_prior(run: RecordedRun) -> set[str]:
    """Linears in which the prior did better than the network on held-out statistics, and so decided."""
    events = run.store.events(kinds=("ModuleDecided",))
    shares = {event.subject: event.scalars.get("decided_by_network") for event in events}
    return {name for name, share in shares.items() if name is not None and share == 0.0}


def _perplexity(run: RecordedRun, masks: Mapping[str, Tensor]) -> float:
    with run.subject.wearing(masks):
        found = measured(run.subject.opened, run.config.eval_text, run.config.calibration.window, run.windows)
    return found.overall.perplexity
