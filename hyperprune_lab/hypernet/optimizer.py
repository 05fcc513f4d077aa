"""Adam's moments as plain tensors, for checkpoints.

Knows nothing about what is being optimized.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def save_adam(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """A copy of every moment and step count under ``prefix/parameter index/name``."""
    return {
        f"{prefix}/{index}/{name}": value.clone()
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
            # Adam counts steps on the host and changes all of this in place.
            state.setdefault(int(index), {})[name] = value.cpu().clone() if name == "step" else value.clone()
    if state:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
