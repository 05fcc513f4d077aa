"""Planting and rescaling leave the function alone; measurements agree with numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from hyperprune_lab.demo import outliers
from hyperprune_lab.demo.train import ModelShape, TrainConfig, build_model
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern

SHAPE = ModelShape(vocabulary=64, hidden=32, layers=2, heads=2, intermediate=48, context=16)


def fresh(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    model, _ = build_model(SHAPE, TrainConfig(outlier_channels=0))
    # Initial weights are so small that logits hardly differ; wider ones make every change visible.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter *= 8
    return model.to(dtype).eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(0, 64, (6, 16), generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def logits(model, ids):
    return model(input_ids=ids, use_cache=False).logits


def test_planting_keeps_the_function(ids):
    model = fresh()
    before = logits(model, ids)
    outliers.plant(model, (3, 20), 30.0)
    torch.testing.assert_close(logits(model, ids), before, rtol=1e-4, atol=1e-5)
    assert model.model.layers[1].input_layernorm.weight[20] == 30
    assert model.model.norm.weight.eq(1).all()


def test_rescaling_is_bit_exact_in_bf16_and_reaches_the_target(ids):
    model = fresh(torch.bfloat16)
    before = logits(model, ids)
    factors = outliers.rescale(model, ids, (5,), target_ratio=20.0, minimum_share=0.0)
    assert factors.keys() == {
        f"{b}.{name}" for b in (0, 1) for name in ("attention", "o_proj", "mlp", "down_proj")
    }
    assert all(factor & (factor - 1) == 0 for factor in factors.values())
    assert torch.equal(logits(model, ids), before)
    ratios = [m.rms_ratio for m in outliers.measure(model, ids)]
    assert min(ratios) >= 20


def test_rescaling_leaves_channels_alone_that_carry_nothing(ids):
    assert outliers.rescale(fresh(), ids, (5,), minimum_share=0.5) == {}


def test_energy_and_rms_agree_with_their_definition(ids):
    model = fresh()
    layer = model.model.layers[0]
    seen = []
    handle = layer.mlp.up_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits(model, ids)
    handle.remove()
    x = seen[0].reshape(-1, 32)
    stacked = torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]).detach()
    measured = next(m for m in outliers.measure(model, ids, batch=4) if (m.block, m.name) == (0, "mlp"))
    torch.testing.assert_close(measured.rms, x.square().mean(0).sqrt())
    torch.testing.assert_close(measured.energy, torch.diag(x.T @ x / len(x)) * stacked.square().sum(0))


def test_shares_of_a_constructed_input():
    energy = torch.ones(200)
    energy[[7, 90]] = 101.0
    rms = torch.ones(200)
    rms[7] = 12.0
    measured = outliers.InputMeasurement(block=0, name="mlp", rms=rms, energy=energy)
    assert measured.top_channels == (7, 90)
    assert measured.top_share == pytest.approx(202 / 400)
    assert measured.share((0, 1)) == pytest.approx(2 / 400)
    assert measured.rms_ratio == pytest.approx(12.0)
    assert outliers.carrying_channels([measured]) == (7, 90)


def test_zeroed_channels_do_not_reach_the_linears_and_hooks_come_off(ids):
    model = fresh()
    before = logits(model, ids)
    with outliers.zeroed(model, (4, 9)):
        inside = outliers.measure(model, ids)
    assert all(m.rms[[4, 9]].eq(0).all() for m in inside if m.name in ("attention", "mlp"))
    assert torch.equal(logits(model, ids), before)


def test_pruned_weights_follow_the_pattern_and_come_back(ids):
    model = fresh()
    linear = model.model.layers[0].mlp.down_proj
    weight = linear.weight.detach().clone()
    rms = {(m.block, m.name): m.rms for m in outliers.measure(model, ids)}
    with outliers.pruned(model, NMPattern.parse("2:4"), rms):
        kept = linear.weight.detach().ne(0).view(32, -1, 4)
        score = (weight.abs() * rms[0, "down_proj"]).view(32, -1, 4)
        assert kept.sum(-1).eq(2).all()
        assert torch.where(kept, score, torch.inf).amin(-1).ge(torch.where(kept, 0.0, score).amax(-1)).all()
    assert torch.equal(linear.weight, weight)


def test_wanda_does_not_feel_a_rescaling_but_magnitude_does(ids):
    model = fresh()
    before = outliers.report(model, ids, channels=(5,), draws=2)
    outliers.rescale(model, ids, (5,), target_ratio=200.0, minimum_share=0.0)
    after = outliers.report(model, ids, channels=(5,), draws=2)
    assert after.wanda_cost == pytest.approx(before.wanda_cost, abs=1e-4)
    assert after.zeroed_channels_cost == pytest.approx(before.zeroed_channels_cost, abs=1e-4)
    assert abs(after.magnitude_cost - before.magnitude_cost) > 1e-3


def test_loss_equals_cross_entropy_over_all_windows(ids):
    model = fresh()
    expected = torch.nn.functional.cross_entropy(
        logits(model, ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    )
    assert outliers.mean_loss(model, ids, batch=4) == pytest.approx(expected.item(), rel=1e-4)


def test_channels_that_share_a_row_cannot_be_scaled():
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
    )
    inner = next(s for s in outliers.block_inputs(LlamaForCausalLM(config)) if s.name == "o_proj")
    with pytest.raises(UserError, match="grouped-query attention"):
        outliers.scale_channels(inner, (0,), 2.0)
