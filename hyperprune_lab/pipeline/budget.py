"""What each budget spends on the compensation ladder and on evaluation.

Budgets of HyperPrune's own stages stand in :mod:`hyperprune_lab.hypernet.settings`.

=========  ===========================  =======================================
budget     block refit                  whole-model refit
=========  ===========================  =======================================
quick      4 steps, one rate            6 steps, one rate
normal     24 steps, one rate           45 steps, one rate
thorough   100 steps, two rates         150 steps, two rates
=========  ===========================  =======================================

A step is 16 sequences (``quick``: 8) forward and backward through one block (or the model); the best rate is the one
with the least held-out loss, no refit included.

Evaluation reads 4 windows of each embedded domain (``quick``), 12 (``normal``) or all of them, asks 2, 8 or 20 probes
of each skill, and writes 12, 32 or 64 tokens behind each prompt. A text of the user's own is read whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hyperprune_lab.evaluate.texts import EvaluationWindows
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.ladder import LadderSettings

_LADDERS = {
    "quick": LadderSettings(block_steps=4, block_rates=(2e-3,), model_steps=6, model_rates=(3e-4,), batch=8),
    "normal": LadderSettings(block_steps=24, block_rates=(2e-3,), model_steps=45, model_rates=(3e-4,)),
    "thorough": LadderSettings(
        block_steps=100, block_rates=(1e-3, 3e-3), model_steps=150, model_rates=(3e-4, 1e-3)
    ),
}


@dataclass(frozen=True)
class EvaluationBudget:
    """``windows`` of each domain (None: all), ``probes`` of each skill, ``new_tokens`` behind each prompt."""

    windows: int | None
    probes: int
    new_tokens: int


_EVALUATION = {
    "quick": EvaluationBudget(4, 2, 12),
    "normal": EvaluationBudget(12, 8, 32),
    "thorough": EvaluationBudget(None, 20, 64),
}


def ladder_settings(config: RunConfig) -> LadderSettings:
    """The ladder that a run climbs."""
    return replace(_LADDERS[config.budget], rung=config.compensation)


def evaluation_budget(config: RunConfig) -> EvaluationBudget:
    """What a run evaluates: a text of its own is read whole."""
    budget = _EVALUATION[config.budget]
    return budget if config.eval_text is None else replace(budget, windows=None)


def windows_read(windows: tuple[EvaluationWindows, ...], most: int | None) -> tuple[EvaluationWindows, ...]:
    """The first ``most`` windows of each domain; None: all."""
    return windows if most is None else tuple(part.first(most) for part in windows)
