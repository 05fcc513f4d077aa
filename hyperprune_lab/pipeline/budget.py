"""What each budget spends on the compensation ladder.

Budgets of HyperPrune's own stages stand in :mod:`hyperprune_lab.hypernet.settings`.

=========  ===========================  =======================================
budget     block refit                  whole-model refit
=========  ===========================  =======================================
quick      12 steps, one rate           20 steps, one rate
normal     60 steps, one rate           100 steps, one rate
thorough   150 steps, three rates       300 steps, two rates
=========  ===========================  =======================================

A step is 16 sequences forward and backward through one block (or the model); the best rate is the one with the least
held-out loss, no refit included.
"""

from __future__ import annotations

from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.ladder import LadderSettings

_LADDERS = {
    "quick": LadderSettings(block_steps=12, block_rates=(2e-3,), model_steps=20, model_rates=(3e-4,)),
    "normal": LadderSettings(block_steps=60, block_rates=(1e-3,), model_steps=100, model_rates=(3e-4,)),
    "thorough": LadderSettings(
        block_steps=150, block_rates=(5e-4, 1e-3, 2e-3), model_steps=300, model_rates=(1e-4, 3e-4)
    ),
}


def ladder_settings(config: RunConfig) -> LadderSettings:
    """The ladder that a run climbs."""
    chosen = _LADDERS[config.budget]
    return LadderSettings(**{**chosen.__dict__, "rung": config.compensation})
