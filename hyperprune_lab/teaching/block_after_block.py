"""One shared network in small: trained on a few linears of one block after another, and asked about all of them again.

Knows nothing about pictures or records; what a run does for a whole model is done here for a lesson, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from hyperprune_lab.hypernet.chooser import Chooser, ChooserSettings
from hyperprune_lab.hypernet.context import PRIOR_MASKS, build_context, inverse_diagonal
from hyperprune_lab.hypernet.features import LinearContext
from hyperprune_lab.hypernet.memory import GroupCache, Reservoir
from hyperprune_lab.hypernet.trainer import BlockTrainer, TrainingSettings
from hyperprune_lab.teaching.block_of_demo import demo_block

LINEARS = ("self_attn.q_proj", "mlp.down_proj")


@dataclass(frozen=True, eq=False)
class Recollection:
    """What the network said about each block; row: after training a block, column: the block asked, NaN above.

    ``changed``: share of groups decided otherwise than at first; ``error``: relative error of the mask that it would
    choose at that moment. ``at_decision``: each block's error when it was decided.
    """

    changed: Float[np.ndarray, "blocks blocks"]
    error: Float[np.ndarray, "blocks blocks"]
    at_decision: Float[np.ndarray, " blocks"]


def small_blocks(count: int = 3, linears: tuple[str, ...] = LINEARS) -> list[list[LinearContext]]:
    """The first blocks of the embedded model, a few linears of each, as a network meets them."""
    blocks = []
    for block in range(count):
        found = demo_block(block)
        problems = [found[local] for local in linears]
        blocks.append(
            [
                build_context(problem, PRIOR_MASKS["none"](problem), inverse_diagonal(problem.statistics))
                for problem in problems
            ]
        )
    return blocks


def train_in_turn(
    blocks: list[list[LinearContext]], continual_weight: float = 0.0, steps: int = 40, seed: int = 0
) -> Recollection:
    """Train one network that sees weights only on block after block; after each, ask about all blocks so far.

    ``continual_weight`` is λ2. The groups that it is held to are never those that it is asked about.
    """
    first = blocks[0]
    settings = ChooserSettings(features="weights", prior_strength=0.0)
    components = tuple(linear.component for linear in first)
    chooser = Chooser(settings, [first[0].pattern], len(blocks), components, seed=seed)
    training = TrainingSettings(
        steps=steps, continual_weight=continual_weight, outlier_weight=0.0, choose_best=False
    )
    trainer, draw = BlockTrainer(chooser, training), torch.Generator().manual_seed(seed)
    caches = {str(first[0].pattern): GroupCache(per_linear=256)}
    examined = Reservoir(groups_per_linear=2048)
    changed, error = (np.full((len(blocks), len(blocks)), np.nan) for _ in range(2))
    for block, linears in enumerate(blocks):
        wanda = [linear.prior for linear in linears]
        for _ in trainer.train(linears, [None] * len(linears), caches, wanda, draw):
            pass
        for linear in linears:
            others = examined.add(chooser, linear, draw)
            caches[str(linear.pattern)].add(chooser, linear, others, draw)
        said = examined.ask_all(chooser)
        changed[block, : block + 1], error[block, : block + 1] = said["changed"], said["error_rel"]
    return Recollection(changed, error, np.array(said["error_rel_at_decision"]))
