"""The transformer blocks of a language model, found by structure.

Knows no architecture by name, and nothing about what happens inside a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from hyperprune_lab.errors import UserError
from hyperprune_lab.models.linears import is_linear


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks in order; ``name`` is the dotted name of the list that holds them. They may be unequal."""

    name: str
    modules: list[nn.Module]

    def __len__(self) -> int:
        return len(self.modules)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.modules)

    def __getitem__(self, index: int) -> nn.Module:
        return self.modules[index]

    def prefix(self, index: int) -> str:
        """The dotted name of one block: ``model.layers.3``."""
        return f"{self.name}.{index}"


def find_blocks(model: PreTrainedModel) -> Blocks:
    """The list of modules that holds most of the model's parameters on the path of the text.

    Candidates are the lists (``ModuleList``, ``Sequential``) of modules with linear maps in them that live
    beside the input embedding of the text, or below it, or else as near to that as there are any: a vision
    tower has blocks too, but not beside the word embedding. Of a list and a list inside it, the outer one
    wins.

    Raises:
        UserError: there is no such list.
    """
    for root in _roots_outward(model):
        candidates = list(_lists_below(model, root))
        if candidates:
            # The first of equals is the outermost, because parents come before children.
            name, modules = max(candidates, key=lambda candidate: _parameters(candidate[1]))
            return Blocks(name, list(modules.children()))
    raise UserError(
        f"{type(model).__name__} has no list of transformer blocks, so it cannot be pruned block by block: "
        "choose a causal language model that is a stack of blocks."
    )


def _roots_outward(model: PreTrainedModel) -> Iterator[str]:
    """The module that owns the text's input embedding, then what owns that, up to the model itself."""
    embedding = model.get_input_embeddings()
    path = next((name for name, module in model.named_modules() if module is embedding), "")
    while path:
        path = path.rpartition(".")[0]
        yield path
    if embedding is None:
        yield ""


def _lists_below(model: nn.Module, root: str) -> Iterator[tuple[str, nn.Module]]:
    for local, module in model.get_submodule(root).named_modules():
        if isinstance(module, (nn.ModuleList, nn.Sequential)) and any(is_linear(m) for m in module.modules()):
            yield f"{root}.{local}" if root and local else root or local, module


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
