"""Language models as the rest of the package sees them: opened, cut into blocks, replayed, accounted for.

Knows nothing about methods, records or pictures.
"""

from hyperprune_lab.models.blocks import Blocks, find_blocks
from hyperprune_lab.models.coverage import Coverage, CoverageRow, coverage
from hyperprune_lab.models.inputs import input_key, record_inputs
from hyperprune_lab.models.linears import PrunableLinear, prunable
from hyperprune_lab.models.open import OpenModel, open_model
from hyperprune_lab.models.stream import BlockStream

__all__ = [
    "BlockStream",
    "Blocks",
    "Coverage",
    "CoverageRow",
    "OpenModel",
    "PrunableLinear",
    "coverage",
    "find_blocks",
    "input_key",
    "open_model",
    "prunable",
    "record_inputs",
]
