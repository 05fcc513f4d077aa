"""Adam's moments as plain tensors, for checkpoints.

Knows nothing about what is being optimized.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def save_adam(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Every moment and step count under ``prefix/parameter index/name``."""
    return {
        f"{prefix}/{index}/{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_adam(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Restore what :func:`save_adam` gave; keys of other prefixes are passed over."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        owner, _, rest = key.partition("/")
        if owner == prefix:
            index, _, name = rest.partition("/")
            state.setdefault(int(index), {})[name] = value
    if state:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
