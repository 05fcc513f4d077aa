"""The shared network: embeddings as a bias, mixed batches, seeds, stored shapes."""

import json

import pytest
import torch
from torch import nn

from hyperprune_lab.errors import UserError
from hyperprune_lab.hypernet.network import HyperNetwork, NetworkShape
from tests.hypernet.examples import perturb


def shape(**changes):
    given = {"features": 5, "outputs": 6, "blocks": 3, "components": ("down", "up"), "hidden": 8, "depth": 3}
    return NetworkShape(**(given | {"embedding": 4} | changes))


def network(seed=0, **changes):
    made = HyperNetwork(shape(**changes), torch.Generator().manual_seed(seed))
    for linear in made.maps:
        perturb(linear, 0.3, seed)
    return made


def features(*size):
    return torch.randn(*size, 5, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_folding_embeddings_into_a_bias_is_concatenating_them(depth):
    net = network(depth=depth)
    x = features(7, 2)
    both = torch.cat([net.layer_embedding[2], net.component_embedding[1]]).expand(7, 2, -1)
    wide = torch.cat([net.maps[0].weight, net.context.weight], 1)
    hidden = torch.cat([x, both], -1) @ wide.T + net.maps[0].bias
    for linear in list(net.maps)[1:]:
        hidden = linear(nn.functional.silu(hidden))
    torch.testing.assert_close(net(x, 2, 1), hidden, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(12,), (4, 3)])
def test_a_mixed_batch_is_its_groups_one_by_one(size):
    net = network()
    x = features(*size)
    generator = torch.Generator().manual_seed(0)
    block = torch.randint(3, size, generator=generator)
    component = torch.randint(2, size, generator=generator)
    mixed = net(x, block, component)
    alone = torch.stack(
        [
            net(one, int(b), int(c))
            for one, b, c in zip(x.flatten(0, -2), block.flatten(), component.flatten(), strict=True)
        ]
    )
    torch.testing.assert_close(mixed.flatten(0, -2), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("off", ["layer_embedding", "component_embedding"])
def test_an_embedding_that_is_off_changes_nothing_and_learns_nothing(off):
    net = network(**{off: False})
    x = features(6)
    places = [(0, 1), (2, 1)] if off == "layer_embedding" else [(1, 0), (1, 1)]
    torch.testing.assert_close(net(x, *places[0]), net(x, *places[1]), rtol=0, atol=0)
    net(x, *places[0]).square().sum().backward()
    assert getattr(net, off).grad is None
    on = ({"layer_embedding", "component_embedding"} - {off}).pop()
    assert getattr(net, on).grad.abs().max() > 0


def test_embeddings_that_are_on_tell_layers_and_components_apart():
    net, x = network(), features(6)
    for other in ((1, 0), (0, 1)):
        assert (net(x, 0, 0) - net(x, *other)).abs().max() > 1e-3


def test_an_untrained_network_adds_nothing_and_still_learns():
    net = HyperNetwork(shape(), torch.Generator().manual_seed(0))
    assert (net(features(6), 0, 0) == 0).all()
    net(features(6), 0, 0)[:, 0].sum().backward()
    assert net.maps[-1].weight.grad.abs().max() > 0


def test_the_seed_fixes_every_parameter_and_nothing_else_does():
    torch.manual_seed(1)
    first = HyperNetwork(shape(), torch.Generator().manual_seed(3)).state_dict()
    torch.manual_seed(2)
    second = HyperNetwork(shape(), torch.Generator().manual_seed(3)).state_dict()
    other = HyperNetwork(shape(), torch.Generator().manual_seed(4)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name in ("maps.0.weight", "layer_embedding", "component_embedding", "context.weight"):
        assert not torch.equal(first[name], other[name])


def test_flops_count_a_multiply_add_as_two():
    assert network().flops_per_group == 2 * (5 * 8 + 8 * 8 + 8 * 6)


def test_a_shape_survives_json():
    made = shape(layer_embedding=False)
    assert NetworkShape.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_stored_shape_with_strange_or_missing_settings_is_refused():
    values = shape().to_json()
    with pytest.raises(UserError, match="colour"):
        NetworkShape.from_json(values | {"colour": 1})
    for missing in ("features", "components"):
        with pytest.raises(UserError, match=missing):
            NetworkShape.from_json({name: value for name, value in values.items() if name != missing})
