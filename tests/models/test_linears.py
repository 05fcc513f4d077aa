"""Linears read as ``[out, in]``, written back, found in order, and observed while they run."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hyperprune_lab.models import BlockStream, PrunableLinear, find_blocks, input_key, prunable, record_inputs
from tests.architectures import ARCHITECTURES, VOCABULARY


def ids(sequences: int = 2) -> Tensor:
    return torch.randint(4, VOCABULARY, (sequences, 12), generator=torch.Generator().manual_seed(1))


def test_both_kinds_of_linear_are_read_as_out_in() -> None:
    x = torch.randn(5, 16)
    for module in (nn.Linear(16, 8), Conv1D(8, 16)):
        linear = PrunableLinear("m.l", "l", "l", module)
        assert (linear.out_features, linear.in_features) == (8, 16)
        assert linear.transposed == isinstance(module, Conv1D)
        torch.testing.assert_close(module(x), x @ linear.weight().T + module.bias)


def test_weight_is_a_view_and_set_weight_keeps_type_and_storage() -> None:
    for module in (nn.Linear(16, 8), Conv1D(8, 16)):
        linear = PrunableLinear("m.l", "l", "l", module.to(torch.bfloat16))
        storage = module.weight.data_ptr()
        new = torch.arange(128.0).reshape(8, 16)
        linear.set_weight(new)
        assert torch.equal(linear.weight().float(), new)
        assert module.weight.dtype == torch.bfloat16
        assert module.weight.data_ptr() == storage
        assert not linear.weight().requires_grad
        linear.weight()[3, 5] = -1
        assert module.weight[(5, 3) if linear.transposed else (3, 5)] == -1


def test_a_weight_of_another_shape_is_refused() -> None:
    linear = PrunableLinear("m.l", "l", "l", Conv1D(8, 16))
    with pytest.raises(ValueError, match=r"m\.l has a weight of shape \[8, 16\], not \[16, 8\]"):
        linear.set_weight(torch.zeros(16, 8))


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("llama", "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"),
        ("opt", "k_proj v_proj q_proj out_proj fc1 fc2"),
        ("gpt2", "c_attn attn.c_proj c_fc mlp.c_proj"),
        ("gpt_neox", "query_key_value dense dense_h_to_4h dense_4h_to_h"),
        ("phi3", "o_proj qkv_proj gate_up_proj down_proj"),
        ("falcon", "query_key_value dense dense_h_to_4h dense_4h_to_h"),
        ("mixtral", "q_proj k_proj v_proj o_proj"),
    ],
)
def test_components_in_order_of_definition(architecture: str, expected: str) -> None:
    blocks = find_blocks(ARCHITECTURES[architecture]())
    linears = prunable(blocks[1], blocks.prefix(1))
    assert " ".join(linear.component for linear in linears) == expected
    for linear in linears:
        assert linear.name == f"{blocks.name}.1.{linear.local}"
        assert blocks[1].get_submodule(linear.local) is linear.module


class Experts(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, 16, 16))


class Deep(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(16, outputs)


@pytest.mark.parametrize("experts", [nn.ModuleList(nn.Linear(16, 16) for _ in range(4)), Experts(4)])
def test_routers_stay_out_and_what_only_looks_like_one_stays_in(experts: nn.Module) -> None:
    mixture = nn.ModuleDict(
        {
            "gate": nn.Linear(16, 4),
            "router": Deep(4),
            "shared_gate": nn.Linear(16, 1),
            "shared": Deep(16),
            "experts": experts,
        }
    )
    block = nn.ModuleDict({"narrow": nn.Linear(16, 4), "mlp": mixture})
    found = {linear.local for linear in prunable(block, "model.blocks.0")}
    assert {"narrow", "mlp.shared.layer"} <= found
    assert not found & {"mlp.gate", "mlp.router.layer", "mlp.shared_gate"}
    assert len([name for name in found if name.startswith("mlp.experts")]) == (
        4 if isinstance(experts, nn.ModuleList) else 0
    )


def recorded(architecture: str, block: int = 0, calls: int = 1) -> list[tuple[str, tuple[str, ...], Tensor]]:
    model = ARCHITECTURES[architecture]()
    blocks = find_blocks(model)
    stream = BlockStream.capture(model, blocks, ids(), batch=2)
    seen: list[tuple[str, tuple[str, ...], Tensor]] = []
    with (
        torch.no_grad(),
        record_inputs(prunable(blocks[block], "b"), lambda key, names, x: seen.append((key, names, x))),
    ):
        for _ in range(calls):
            stream.forward(block, stream.hidden[0])
    return seen


@pytest.mark.parametrize(
    ("architecture", "keys"),
    [
        (
            "llama",
            ["self_attn.q_proj+k_proj+v_proj", "self_attn.o_proj", "mlp.gate_proj+up_proj", "mlp.down_proj"],
        ),
        ("gpt2", ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]),
        # OPT defines k, v, q but calls q first; the key follows the definition.
        ("opt", ["self_attn.k_proj+v_proj+q_proj", "self_attn.out_proj", "fc1", "fc2"]),
        # One norm feeds attention and MLP in parallel.
        (
            "falcon",
            [
                "self_attention.query_key_value+mlp.dense_h_to_4h",
                "self_attention.dense",
                "mlp.dense_4h_to_h",
            ],
        ),
        (
            "gpt_neox",
            ["attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"],
        ),
    ],
)
def test_linears_that_read_the_same_tensor_share_an_entry(architecture: str, keys: list[str]) -> None:
    seen = recorded(architecture)
    assert sorted(key for key, _, _ in seen) == sorted(keys)
    for _, _, x in seen:
        assert x.shape[0] == 2 * 12
        assert not x.requires_grad


def test_each_call_is_delivered_and_equal_calls_give_equal_inputs() -> None:
    once, twice = recorded("llama"), recorded("llama", calls=2)
    assert [key for key, _, _ in twice] == [key for key, _, _ in once] * 2
    for (_, names, x), (_, other_names, y) in zip(twice, once * 2, strict=True):
        assert names == other_names
        assert torch.equal(x, y)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "deepseek_v3"])
def test_the_recorded_input_is_what_the_linear_multiplies(architecture: str) -> None:
    model = ARCHITECTURES[architecture]()
    blocks = find_blocks(model)
    stream = BlockStream.capture(model, blocks, ids(), batch=2)
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep_input(key: str, names: tuple[str, ...], x: Tensor) -> None:
        inputs.update(dict.fromkeys(names, x))

    def keep_output(name: str, module: nn.Module, args: object, output: Tensor) -> None:
        outputs[name] = output.reshape(-1, output.shape[-1])

    for index in range(len(blocks)):
        linears = prunable(blocks[index], blocks.prefix(index))
        for linear in linears:
            linear.module.register_forward_hook(partial(keep_output, linear.name))
        with record_inputs(linears, keep_input):
            stream.forward(index, stream.hidden[0])
        for linear in linears:
            bias = 0 if linear.module.bias is None else linear.module.bias
            expected = inputs[linear.name] @ linear.weight().T + bias
            torch.testing.assert_close(outputs[linear.name], expected, rtol=1e-4, atol=1e-5)


def test_hooks_come_off_and_nothing_more_is_delivered_after_an_exception() -> None:
    model = ARCHITECTURES["llama"]()
    blocks = find_blocks(model)
    linears = prunable(blocks[0], "b")
    seen: list[str] = []

    def fail_inside() -> None:
        with record_inputs(linears, lambda key, names, x: seen.append(key)):
            linears[0].module(torch.zeros(1, 32))
            raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        fail_inside()
    assert seen == []
    assert all(not linear.module._forward_pre_hooks for linear in linears)
    with record_inputs(linears, lambda key, names, x: seen.append(key)):
        linears[0].module(input=torch.zeros(1, 32))
    assert seen == ["self_attn.q_proj"]
    assert all(not linear.module._forward_pre_hooks for linear in linears)


def test_the_key_of_linears_without_a_parent() -> None:
    first, second = (PrunableLinear(f"b.{n}", n, n, nn.Linear(2, 2)) for n in ("fc1", "fc2"))
    assert input_key([first]) == "fc1"
    assert input_key([first, second]) == "fc1+fc2"
