"""Features: their number, bounds, rows, and what they are blind to."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.errors import UserError
from hyperprune_lab.hypernet.context import at_mask
from hyperprune_lab.hypernet.features import KINDS, feature_count, group_features, outside_coupling
from hyperprune_lab.patterns import NMPattern
from tests.hypernet.examples import context, problem, random_mask
from tests.methods.problems import powers_of_two, rescaled

PATTERNS = ("1:4", "2:4", "3:4", "4:8", "8:16")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", PATTERNS)
def test_count_is_the_length_of_the_vector(kind, text):
    of = problem(text, out=5, channels=32)
    features = group_features(kind, context(of))
    assert features.shape == (5, 32 // of.pattern.group, feature_count(kind, of.pattern))


def test_unknown_features_are_refused_by_name():
    with pytest.raises(UserError, match=r"'hessian'.*weights, diagonal, context"):
        feature_count("hessian", NMPattern(2, 4))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from(KINDS),
    st.sampled_from(PATTERNS),
    st.sampled_from([1e-6, 1.0, 1e4]),
    st.booleans(),
)
def test_features_are_finite_and_bounded(seed, kind, text, size, gradients):
    """Even with a dead channel, a zero row and a zero group."""
    of = problem(text, channels=32, seed=seed % 5, dead=(seed % 32,))
    weight = of.weight * size
    weight[0] = 0
    weight[1, : of.pattern.group] = 0
    of = replace(of, weight=weight)
    here = context(of)
    if gradients:
        generator = torch.Generator().manual_seed(seed)
        gradient = size * torch.randn(weight.shape, generator=generator)
        here = at_mask(here, here.prior, gradient, gradient.square())
    features = group_features(kind, here)
    assert torch.isfinite(features).all()
    assert features.abs().max() <= 6.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["2:4", "8:16"])
def test_some_rows_are_those_rows_of_all(kind, text):
    of = problem(text, channels=32)
    here = context(of)
    effect = torch.randn(of.weight.shape, generator=torch.Generator().manual_seed(0))
    here = at_mask(here, here.prior, effect, effect.square())
    everything = group_features(kind, here)
    index = torch.tensor([7, 2, 2, 9])
    torch.testing.assert_close(group_features(kind, here, index), everything[index])
    torch.testing.assert_close(group_features(kind, here, slice(3, 6)), everything[3:6])


def scaled_pair(seed):
    of = problem("2:4", seed=seed)
    factors = powers_of_two(of.weight.shape[1], seed)
    mask = random_mask(of, seed)
    return context(of, mask), context(rescaled(of, factors), mask)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("effects", [False, True])
def test_context_does_not_see_a_change_of_units_of_the_channels(seed, effects):
    before, after = scaled_pair(seed)
    if effects:
        # What keeping a weight does to the loss does not depend on the units of its input.
        effect = torch.randn(before.weight.shape, generator=torch.Generator().manual_seed(seed))
        before, after = (at_mask(linear, linear.prior, effect, effect.square()) for linear in (before, after))
    torch.testing.assert_close(
        group_features("context", before), group_features("context", after), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["weights", "diagonal"])
def test_the_published_inputs_do_see_it(kind):
    before, after = scaled_pair(0)
    assert (group_features(kind, before) - group_features(kind, after)).abs().max() > 1.0


@pytest.mark.parametrize("factor", [0.125, 64.0])
def test_context_does_not_see_the_scale_of_weights_or_inputs(factor):
    of = problem("2:4")
    mask = random_mask(of)
    larger = replace(of, weight=of.weight * factor)
    torch.testing.assert_close(
        group_features("context", context(of, mask)), group_features("context", context(larger, mask))
    )


def test_weights_are_all_that_the_papers_input_sees():
    here = context(problem("2:4", seed=0))
    elsewhere = replace(context(problem("2:4", seed=1)), weight=here.weight)
    torch.testing.assert_close(group_features("weights", here), group_features("weights", elsewhere))
    rms = here.weight.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(group_features("weights", here).flatten(-2), here.weight / rms)


def test_effect_slots_are_zero_without_effects_and_relative_to_the_matrix_with_them():
    of = problem("2:4")
    without = context(of)
    assert (group_features("context", without)[..., -8:] == 0).all()
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(of.weight.shape, generator=generator)
    second = torch.rand(of.weight.shape, generator=generator)
    features = group_features("context", at_mask(without, without.prior, first, second))
    torch.testing.assert_close(features[..., -8:-4].flatten(-2), (first / first.abs().mean()).asinh())
    torch.testing.assert_close(features[..., -4:].flatten(-2), (second / second.mean()).asinh())
    torch.testing.assert_close(features[..., :-8], group_features("context", without)[..., :-8])


def test_outside_coupling_leaves_the_own_group_out():
    of = problem("2:4", channels=16)
    mask = random_mask(of)
    here = context(of, mask)
    ours = outside_coupling(of.weight, here.gram, mask, here.coupling, 4)
    for group in range(4):
        removed = of.weight * ~mask
        removed[:, 4 * group : 4 * group + 4] = 0
        expected = (removed @ here.gram)[:, 4 * group : 4 * group + 4]
        torch.testing.assert_close(ours[:, group], expected, rtol=1e-4, atol=1e-4)
