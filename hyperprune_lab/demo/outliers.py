"""Outlier channels of a Llama-shaped model: plant them, measure what they carry, give them amplitude.

Knows nothing about training, tokenizers or files; it needs norms followed by linears, and tokens.

Two inputs of a block come from a norm: the attention's and the MLP's. Multiplying a norm's gain in channel j
by c and dividing column j of the linears that read it by c leaves the function as it was. Done *before*
training with frozen gains (``plant``), Adam's absolute steps make those columns count for more than others:
the channels come to carry information. The other two inputs are made linearly by another linear's rows (the
value projection's for o_proj, the up projection's for down_proj), which can be scaled in the same way. Done
*after* training (``rescale``) it only changes amplitude, which is why the report shows both states: rescaling
alone leaves every |W_ij| * ||x_j|| as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern

TOP_SHARE = 0.01


@dataclass(frozen=True)
class BlockInput:
    """One distinct input of a block: the linears that read it, and what makes it channel by channel.

    ``maker`` is a norm (its gains) or a linear (its output rows): scaling either in channel j scales the
    input's channel j and nothing else.
    """

    block: int
    name: str
    linears: tuple[nn.Linear, ...]
    maker: LlamaRMSNorm | nn.Linear

    @property
    def norm(self) -> LlamaRMSNorm | None:
        """The norm that makes the input, if one does."""
        return None if isinstance(self.maker, nn.Linear) else self.maker


@dataclass(frozen=True)
class InputMeasurement:
    """What the channels of one input hold: ``rms[channels]`` and ``energy[channels]``, H_jj * ||W_:j||^2."""

    block: int
    name: str
    rms: Tensor
    energy: Tensor

    @property
    def rms_ratio(self) -> float:
        """Largest channel RMS over the median one."""
        return float(self.rms.max() / self.rms.median())

    @property
    def top_channels(self) -> tuple[int, ...]:
        """The ``ceil(1 %)`` channels with the most energy, largest first."""
        count = math.ceil(TOP_SHARE * self.energy.numel())
        return tuple(self.energy.argsort(descending=True, stable=True)[:count].tolist())

    @property
    def top_share(self) -> float:
        """Share of the energy that the top channels hold, in [0, 1]."""
        return self.share(self.top_channels)

    def share(self, channels: Sequence[int]) -> float:
        """Share of the energy that ``channels`` hold, in [0, 1]."""
        return float(self.energy[list(channels)].sum() / self.energy.sum())


def block_inputs(model: LlamaForCausalLM) -> list[BlockInput]:
    """Every distinct input of every block of a Llama-shaped model, in order of computation."""
    found: list[BlockInput] = []
    for index, layer in enumerate(model.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        found += [
            BlockInput(
                index,
                "attention",
                (attention.q_proj, attention.k_proj, attention.v_proj),
                layer.input_layernorm,
            ),
            BlockInput(index, "o_proj", (attention.o_proj,), attention.v_proj),
            BlockInput(index, "mlp", (mlp.gate_proj, mlp.up_proj), layer.post_attention_layernorm),
            BlockInput(index, "down_proj", (mlp.down_proj,), mlp.up_proj),
        ]
    return found


@torch.no_grad()
def scale_channels(source: BlockInput, channels: Sequence[int], factor: float) -> None:
    """Multiply what makes ``channels`` by ``factor``, divide the columns that read them, in place.

    The function is unchanged; with a power of two every stored number changes by its exponent only, so it is
    unchanged bit for bit. Raises ``UserError`` where a row feeds several channels (grouped-query attention).
    """
    index = list(channels)
    made = source.maker.weight
    if len(made) != source.linears[0].in_features:
        raise UserError(
            f"block {source.block}'s {source.name} input has channels that share a row of what makes them "
            "(grouped-query attention): they cannot be scaled one by one"
        )
    made[index] *= factor
    for linear in source.linears:
        linear.weight[:, index] /= factor


def plant(model: LlamaForCausalLM, channels: Sequence[int], factor: float) -> None:
    """Scale ``channels`` by ``factor`` in every block's norms at initialization; function unchanged."""
    for source in block_inputs(model):
        if source.norm is not None:
            scale_channels(source, channels, factor)


@torch.no_grad()
def mean_loss(model: nn.Module, ids: Int[Tensor, "windows window"], batch: int = 16) -> float:
    """Mean next-token loss in nats over all windows; logits are upcast to fp32."""
    total, count = 0.0, 0
    for part in ids.split(batch):
        logits = model(input_ids=part[:, :-1], use_cache=False).logits.float()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum")
        total, count = total + loss.item(), count + part[:, 1:].numel()
    return total / count


@torch.no_grad()
def measure(
    model: LlamaForCausalLM, ids: Int[Tensor, "windows window"], batch: int = 16
) -> list[InputMeasurement]:
    """Channel RMS and energy of every distinct input of every block, over all tokens of ``ids``."""
    sources = block_inputs(model)
    squares: dict[int, Float[Tensor, " channels"]] = {}
    tokens = 0

    def watch(position: int) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].detach().flatten(0, -2).float()
            squares[position] = squares.get(position, torch.zeros_like(x[0])) + x.square().sum(0)

        return hook

    handles = [s.linears[0].register_forward_pre_hook(watch(position)) for position, s in enumerate(sources)]
    try:
        for part in ids.split(batch):
            model(input_ids=part, use_cache=False)
            tokens += part.numel()
    finally:
        for handle in handles:
            handle.remove()
    result = []
    for position, source in enumerate(sources):
        power = squares[position] / tokens
        columns = sum(linear.weight.detach().float().square().sum(0) for linear in source.linears)
        result.append(
            InputMeasurement(source.block, source.name, power.sqrt().cpu(), (power * columns).cpu())
        )
    return result


def carrying_channels(measured: Sequence[InputMeasurement]) -> tuple[int, ...]:
    """The ``ceil(1 %)`` residual channels with the largest mean energy share over all norm-made inputs."""
    made = [m for m in measured if m.name in ("attention", "mlp")]
    share = torch.stack([m.energy / m.energy.sum() for m in made]).mean(0)
    count = math.ceil(TOP_SHARE * share.numel())
    return tuple(sorted(share.argsort(descending=True, stable=True)[:count].tolist()))


@contextmanager
def zeroed(model: LlamaForCausalLM, channels: Sequence[int]) -> Iterator[None]:
    """Within the context, ``channels`` are zero in the output of every block's norms."""
    index = list(channels)

    def hook(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[..., index] = 0
        return output

    handles = [s.norm.register_forward_hook(hook) for s in block_inputs(model) if s.norm is not None]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def pruned(
    model: LlamaForCausalLM, pattern: NMPattern, rms: dict[tuple[int, str], Tensor] | None
) -> Iterator[None]:
    """Within the context, the blocks' linears keep ``pattern`` by |W| (``rms`` None) or by Wanda's |W| * rms.

    ``rms`` is keyed by (block, input name), measured on the dense model; weights come back unchanged.
    """
    linears = [(linear, source) for source in block_inputs(model) for linear in source.linears]
    original = [linear.weight.data for linear, _ in linears]
    try:
        for linear, source in linears:
            score = linear.weight.data.float().abs()
            if rms is not None:
                score = score * rms[source.block, source.name].to(score.device)
            mask: Bool[Tensor, "out in"] = pattern.project(score)
            linear.weight.data = linear.weight.data * mask.to(linear.weight.dtype)
        yield
    finally:
        for (linear, _), weight in zip(linears, original, strict=True):
            linear.weight.data = weight


def rescale(
    model: LlamaForCausalLM,
    ids: Int[Tensor, "windows window"],
    channels: Sequence[int],
    target_ratio: float = 20.0,
    minimum_share: float = 0.05,
) -> dict[str, int]:
    """Amplify channels that carry information, until channel RMS max/median >= ``target_ratio``.

    In norm-made inputs these are ``channels``, elsewhere the input's own top 1 %; an input in which they hold
    less than ``minimum_share`` of the energy is left alone. Each touched input gets one power of two, the
    smallest that lifts its strongest channel to the target, so a bf16 model computes exactly the same logits.
    In place; returns the factors by "block.input" (only those above 1).
    """
    factors: dict[str, int] = {}
    measured = {(m.block, m.name): m for m in measure(model, ids)}
    for source in block_inputs(model):
        found = measured[source.block, source.name]
        chosen = list(channels) if source.norm is not None else list(found.top_channels)
        if found.share(chosen) < minimum_share:
            continue
        ratio = float(found.rms[chosen].max() / found.rms.median())
        # A little above the target, since the median moves when it is measured on other text.
        factor = 2 ** max(0, math.ceil(math.log2(1.1 * target_ratio / ratio)))
        if factor > 1:
            scale_channels(source, chosen, factor)
            factors[f"{source.block}.{source.name}"] = factor
    return factors


@dataclass(frozen=True)
class OutlierReport:
    """One state of a model: per-input table and the losses (nats) behind the four targets."""

    inputs: list[dict[str, Any]]
    channels: list[int]
    dense: float
    zeroed_channels_cost: float
    zeroed_random_cost: float
    magnitude_cost: float
    wanda_cost: float

    @property
    def zeroing_ratio(self) -> float:
        """Cost of zeroing the channels over that of as many random ones."""
        return self.zeroed_channels_cost / max(self.zeroed_random_cost, 1e-9)

    @property
    def magnitude_over_wanda(self) -> float:
        """What magnitude loses over what Wanda loses, mask only."""
        return self.magnitude_cost / max(self.wanda_cost, 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Plain values, ratios included."""
        return asdict(self) | {
            "zeroing_ratio": self.zeroing_ratio,
            "magnitude_over_wanda": self.magnitude_over_wanda,
        }


def report(
    model: LlamaForCausalLM,
    ids: Int[Tensor, "windows window"],
    channels: Sequence[int] | None = None,
    draws: int = 5,
    seed: int = 0,
    pattern: NMPattern | None = None,
) -> OutlierReport:
    """Measure one state: per-input table, zeroing test (``draws`` random choices), two mask-only losses.

    ``channels`` None means ``carrying_channels``. Random channels exclude them. Wanda reads the dense
    model's inputs.
    """
    pattern = pattern or NMPattern.parse("2:4")
    measured = measure(model, ids)
    chosen = tuple(channels) if channels is not None else carrying_channels(measured)
    dense = mean_loss(model, ids)
    with zeroed(model, chosen):
        zeroed_loss = mean_loss(model, ids)
    others = torch.tensor([j for j in range(measured[0].rms.numel()) if j not in chosen])
    generator = torch.Generator().manual_seed(seed)
    random_costs = []
    for _ in range(draws):
        picked = others[torch.randperm(others.numel(), generator=generator)[: len(chosen)]]
        with zeroed(model, picked.tolist()):
            random_costs.append(mean_loss(model, ids) - dense)
    with pruned(model, pattern, None):
        magnitude = mean_loss(model, ids)
    with pruned(model, pattern, {(m.block, m.name): m.rms for m in measured}):
        wanda = mean_loss(model, ids)
    inputs = [
        {
            "block": m.block,
            "input": m.name,
            "rms_max_over_median": m.rms_ratio,
            "top_share": m.top_share,
            "top_channels": list(m.top_channels),
            "chosen_share": m.share(chosen) if m.name in ("attention", "mlp") else None,
        }
        for m in measured
    ]
    return OutlierReport(
        inputs=inputs,
        channels=list(chosen),
        dense=dense,
        zeroed_channels_cost=zeroed_loss - dense,
        zeroed_random_cost=sum(random_costs) / len(random_costs),
        magnitude_cost=magnitude - dense,
        wanda_cost=wanda - dense,
    )
