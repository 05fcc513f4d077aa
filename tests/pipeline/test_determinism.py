"""One seed, one result; and no result that depends on the units of a channel."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from hyperprune_lab.events import ModuleDecided
from hyperprune_lab.methods.sparsegpt import SparseGPT
from hyperprune_lab.models.open import open_model
from tests.architectures import tiny_tokenizer

from .tiny import masks, result, run_all, same_arrays, weights

pytestmark = pytest.mark.usefixtures("learning")

NOT_REPEATED = ("seconds", "peak_memory_bytes")


@pytest.mark.parametrize("method", ["sparsegpt", "hyperprune"])
def test_one_seed_gives_one_result(shop, method):
    one, other = (run_all(shop.config(method=method, seed=5, compensation="linear")) for _ in range(2))
    assert same_arrays(masks(one), masks(other))
    assert same_arrays(weights(one), weights(other))
    assert all(result(one)[name] == result(other)[name] for name in result(one) if name not in NOT_REPEATED)


def test_another_seed_gives_other_masks(shop):
    found = [run_all(shop.config(method="hyperprune", seed=seed, compensation="none")) for seed in (5, 6)]
    assert not same_arrays(masks(found[0]), masks(found[1]))
    assert all(result(events)["violations"] == 0 for events in found)


@pytest.fixture(scope="module")
def rescaled(shop):
    """The tiny Llama with other units in the channels behind every norm: gains multiplied, columns divided.

    Powers of two, so that the function is the same to the last bit.
    """
    opened = open_model(str(shop.model("llama")))
    model, generator = opened.model, torch.Generator().manual_seed(3)
    model.requires_grad_(False)

    def units(count):
        return 2.0 ** torch.randint(-3, 4, (count,), generator=generator).float()

    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for norm, readers in (
            (layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
            (layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
        ):
            scale = units(len(norm.weight))
            norm.weight.mul_(scale)
            for reader in readers:
                reader.weight.div_(scale)
    path = shop.folder / "rescaled"
    model.save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


def differing_share(one, other):
    """Share of groups of four whose pattern differs."""
    groups = changed = 0
    for name, mask in one.items():
        different = (mask != other[name]).reshape(-1, 4).any(1)
        groups, changed = groups + len(different), changed + int(different.sum())
    return changed / groups


@pytest.mark.parametrize("method", ["wanda", "sparsegpt by channel", "descent", "alps", "hyperprune"])
def test_units_of_channels_change_nothing(shop, rescaled, method, monkeypatch):
    if method == "sparsegpt by channel":
        # As published, damping is a share of the mean of diag(H), which other units move.
        method = "sparsegpt"
        by_channel = partial(SparseGPT, relative_to="channel")
        monkeypatch.setattr("hyperprune_lab.pipeline.run.method", lambda _: by_channel)
    models = str(shop.model("llama")), str(rescaled)
    plain, scaled = (
        run_all(shop.config(method=method, compensation="linear", model=model)) for model in models
    )
    assert result(plain)["dense_ppl"] == pytest.approx(result(scaled)["dense_ppl"], rel=1e-6)
    # Rounding may turn a tie, and a turned group may turn others behind it.
    ties = 0.0 if method == "wanda" else 0.002
    assert differing_share(masks(plain), masks(scaled)) <= ties
    errors = [
        [e.scalars["error_rel"] for e in run if isinstance(e, ModuleDecided)] for run in (plain, scaled)
    ]
    assert errors[0] == pytest.approx(errors[1], rel=1e-2)
    for name in ("mask_only_ppl", "compensated_ppl"):
        assert result(plain)[name] == pytest.approx(result(scaled)[name], rel=2e-3)


def test_magnitude_does_depend_on_units(shop, rescaled):
    plain, scaled = (
        masks(run_all(shop.config(method="magnitude", compensation="none", model=model)))
        for model in (str(shop.model("llama")), str(rescaled))
    )
    assert differing_share(plain, scaled) > 0.05
