"""What each budget spends on the compensation ladder and on evaluation.

Budgets of HyperPrune's own stages stand in :mod:`hyperprune_lab.hypernet.settings`.

=========  ===========================  =======================================
budget     block refit                  whole-model refit
=========  ===========================  =======================================
quick      6 steps, one rate            8 steps, one rate
normal     30 steps, one rate           60 steps, one rate
thorough   100 steps, two rates         150 steps, two rates
=========  ===========================  =======================================

A step is 16 sequences (``quick``: 8) forward and backward through one block (or the model); the best rate is the one
with the least held-out loss, no refit included.

Evaluation reads 5 windows of each embedded domain (``quick``), 12 (``normal``) or all of them, asks 2, 8 or 20 probes
of each skill, and writes 12, 32 or 64 tokens behind each prompt. A text of the user's own is read whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hyperprune_lab.evaluate.texts import EvaluationWindows
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.ladder import LadderSettings

_LADDERS = {
    "quick": LadderSettings(block_steps=6, block_rates=(2e-3,), model_steps=8, model_rates=(3e-4,), batch=8),
    "normal": LadderSettings(block_steps=30, block_rates=(2e-3,), model_steps=60, model_rates=(3e-4,)),
    "thorough": LadderSettings(
        block_steps=100, block_rates=(1e-3, 3e-3), model_steps=150, model_rates=(3e-4, 1e-3)
    ),
}


@dataclass(frozen=True)
class EvaluationBudget:
    """``windows`` of each embedded domain (None: all), ``probes`` of each skill, ``new_tokens`` behind each prompt."""

    windows: int | None
    probes: int
    new_tokens: int


EVALUATION = {
    "quick": EvaluationBudget(5, 2, 12),
    "normal": EvaluationBudget(12, 8, 32),
    "thorough": EvaluationBudget(None, 20, 64),
}


def ladder_settings(config: RunConfig) -> LadderSettings:
    """The ladder that a run climbs."""
    return replace(_LADDERS[config.budget], rung=config.compensation)


def windows_read(windows: tuple[EvaluationWindows, ...], config: RunConfig) -> tuple[EvaluationWindows, ...]:
    """The windows that a run reads of the embedded texts, or of its own text: that one whole."""
    most = EVALUATION[config.budget].windows
    if config.eval_text is not None or most is None:
        return windows
    return tuple(part.first(most) for part in windows)
