"""Relaxed choices against tables, sampling frequencies, and their limits at low temperature."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.hypernet.relaxation import PatternHead, gumbel_noise
from hyperprune_lab.patterns import NMPattern

ENUMERATED = ("1:4", "2:4", "3:4", "4:8")
BY_POSITION = ("8:16", "6:12", "16:32")


def logits_for(head, *shape, scale=2.0, seed=0):
    return scale * torch.randn(*shape, head.outputs, generator=torch.Generator().manual_seed(seed))


def head_of(text):
    return PatternHead(NMPattern.parse(text))


def test_head_names_patterns_up_to_128_and_positions_beyond():
    assert [head_of(text).outputs for text in ENUMERATED] == [4, 6, 4, 70]
    assert [head_of(text).outputs for text in BY_POSITION] == [16, 12, 32]
    assert head_of("2:16").categorical  # 120 patterns
    assert not head_of("2:17").categorical  # 136


@pytest.mark.parametrize("text", ENUMERATED)
def test_keep_is_the_mean_mask_over_the_patterns(text):
    head = head_of(text)
    table = torch.tensor(NMPattern.parse(text).table().tolist(), dtype=torch.float32)
    logits = logits_for(head, 3, 5)
    choice = head.choose(logits, 0.7)
    p = (logits / 0.7).exp() / (logits / 0.7).exp().sum(-1, keepdim=True)
    torch.testing.assert_close(choice.probabilities, p)
    byhand = sum(p[..., i, None] * table[i] for i in range(len(table)))
    torch.testing.assert_close(choice.keep, byhand)
    torch.testing.assert_close(choice.keep.sum(-1), torch.full((3, 5), float(head.pattern.keep)))


@pytest.mark.parametrize("text", ENUMERATED + BY_POSITION)
@pytest.mark.parametrize("scale", [0.5, 5.0, 30.0])
def test_a_low_temperature_decides_for_the_hard_mask(text, scale):
    head = head_of(text)
    order = torch.stack(
        [torch.randperm(head.outputs, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    )
    logits = (scale * order / head.outputs).reshape(2, 3, -1)
    soft = head.choose(logits, 1e-3 * scale).keep.flatten(-2)
    torch.testing.assert_close(soft, head.hard_mask(logits).float(), atol=1e-4, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(BY_POSITION), st.sampled_from([0.05, 0.3, 1.0, 2.0]))
def test_relaxed_top_n_hands_out_n_weights_at_any_temperature(seed, text, temperature):
    head = head_of(text)
    keep = head.choose(logits_for(head, 4, scale=4.0, seed=seed), temperature).keep
    torch.testing.assert_close(keep.sum(-1), torch.full((4,), float(head.pattern.keep)), atol=1e-4, rtol=0)
    assert (keep >= 0).all()


@pytest.mark.parametrize("text", BY_POSITION)
def test_gradients_of_relaxed_top_n_stay_finite_where_the_draws_are_decided(text):
    head = head_of(text)
    logits = logits_for(head, 50, scale=20.0).requires_grad_()
    weights = torch.randn(50, head.pattern.group, generator=torch.Generator().manual_seed(3))
    for temperature in (1.0, 0.1, 0.01):
        (grad,) = torch.autograd.grad((head.choose(logits, temperature).keep * weights).sum(), logits)
        assert torch.isfinite(grad).all()


def test_gradient_of_relaxed_top_n_is_the_finite_difference():
    head = head_of("6:12")
    logits = logits_for(head, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: head.choose(a, 0.8).keep, (logits,))


@pytest.mark.parametrize("lead", [12.0, 14.0, 16.0, 18.0])
def test_relaxed_top_n_is_exact_where_one_position_leads_by_far(lead):
    head = head_of("6:12")
    logits = logits_for(head, scale=1.0)
    logits[3] += lead
    exact = head.choose(logits.double(), 1.0).keep
    torch.testing.assert_close(head.choose(logits, 1.0).keep.double(), exact, rtol=1e-3, atol=1e-4)


def test_keeping_one_of_many_is_a_plain_softmax():
    # 1:32 would be enumerated; one draw of the position head has to be the exact marginal all the same.
    head = head_of("1:32")
    by_position = PatternHead(NMPattern.parse("1:32"))
    by_position.categorical, by_position.table = False, None
    logits = logits_for(head, 3, 2)
    torch.testing.assert_close(by_position.choose(logits, 0.5).keep, head.choose(logits, 0.5).keep)


def test_at_temperature_one_a_draw_is_weighted_by_what_the_one_before_left():
    """After a draw mu position i has weight p_i (1 - mu_i): RoI's recursion at temperature 1, written out."""
    head = head_of("2:17")
    logits = logits_for(head, scale=1.0)
    p = torch.softmax(logits.double(), -1)
    second = p * (1 - p) / (p * (1 - p)).sum()
    torch.testing.assert_close(head.choose(logits, 1.0).keep.double(), p + second, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("text", ["2:4", "1:4"])
def test_gumbel_samples_come_as_often_as_their_probabilities_say(text):
    head = head_of(text)
    logits = logits_for(head, scale=1.0)
    draws = 60_000
    many = logits.expand(draws, -1)
    noise = gumbel_noise(many, torch.Generator().manual_seed(0))
    ids = head.choose(many, 0.1, noise).probabilities.argmax(-1)
    expected = draws * torch.softmax(logits, -1)
    chi_square = ((torch.bincount(ids, minlength=head.outputs) - expected).square() / expected).sum()
    assert chi_square < 25  # at 5 degrees of freedom this happens by chance once in 7000 seeds


def test_gumbel_top_n_draws_positions_without_replacement():
    """First-order check against the exact sequential law, by enumerating ordered pairs."""
    head = head_of("2:17")
    logits = logits_for(head, scale=1.0)
    p = torch.softmax(logits.double(), -1)
    exact = p + torch.stack([sum(p[j] * p[i] / (1 - p[j]) for j in range(17) if j != i) for i in range(17)])
    draws = 40_000
    many = logits.expand(draws, -1)
    noisy = many + gumbel_noise(many, torch.Generator().manual_seed(0))
    kept = head.pattern.project(noisy).double().mean(0)
    assert (kept - exact).abs().max() < 5 * (0.25 / draws) ** 0.5


def test_noise_follows_its_seed_and_is_standard_gumbel():
    like = torch.zeros(100_000)
    first, again, other = (gumbel_noise(like, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.isfinite(first).all()
    assert abs(first.mean().item() - 0.5772) < 0.02
    assert abs(first.var().item() - torch.pi**2 / 6) < 0.05


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(("2:4", "1:4", "3:4", "4:8", "8:16")))
def test_every_hard_mask_is_legal_and_its_id_is_right(seed, text):
    head = head_of(text)
    logits = logits_for(head, 5, 3, seed=seed)
    mask = head.hard_mask(logits)
    assert mask.shape == (5, 3 * head.pattern.group)
    assert head.pattern.violations(mask) == 0
    assert torch.equal(head.pattern.ids(mask).long(), head.hard_ids(logits))


@pytest.mark.parametrize("text", ["2:4", "4:8", "8:16"])
def test_entropy_share_runs_from_decided_to_uniform(text):
    head = head_of(text)
    share = head.entropy_share(logits_for(head, 50))
    assert ((share > 0) & (share < 1)).all()
    torch.testing.assert_close(head.entropy_share(torch.full((2, head.outputs), 3.0)), torch.ones(2))
    decided = torch.zeros(head.outputs)
    decided[1] = 60.0
    assert head.entropy_share(decided).item() < 1e-6
