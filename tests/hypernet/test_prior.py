"""The prior as logits: an untrained chooser repeats it, and its energies are true differences of the objective."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.hypernet.context import PRIOR_MASKS, at_mask, prior_masks
from hyperprune_lab.hypernet.features import standard_energies
from hyperprune_lab.hypernet.prior import prior_logits
from hyperprune_lab.hypernet.relaxation import PatternHead
from tests.hypernet.examples import chooser, context, problem, random_mask
from tests.methods.problems import row_losses

PATTERNS = ("1:4", "2:4", "3:4", "4:8", "8:16")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(PATTERNS), st.sampled_from([0.5, 3.0, 10.0]))
def test_the_largest_logit_is_the_priors_whatever_the_prior(seed, text, strength):
    of = problem(text, channels=32, seed=seed % 7, dead=(seed % 32,))
    mask = random_mask(of, seed)
    here = context(of, mask)
    head = PatternHead(of.pattern)
    logits = prior_logits(head, mask, here.energies, strength)
    assert torch.equal(head.hard_mask(logits), mask)
    if head.categorical:
        first, second = logits.topk(2, -1).values.unbind(-1)
        assert (first - second >= 0.0999 * strength).all()


@pytest.mark.parametrize("text", PATTERNS)
@pytest.mark.parametrize("prior", ["sparsegpt", "descent", "alps"])
def test_an_untrained_chooser_repeats_the_prior(text, prior):
    of = problem(text, channels=32)
    mask = PRIOR_MASKS[prior](of)
    assert torch.equal(chooser(text).hard_mask(context(of, mask)), mask)


def test_without_strength_the_prior_says_nothing():
    of = problem()
    assert (chooser(prior_strength=0.0).prior(context(of)) == 0).all()


def test_logits_order_the_other_patterns_by_energy():
    of = problem("2:4")
    mask = PRIOR_MASKS["descent"](of)
    here = context(of, mask)
    logits = prior_logits(PatternHead(of.pattern), mask, here.energies, 3.0)
    standard = standard_energies(here.energies)
    clear = standard > 0.2
    for a in range(6):
        for b in range(6):
            both = clear[..., a] & clear[..., b] & (standard[..., a] < standard[..., b] - 1e-4)
            assert (logits[..., a][both] > logits[..., b][both]).all()


@pytest.mark.parametrize("text", ["1:4", "2:4", "3:4", "4:8"])
def test_energies_differ_as_the_rows_objective_does(text):
    of = problem(text, out=4, channels=16)
    gram = of.statistics.gram
    mask = random_mask(of, 5)
    here = context(of, mask)
    for group in range(here.groups):
        losses = []
        for option in torch.from_numpy(of.pattern.table().copy()):
            changed = mask.clone()
            changed[:, group * of.pattern.group : (group + 1) * of.pattern.group] = option
            losses.append(row_losses(of.weight, of.weight * changed, gram))
        true = torch.stack(losses, -1)
        ours = here.energies[:, group].double()
        torch.testing.assert_close(ours - ours[:, :1], true - true[:, :1], rtol=1e-4, atol=1e-4)


def test_at_another_mask_the_context_is_as_if_built_there():
    of = problem("2:4")
    moved = at_mask(context(of, random_mask(of, 1)), random_mask(of, 2))
    fresh = context(of, random_mask(of, 2))
    for name in ("prior", "coupling", "energies", "inverse_diagonal"):
        assert torch.equal(getattr(moved, name), getattr(fresh, name))


def test_standard_energies_are_zero_at_best_and_one_on_average():
    energies = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0))
    standard = standard_energies(energies)
    assert (standard.amin(-1) == 0).all()
    torch.testing.assert_close(standard.mean(-1), torch.ones(5, 4))
    torch.testing.assert_close(standard, standard_energies(8.0 * energies - 3.0), rtol=1e-4, atol=1e-5)
    assert (standard_energies(torch.ones(2, 6)) == 0).all()


@pytest.mark.parametrize("prior", ["none", "sparsegpt", "descent"])
def test_linears_that_share_an_input_are_decided_as_each_alone(prior):
    first, other = problem(channels=32), problem(channels=32, seed=1)
    second = replace(first, name="second", weight=first.weight[:5].flip(1))
    alone = replace(other, name="alone")
    masks = prior_masks(prior, [first, alone, second])
    assert masks.keys() == {first.name, "alone", "second"}
    for of in (first, alone, second):
        assert torch.equal(masks[of.name], PRIOR_MASKS[prior](of))
