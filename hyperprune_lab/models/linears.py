"""The linear maps of a block whose weights can be pruned, read and written as ``weight[out, in]``.

Knows nothing about patterns, statistics or whole models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True, eq=False)
class PrunableLinear:
    """One linear map ``y = x W^T + b``; ``name`` is unique in the model, ``local`` in the block.

    ``component`` is the short label that blocks have in common: the last part of the local name (``q_proj``),
    or all of it where the block has several with that last part (``attn.c_proj`` and ``mlp.c_proj``).
    """

    name: str
    local: str
    component: str
    module: nn.Module

    @property
    def transposed(self) -> bool:
        """Whether the module stores ``[in, out]``, as GPT-2's Conv1D does."""
        return isinstance(self.module, Conv1D)

    @property
    def out_features(self) -> int:
        """Rows of ``weight()``."""
        return self.weight().shape[0]

    @property
    def in_features(self) -> int:
        """Columns of ``weight()``: the dimension along which n:m groups run."""
        return self.weight().shape[1]

    def weight(self) -> Float[Tensor, "out in"]:
        """The weight as a view ``[out, in]``, without gradient: writing into it writes into the model."""
        stored = cast(Tensor, self.module.weight).detach()
        return stored.t() if self.transposed else stored

    def set_weight(self, weight: Float[Tensor, "out in"]) -> None:
        """Copy ``weight[out, in]`` into the model, which keeps its data type and device.

        Raises:
            ValueError: the shape differs.
        """
        if weight.shape != self.weight().shape:
            raise ValueError(
                f"{self.name} has a weight of shape {list(self.weight().shape)}, not {list(weight.shape)}"
            )
        with torch.no_grad():
            self.weight().copy_(weight)


def prunable(block: nn.Module, prefix: str) -> list[PrunableLinear]:
    """The prunable linears of ``block``, in order of definition; ``prefix`` is the block's name in the model.

    These are ``nn.Linear`` (and what subclasses it) and GPT-2's ``Conv1D``. The router of a mixture of
    experts is left out, see ``router_reason``.
    """
    found = {
        local: module
        for local, module in block.named_modules()
        if is_linear(module) and router_reason(block, local) is None
    }
    last_parts = Counter(local.rpartition(".")[2] for local in found)
    return [
        PrunableLinear(
            name=f"{prefix}.{local}" if prefix else local,
            local=local,
            component=local if last_parts[local.rpartition(".")[2]] > 1 else local.rpartition(".")[2],
            module=module,
        )
        for local, module in found.items()
    ]


def is_linear(module: nn.Module) -> bool:
    """Whether the module is a dense linear map with a matrix of its own."""
    return isinstance(module, (nn.Linear, Conv1D))


def router_reason(block: nn.Module, local: str) -> str | None:
    """Why the module ``local`` of ``block`` is a router and stays dense; None where it is none.

    A router has a matrix with one output per expert, or with a single output, and lives beside experts; it
    may be a linear or hold its matrix itself. It is tiny, and sending a token to the wrong expert costs more
    than all of the router's weights would save.
    """
    weight = getattr(block.get_submodule(local), "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        return None
    outputs = weight.shape[1] if isinstance(block.get_submodule(local), Conv1D) else weight.shape[0]
    parts = local.split(".")
    for depth in range(len(parts)):
        parent = block.get_submodule(".".join(parts[:depth]))
        for experts in _expert_counts(parent, apart_from=parts[depth]):
            if outputs == experts:
                return f"router: chooses among {experts} experts"
            # Only beside the experts themselves: a single output elsewhere in the block is no gate of theirs.
            if outputs == 1 and depth == len(parts) - 1:
                return "router: gate of a shared expert"
    return None


def _expert_counts(parent: nn.Module, apart_from: str) -> Iterator[int]:
    """How many experts each child of ``parent`` holds, for the children that hold experts."""
    for name, child in parent.named_children():
        if name == apart_from:
            continue
        if isinstance(child, nn.ModuleList) and len(child) > 1:
            if all(any(is_linear(module) for module in expert.modules()) for expert in child):
                yield len(child)
        else:
            yield from {p.shape[0] for p in child.parameters(recurse=False) if p.ndim == 3}
