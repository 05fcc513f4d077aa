"""The objective's terms against enumeration of all joint draws, Monte Carlo and finite differences."""

import itertools

import pytest
import torch

from hyperprune_lab.calibration.statistics import group_blocks
from hyperprune_lab.hypernet.objective import (
    divergence,
    expected_reconstruction,
    outlier_share,
    sampled_reconstruction,
)
from hyperprune_lab.hypernet.relaxation import Choice, PatternHead
from hyperprune_lab.methods.coordinate_descent import group_costs
from hyperprune_lab.methods.wanda import wanda_scores
from hyperprune_lab.patterns import NMPattern
from tests.hypernet.examples import problem

SMALL = ("1:4", "2:4", "3:4")


def setting(text, rows=3, groups=2, seed=0):
    pattern = NMPattern.parse(text)
    given = problem(text, out=rows, channels=groups * pattern.group, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, groups, PatternHead(pattern).outputs, generator=generator)
    return given, logits


def expected(given, logits, temperature=1.0, double=False):
    weight, gram = given.weight, given.statistics.gram
    if double:
        weight, gram, logits = weight.double(), gram.double(), logits.double()
    choice = PatternHead(given.pattern).choose(logits, temperature)
    return expected_reconstruction(weight, gram, group_costs(weight, gram, given.pattern), choice)


def lost(weight, mask, gram):
    removed = (weight * ~mask).double()
    return ((removed @ gram.double()) * removed).sum(-1)


@pytest.mark.parametrize("text", SMALL)
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_expected_error_is_the_mean_over_all_joint_draws(text, groups):
    given, logits = setting(text, groups=groups)
    probabilities = torch.softmax(logits.double(), -1)
    total = torch.zeros(len(given.weight), dtype=torch.float64)
    for ids in itertools.product(range(given.pattern.count), repeat=groups):
        mask = given.pattern.from_ids(torch.tensor(ids)).expand(len(given.weight), -1)
        chance = torch.stack([probabilities[:, g, i] for g, i in enumerate(ids)]).prod(0)
        total += chance * lost(given.weight, mask, given.statistics.gram)
    torch.testing.assert_close(expected(given, logits).double(), total.sum(), rtol=1e-5, atol=1e-6)


def test_expected_error_is_what_sampling_finds():
    given, logits = setting("4:8", rows=2, groups=3)
    draws = 20_000
    probabilities = torch.softmax(logits, -1).flatten(0, 1)
    picked = torch.multinomial(probabilities, draws, True, generator=torch.Generator().manual_seed(0))
    masks = given.pattern.from_ids(picked.T.reshape(draws, 2, 3))
    losses = lost(given.weight, masks, given.statistics.gram).sum(-1)
    spread = losses.std() / draws**0.5
    assert abs(losses.mean() - expected(given, logits)) < 4 * spread


def test_error_of_the_mean_mask_alone_misses_the_variance_of_the_draws():
    given, logits = setting("2:4")
    choice = PatternHead(given.pattern).choose(logits, 1.0)
    mean_only = sampled_reconstruction(given.weight, given.statistics.gram, choice)
    assert mean_only < 0.9 * expected(given, logits)


@pytest.mark.parametrize("text", [*SMALL, "4:8"])
def test_both_errors_agree_with_the_quadratic_form_once_decided(text):
    given, logits = setting(text)
    head = PatternHead(given.pattern)
    choice = head.choose(1000.0 * logits, 1.0)
    exact = lost(given.weight, head.hard_mask(logits), given.statistics.gram).sum()
    gram = given.statistics.gram
    torch.testing.assert_close(
        sampled_reconstruction(given.weight, gram, choice).double(), exact, rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(expected(given, 1000.0 * logits).double(), exact, rtol=1e-4, atol=1e-5)


def test_without_probabilities_the_expected_error_is_that_of_the_soft_mask():
    given, logits = setting("8:16", groups=1)
    choice = PatternHead(given.pattern).choose(logits, 1.0)
    gram = given.statistics.gram
    costs = torch.zeros(len(given.weight), 1, 1)
    soft = expected_reconstruction(given.weight, gram, costs, choice)
    removed = given.weight * (1 - choice.keep.flatten(-2))
    torch.testing.assert_close(soft, torch.trace(removed @ gram @ removed.T), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", SMALL)
def test_outlier_share_is_the_kept_share_of_squared_wanda_scores(text):
    given, logits = setting(text)
    head = PatternHead(given.pattern)
    scores = wanda_scores(given.weight, given.statistics).square()
    mask = head.hard_mask(logits)
    decided = head.choose(1000.0 * logits, 1.0)
    share = outlier_share(given.weight, given.statistics.gram.diagonal(), decided)
    torch.testing.assert_close(share, scores[mask].sum() / scores.sum(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("text", [*SMALL, "4:8"])
def test_no_mask_keeps_more_outlier_share_than_wandas(text):
    given, _ = setting(text)
    moment = given.statistics.gram.diagonal()

    def share(mask):
        keep = mask.float().unflatten(-1, (-1, given.pattern.group))
        return outlier_share(given.weight, moment, Choice(keep, None)).item()

    wanda = given.pattern.project(wanda_scores(given.weight, given.statistics))
    for row, group in itertools.product(range(len(wanda)), range(2)):
        here = slice(group * given.pattern.group, (group + 1) * given.pattern.group)
        for option in torch.from_numpy(given.pattern.table().copy()):
            other = wanda.clone()
            other[row, here] = option
            assert share(other) <= share(wanda) + 1e-6


def test_outlier_share_is_the_published_expectation_over_inputs_and_masks():
    """``E_x E_M ||(W * M) Diag(x)||^2`` by going through tokens and masks, over its value without a mask."""
    given, logits = setting("2:4", rows=2, groups=1)
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(7))
    p = torch.softmax(logits[:, 0], -1)
    table = torch.from_numpy(given.pattern.table().copy()).float()
    total = sum(
        p[row, i] * (given.weight[row] * table[i] * token).square().sum() / len(x)
        for row in range(2)
        for i in range(6)
        for token in x
    )
    most = (given.weight.square() @ x.square().mean(0)).sum()
    choice = PatternHead(given.pattern).choose(logits, 1.0)
    torch.testing.assert_close(outlier_share(given.weight, x.square().mean(0), choice), total / most)


def test_outlier_share_of_a_dead_input_is_zero():
    choice = PatternHead(NMPattern(2, 4)).choose(torch.zeros(3, 1, 6), 1.0)
    assert outlier_share(torch.ones(3, 4), torch.zeros(4), choice) == 0


def test_divergence_is_zero_for_equal_answers_only_and_averages_over_groups():
    logits = torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(0))
    log_p = torch.log_softmax(logits, -1)
    assert divergence(log_p, torch.log_softmax(logits + 3.0, -1)).abs() < 1e-6
    other = logits.clone()
    other[0, 0, 0] += 1.0
    log_q = torch.log_softmax(other, -1)
    p, q = log_p[0, 0].exp(), log_q[0, 0].exp()
    torch.testing.assert_close(divergence(log_p, log_q), (p * (p / q).log()).sum() / 35, rtol=1e-3, atol=1e-7)
    assert divergence(log_p, log_q) > 1e-4


@pytest.mark.parametrize("text", SMALL)
def test_gradient_of_every_term_is_the_finite_difference(text):
    given, logits = setting(text, rows=2)
    weight, gram = given.weight.double(), given.statistics.gram.double()
    costs = group_costs(weight, gram, given.pattern)
    head = PatternHead(given.pattern)
    start = logits.double().requires_grad_()
    teacher = torch.log_softmax(torch.randn_like(start), -1).detach()
    terms = (
        lambda a: expected_reconstruction(weight, gram, costs, head.choose(a, 0.8)),
        lambda a: sampled_reconstruction(weight, gram, head.choose(a, 0.8)),
        lambda a: outlier_share(weight, gram.diagonal(), head.choose(a, 0.8)),
        lambda a: divergence(teacher, torch.log_softmax(a, -1)),
    )
    for term in terms:
        assert torch.autograd.gradcheck(term, (start,))


def test_group_blocks_are_the_blocks_on_the_diagonal():
    gram = problem(channels=12).statistics.gram
    for g, block in enumerate(group_blocks(gram, 4)):
        assert torch.equal(block, gram[4 * g : 4 * g + 4, 4 * g : 4 * g + 4])
