"""Which parameters of a model will be pruned, which will not, and why: known before the first token is run.

Knows nothing about weights' values, methods or data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from torch import nn
from transformers import PreTrainedModel

from hyperprune_lab.errors import UserError
from hyperprune_lab.models.blocks import Blocks, find_blocks
from hyperprune_lab.models.linears import PrunableLinear, prunable, router_reason
from hyperprune_lab.patterns import NMPattern

Status = Literal["pruned", "dense", "not covered"]


@dataclass(frozen=True)
class CoverageRow:
    """One parameter: ``name`` is the linear's name where its weight can be pruned, else the parameter's.

    ``dense`` parameters stay as they are on purpose; ``not covered`` ones hold weights that one would want to
    prune but that cannot be reached. ``shape`` is ``[out, in]`` for the weights of linears.
    """

    name: str
    block: int | None
    shape: tuple[int, ...]
    parameters: int
    status: Status
    reason: str
    pattern: NMPattern | None = None


@dataclass(frozen=True)
class Coverage:
    """Every parameter of a model in exactly one row, in the model's order; tied ones once."""

    rows: tuple[CoverageRow, ...]

    @property
    def patterns(self) -> dict[str, NMPattern]:
        """The pattern of each linear that will be pruned, by name, in the model's order."""
        return {row.name: row.pattern for row in self.rows if row.pattern is not None}

    @property
    def pruned_parameters(self) -> int:
        """Parameters that fall under a mask, kept ones included."""
        return sum(row.parameters for row in self.rows if row.pattern is not None)

    @property
    def total_parameters(self) -> int:
        """All parameters of the model, tied ones once."""
        return sum(row.parameters for row in self.rows)

    @property
    def share(self) -> float:
        """Share of the parameters that fall under a mask."""
        return self.pruned_parameters / self.total_parameters

    def table(self) -> str:
        """A compact aligned text: rows that differ only in their block share a line; the sum comes last."""
        lines: dict[tuple[str, str, str], list[int]] = {}
        for row in self.rows:
            name = row.name if row.block is None else row.name.replace(f".{row.block}.", ".*.", 1)
            lines.setdefault((name, str(list(row.shape)), f"{row.status}: {row.reason}"), []).append(
                row.parameters
            )
        cells = [("weights", "times", "shape", "parameters", "fate")]
        cells += [
            (name, str(len(counts)), shape, f"{sum(counts):,}", fate)
            for (name, shape, fate), counts in lines.items()
        ]
        widths = [max(len(cell[column]) for cell in cells) for column in range(4)]
        text = [
            f"{name:<{widths[0]}}  {times:>{widths[1]}}  {shape:<{widths[2]}}  {count:>{widths[3]}}  {fate}"
            for name, times, shape, count, fate in cells
        ]
        text.append(
            f"{len(self.patterns)} linears with {self.pruned_parameters:,} of {self.total_parameters:,} "
            f"parameters ({100 * self.share:.1f} %) will be pruned."
        )
        return "\n".join(text)


def coverage(
    model: PreTrainedModel, pattern: NMPattern, overrides: Sequence[tuple[str, str]] = ()
) -> Coverage:
    """What ``pattern`` will prune of ``model``, and why the rest stays.

    ``overrides`` are pairs of a regular expression, searched in the names of linears, and ``"dense"`` or
    another pattern (``"4:8"``); where several match, the last wins.

    Raises:
        UserError: an override is no regular expression, is neither ``dense`` nor a pattern, or matches no
            linear that can be pruned; the input width of a linear is not divisible by its pattern's group.
    """
    blocks = find_blocks(model)
    linears = {
        linear.name: linear
        for index, block in enumerate(blocks)
        for linear in prunable(block, blocks.prefix(index))
    }
    chosen = _choose(linears, pattern, overrides)
    for name, (own, _) in chosen.items():
        if own is not None:
            own.require(linears[name].in_features, name, linears[name].out_features)
    return Coverage(tuple(_rows(model, blocks, linears, chosen)))


Chosen = dict[str, tuple[NMPattern | None, str]]
"""By the name of a linear: its pattern, None where it stays dense, and the reason."""


def _choose(
    linears: dict[str, PrunableLinear], pattern: NMPattern, overrides: Sequence[tuple[str, str]]
) -> Chosen:
    chosen: Chosen = dict.fromkeys(linears, (pattern, pattern.describe()))
    for expression, wanted in overrides:
        try:
            matches = [name for name in linears if re.search(expression, name)]
        except re.error as error:
            raise UserError(f"The override {expression!r} is no regular expression: {error}.") from None
        if not matches:
            raise UserError(
                f"The override {expression!r} matches no linear that can be pruned. "
                f"{_hint(expression, linears)}"
            )
        own = None if wanted == "dense" else NMPattern.parse(wanted)
        reason = f"override {expression!r}" if own is None else f"{own.describe()}, override {expression!r}"
        chosen |= dict.fromkeys(matches, (own, reason))
    return chosen


def _hint(expression: str, linears: dict[str, PrunableLinear]) -> str:
    """Names near to what was written; without any, the components that there are."""
    locals_ = list(dict.fromkeys(linear.local for linear in linears.values()))
    components = list(dict.fromkeys(linear.component for linear in linears.values()))
    near = get_close_matches(expression, [*linears, *locals_, *components], n=3, cutoff=0.6)
    if near:
        return f"Near names: {', '.join(near)}."
    return f"Linears look like {next(iter(linears))}; their components are {', '.join(components)}."


def _rows(
    model: PreTrainedModel, blocks: Blocks, linears: dict[str, PrunableLinear], chosen: Chosen
) -> Iterator[CoverageRow]:
    inside = {id(module): index for index, block in enumerate(blocks) for module in block.modules()}
    head = model.get_output_embeddings()
    for name, parameter in model.named_parameters():
        owner_name, _, local = name.rpartition(".")
        owner = model.get_submodule(owner_name)
        block = inside.get(id(owner))
        shape, count = tuple(parameter.shape), parameter.numel()
        if owner_name in chosen and local == "weight":
            own, reason = chosen[owner_name]
            out_in = (linears[owner_name].out_features, linears[owner_name].in_features)
            status: Status = "dense" if own is None else "pruned"
            yield CoverageRow(owner_name, block, out_in, count, status, reason, own)
        elif local.endswith("bias"):
            yield CoverageRow(name, block, shape, count, "dense", "bias")
        elif parameter.ndim < 2:
            norm = "norm" in type(owner).__name__.lower()
            yield CoverageRow(name, block, shape, count, "dense", "norm" if norm else "vector")
        elif isinstance(owner, nn.Embedding):
            tied = head is not None and head.weight is parameter
            reason = "embedding, also the output head" if tied else "embedding"
            yield CoverageRow(name, block, shape, count, "dense", reason)
        elif owner is head:
            yield CoverageRow(name, block, shape, count, "dense", "output head")
        elif block is None:
            yield CoverageRow(name, block, shape, count, "dense", f"outside {blocks.name}")
        else:
            prefix = blocks.prefix(block)
            status, reason = _inside(blocks[block], owner_name.removeprefix(f"{prefix}."), owner, shape)
            yield CoverageRow(name, block, shape, count, status, reason)


def _inside(block: nn.Module, local: str, owner: nn.Module, shape: tuple[int, ...]) -> tuple[Status, str]:
    """The fate of a matrix inside a block that is no prunable linear."""
    reason = router_reason(block, local)
    if reason is not None:
        return "dense", reason
    if len(shape) == 3 and not isinstance(owner, nn.Conv1d):
        return "not covered", f"{shape[0]} experts fused in one parameter: no matrices to prune one by one"
    return "not covered", f"{type(owner).__name__} is no linear layer"
