"""A recorded run with its model opened again: the masks and weights that the run ended with, fit to be worn.

Knows nothing about what is done with them. A record may come from anyone, so that everything is checked against the
model before it is put on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hyperprune_lab.errors import UserError
from hyperprune_lab.models.open import open_model
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline import layers, model_stage
from hyperprune_lab.pipeline.budget import evaluation_budget, ladder_settings
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.environment import choose_device
from hyperprune_lab.pipeline.ladder import LadderSettings
from hyperprune_lab.pipeline.session import recorded_config
from hyperprune_lab.pipeline.subject import Subject
from hyperprune_lab.record.layout import RunDirectory
from hyperprune_lab.record.store import Store

Weights = Literal["dense", "mask-only", "compensated"]
DECIDING_STAGES = (layers.STAGE, model_stage.STAGE)
"""The stages after which masks are no longer provisional."""
COMPENSATION = "compensation"


def is_run(target: str) -> bool:
    """Whether ``target`` is the folder of a run rather than a model."""
    return RunDirectory(Path(target)).database.exists()


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """One run's record, its configuration, and its model as it was before pruning."""

    store: Store
    config: RunConfig
    subject: Subject

    @classmethod
    def open(cls, path: Path | str, device: str | None = None) -> RecordedRun:
        """Open the run's model; ``device`` None is the run's own, or the best there is where that is not here.

        Raises ``UserError``: no run, a damaged or foreign one, one that never began, or a model that is no longer the
        one that was pruned.
        """
        store = Store(path)
        started = store.started
        if not started:
            raise UserError(f"{path} was interrupted before it began: there is nothing in it.")
        config = recorded_config(started["config"])
        opened = open_model(
            config.model,
            device=str(_device(config.device) if device is None else choose_device(device)),
            dtype=config.dtype,
            trust_remote_code=config.trust_remote_code,
        )
        found, recorded = opened.identity["sha256"], started["model"].get("sha256")
        if found != recorded:
            raise UserError(
                f"{config.model} is not the model that was pruned in {path}: the sha256 of its weights is "
                f"{found[:12]}..., the record says {str(recorded)[:12]}... Put the original back, or prune this one."
            )
        subject = Subject.of(opened, NMPattern.parse(config.pattern), config.overrides)
        return cls(store, config, subject)

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.store.directory.root

    @property
    def windows(self) -> int | None:
        """How many windows of each evaluation text the run read, whatever its budget reads today; None: all."""
        recorded = self.store.config.get("evaluation")
        found: int | None = recorded["windows"] if recorded else evaluation_budget(self.config).windows
        return found

    @property
    def ladder(self) -> LadderSettings:
        """The compensation ladder that the run climbed, whatever its budget means today."""
        recorded: dict[str, Any] = dict(self.store.config.get("ladder") or {})
        for name, value in recorded.items():
            if isinstance(value, list):
                recorded[name] = tuple(value)
        return LadderSettings(**recorded) if recorded else ladder_settings(self.config)

    def has_finished(self, stage: str) -> bool:
        """Whether the run has put ``stage`` behind it."""
        return any(event.stage == stage for event in self.store.events(kinds=("StageFinished",)))

    @property
    def decided(self) -> bool:
        """Whether the masks are final."""
        stages = [stage for stage in self.store.started["stages"] if stage in DECIDING_STAGES]
        return all(self.has_finished(stage) for stage in stages)

    @property
    def compensated(self) -> bool:
        """Whether the weights under the masks have been compensated."""
        return self.has_finished(COMPENSATION)

    @property
    def last_weights(self) -> Weights:
        """The last state of the model that the run has come to."""
        if self.compensated:
            return "compensated"
        return "mask-only" if self.decided else "dense"

    def worn(self, weights: Weights) -> tuple[dict[str, Tensor] | None, dict[str, Tensor] | None]:
        """What :meth:`Subject.wearing` takes to show this state; raises ``UserError`` where the run has not got it."""
        match weights:
            case "dense":
                return None, None
            case "mask-only":
                return self.masks(), None
            case "compensated":
                return None, self.weights()

    def masks(self) -> dict[str, Tensor]:
        """The final mask of every linear, bool ``[out, in]``; raises ``UserError`` while masks are provisional."""
        if not self.decided:
            raise UserError(
                f"{self.path} has no final masks yet ({self.store.state}): let it finish, or go on with "
                f"`hyperprune-lab resume {self.path}`."
            )
        masks = {}
        linears, patterns = self.subject.by_name, self.subject.patterns
        for name, packed in self.store.final_masks():
            linear = linears.get(name)
            if linear is None or packed.shape != (linear.out_features, linear.in_features):
                raise UserError(f"{self.path} is damaged: its mask of {name} does not fit the model.")
            if packed.pattern != patterns[name]:
                raise UserError(
                    f"{self.path} is damaged: {name} was to keep {patterns[name]}, not {packed.pattern}."
                )
            masks[name] = torch.from_numpy(packed.unpack()).to(self.subject.device)
        missing = set(linears) - set(masks)
        if missing and not self._left_dense(missing):
            raise UserError(f"{self.path} is damaged: it has no mask of {min(missing)}.")
        return masks

    def weights(self) -> dict[str, Tensor]:
        """Compensated weights and norm gains by parameter name, fp32; raises ``UserError`` where there are none."""
        if self.config.compensation == "none":
            raise UserError(
                f"{self.path} has no compensated weights: it was run with compensation none. Ask for --weights "
                "mask-only, or prune with --compensation block."
            )
        if not self.compensated:
            raise UserError(
                f"{self.path} has not compensated its weights yet ({self.store.state}): ask for --weights mask-only, "
                f"or go on with `hyperprune-lab resume {self.path}`."
            )
        weights = {}
        for block in range(len(self.subject.blocks)):
            for name, array in self.store.weights(block).items():
                dense = self.subject.dense.get(name)
                if dense is None or array.shape != tuple(dense.shape) or not np.isfinite(array).all():
                    raise UserError(f"{self.path} is damaged: its weights {name} do not fit the model.")
                weights[name] = torch.from_numpy(np.array(array)).to(self.subject.device)
        if not weights:
            raise UserError(f"{self.path} was copied without its compensated weights: ask the original run.")
        return weights

    def _left_dense(self, names: set[str]) -> bool:
        """Whether all of these linears lie in blocks that the method leaves alone."""
        settings = self.store.config.get("hyperprune") or {}
        dense = {
            linear.name
            for block in settings.get("dense_blocks", ())
            for linear in self.subject.linears[block]
        }
        return names <= dense


def _device(name: str) -> torch.device:
    try:
        return choose_device(name)
    except UserError:
        return choose_device("auto")
