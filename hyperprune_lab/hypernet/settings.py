"""Presets and budgets of HyperPrune: every choice in one place, each named as published or ours.

Knows nothing about how the settings are carried out.

=====================  =============================  =========================  =================================
choice                 ``paper``                      ``released``               ``lab`` (ours)
=====================  =============================  =========================  =================================
input of a group       its weights / row RMS          weights, diagonal of H     scale-free scores, block of H,
                       (weights: published;           (published by the cards;   coupling, energies, gradients
                       scaling: ours)                 scaling: ours)
layer and component    on (published)                 off (published)            on
embeddings
network                4 maps, 256 wide (published    4 maps, 256 wide           3 maps, 64 wide (``quick``:
                       as 256 or 512), SiLU (ours)    (published: 256)           32)
embedding width d      64 (cards; paper n/a)          64 (published)             16
prior                  none (an initialization is     SparseGPT's mask           coordinate descent, or ALPS's
                       mentioned, not described)      (published), strength 3    support when compensating
f (what is rebuilt)    one linear (ours, n/a)         one linear (ours, n/a)     one linear, then the model's KL
mask in training       soft, Gumbel-Softmax (soft:    soft, Gumbel-Softmax       expected error in closed form,
                       ours; relaxation: published)                              then mean-field soft masks
prefix                 dense (ours, n/a)              dense (ours)               dense
lambda 1 (outlier)     0.1, dimensionless (ours)      0 (ours, n/a)              0.1
lambda 2 (continual)   1.0, KL in nats (ours)         0 (ours, n/a)              1.0
temperature            4 to 0.05, geometric (ours)    4 to 0.05 (ours)           2 to 0.1, geometric
optimizer              Adam 1e-3 (ours, after the     Adam 1e-3 (published,      Adam 1e-2
                       cards)                         stage 1)
rows decided           all (published)                200 per linear             all
                                                      (published)
dense blocks           none (published)               none; upstream leaves two  none
                                                      (``dense_blocks=(0, 1)``)
free logits per group  none                           none                       on the network's, ``thorough``
                                                                                 only
weights                original (published)           compensated (published)    original, then the ladder
=====================  =============================  =========================  =================================
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from hyperprune_lab.errors import UserError
from hyperprune_lab.hypernet.chooser import ChooserSettings
from hyperprune_lab.hypernet.presets import PRESETS
from hyperprune_lab.hypernet.trainer import TrainingSettings

PRIORS = ("none", "sparsegpt", "descent", "alps")


@dataclass(frozen=True)
class ModelStageSettings:
    """The whole-model stage: ``steps`` of KL to the dense model in each of ``rounds``; 0 steps skips it.

    Every round refreshes the prior and the loss gradients at the best mask so far. ``batch`` counts sequences.
    ``free_rate`` above 0 adds free residual logits per group, trained at that rate.
    """

    steps: int = 0
    rounds: int = 1
    batch: int = 16
    rate: float = 1e-2
    temperature_start: float = 2.0
    temperature_end: float = 0.1
    looks: int = 4
    gradient_sequences: int = 128
    network: bool = True
    free_rate: float = 0.0


@dataclass(frozen=True)
class HyperPruneSettings:
    """Everything that fixes a HyperPrune run besides the model, the pattern, the data and the seed."""

    preset: str = "lab"
    prior: str = "descent"
    chooser: ChooserSettings = field(default_factory=ChooserSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    model_stage: ModelStageSettings = field(default_factory=ModelStageSettings)
    dense_blocks: tuple[int, ...] = ()
    cache_groups: int = 64
    reservoir_groups: int = 512

    def to_json(self) -> dict[str, Any]:
        """Plain nested values for the record."""
        return {
            field.name: dict(getattr(self, field.name).__dict__)
            if hasattr(getattr(self, field.name), "__dataclass_fields__")
            else getattr(self, field.name)
            for field in fields(self)
        }


FREE_RATE = 0.05
_LAYER_STEPS: dict[str, int] = {"quick": 3, "normal": 15, "thorough": 30}
_PAPER_STEPS: dict[str, int] = {"quick": 30, "normal": 200, "thorough": 1000}
_MODEL_STAGE: dict[str, ModelStageSettings] = {
    "quick": ModelStageSettings(steps=6, batch=8, rate=2e-2, looks=2, gradient_sequences=24),
    "normal": ModelStageSettings(steps=20, rounds=3, batch=16, rate=2e-2, looks=2),
    "thorough": ModelStageSettings(steps=40, rounds=4, batch=16, rate=2e-2, looks=2, free_rate=FREE_RATE),
}


def preset_settings(
    preset: str,
    budget: str,
    objective: str,
    outlier_weight: float | None = None,
    continual_weight: float | None = None,
) -> HyperPruneSettings:
    """The settings of a preset at a budget; a weight given here replaces the preset's.

    Raises ``UserError`` for an unknown preset.
    """
    if preset == "lab":
        settings = HyperPruneSettings(
            prior="descent" if objective == "mask-only" else "alps",
            chooser=ChooserSettings(hidden=32 if budget == "quick" else 64),
            training=TrainingSettings(steps=_LAYER_STEPS[budget], looks=1 if budget == "quick" else 2),
            model_stage=_MODEL_STAGE[budget],
        )
    elif preset in PRESETS:
        published = preset == "paper"
        settings = HyperPruneSettings(
            preset=preset,
            prior="none" if published else "sparsegpt",
            chooser=ChooserSettings(
                features="weights" if published else "diagonal",
                hidden=256,
                depth=4,
                embedding=64,
                layer_embedding=published,
                component_embedding=published,
                prior_strength=0.0 if published else 3.0,
                decided_rows=None if published else 200,
            ),
            training=TrainingSettings(
                steps=_PAPER_STEPS[budget],
                rate=1e-3,
                sampled=True,
                temperature_start=4.0,
                temperature_end=0.05,
                outlier_weight=0.1 if published else 0.0,
                continual_weight=1.0 if published else 0.0,
                choose_best=False,
            ),
        )
    else:
        raise UserError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}")
    training = settings.training
    if outlier_weight is not None:
        training = replace(training, outlier_weight=outlier_weight)
    if continual_weight is not None:
        training = replace(training, continual_weight=continual_weight)
    return replace(settings, training=training)
