"""Cache and reservoir: bounded, disjoint, exact about the past, and restored bit by bit."""

import pytest
import torch

from hyperprune_lab.hypernet.features import group_features
from hyperprune_lab.hypernet.memory import GroupCache, Reservoir
from hyperprune_lab.hypernet.optimizer import load_adam, save_adam
from tests.hypernet.examples import chooser, context, perturb, problem
from tests.methods.problems import row_losses


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def trained_looking(*patterns, **settings):
    made = chooser(*patterns, **settings)
    perturb(made, 0.5)
    return made


def contexts(text="2:4", count=3):
    return [context(problem(text, seed=i, block=i, component=("up", "down")[i % 2])) for i in range(count)]


def all_rows(linear):
    return torch.arange(len(linear.weight))


def test_cache_grows_by_the_same_number_per_linear_and_no_further():
    choose, cache = trained_looking(), GroupCache(per_linear=12)
    assert len(cache) == 0
    for place, linear in enumerate(contexts(), 1):
        cache.add(choose, linear, all_rows(linear), seeded())
        assert len(cache) == 12 * place
    assert {len(value) for value in cache.tensors().values()} == {36}
    assert cache.block.tolist() == [0] * 12 + [1] * 12 + [2] * 12


def test_cache_takes_no_more_than_there_is_and_nothing_when_switched_off():
    choose, (linear, *_) = trained_looking(), contexts()
    cache = GroupCache(per_linear=1000)
    cache.add(choose, linear, torch.tensor([3, 4]), seeded())
    assert len(cache) == 2 * linear.groups
    off = GroupCache(per_linear=0)
    off.add(choose, linear, all_rows(linear), seeded())
    assert len(off) == 0


@pytest.mark.parametrize("text", ["2:4", "8:16"])
def test_the_cache_answers_with_the_choosers_own_logits(text):
    choose, cache = trained_looking(text), GroupCache(per_linear=15)
    known = []
    for linear in contexts(text):
        cache.add(choose, linear, all_rows(linear), seeded())
        known.append(choose.logits(linear).flatten(0, 1))
    answers = cache.logits(choose, text)
    for answer, block in zip(answers, cache.block, strict=True):
        assert (known[block] - answer).abs().amax(-1).min() < 1e-4
    torch.testing.assert_close(cache.logits(choose, text, torch.tensor([4, 20])), answers[[4, 20]])


def test_the_cache_takes_groups_of_the_given_rows_only():
    choose, (linear, *_) = trained_looking(), contexts()
    rows = torch.tensor([1, 5])
    cache = GroupCache(per_linear=8)
    cache.add(choose, linear, rows, seeded())
    features = group_features("context", linear)
    apart = (cache.features[:, None, None] - features).abs().amax(-1).amin(-1)  # [cached, rows]
    assert torch.isin(apart.argmin(-1), rows).all()


def test_reservoir_and_cache_never_share_a_row():
    choose, reservoir = trained_looking(), Reservoir(groups_per_linear=16)
    for seed in range(5):
        linear = contexts()[0]
        others = reservoir.add(choose, linear, seeded(seed))
        kept = reservoir.keepsakes[-1].weight
        own = [int((linear.weight == row).all(-1).nonzero()) for row in kept]
        assert len(own) == 16 // linear.groups
        assert sorted([*own, *others.tolist()]) == list(range(len(linear.weight)))


@pytest.mark.parametrize(("budget", "rows"), [(1, 1), (8, 2), (10_000, 5)])
def test_reservoir_keeps_full_rows_at_most_half_and_at_least_one(budget, rows):
    reservoir = Reservoir(groups_per_linear=budget)
    reservoir.add(trained_looking(), contexts()[0], seeded())
    assert len(reservoir.keepsakes[0].weight) == rows


def test_only_rows_that_the_network_decides_are_remembered():
    choose, linear = trained_looking(decided_rows=4), contexts()[0]
    reservoir = Reservoir(groups_per_linear=10_000)
    others = reservoir.add(choose, linear, seeded())
    first = linear.weight[:4]
    assert all((first == row).all(-1).any() for row in reservoir.keepsakes[0].weight)
    assert (others < 4).all()


@pytest.mark.parametrize("text", ["2:4", "8:16"])
def test_asked_at_once_the_network_remembers_everything(text):
    choose, reservoir = trained_looking(text), Reservoir(groups_per_linear=12)
    for linear in contexts(text):
        reservoir.add(choose, linear, seeded())
    for keepsake in reservoir.keepsakes:
        recall = reservoir.ask(choose, keepsake)
        assert recall.changed == 0
        assert abs(recall.divergence) < 1e-6
        assert recall.error_rel == recall.error_rel_at_decision > 0


def test_after_a_change_of_the_network_the_loss_is_measured_exactly():
    choose, reservoir = trained_looking(), Reservoir(groups_per_linear=20)
    met = contexts()
    for linear in met:
        reservoir.add(choose, linear, seeded())
    before = {linear.name: choose.hard_mask(linear) for linear in met}
    perturb(choose, 1.0, seed=2)
    for linear, keepsake in zip(met, reservoir.keepsakes, strict=True):
        rows = torch.tensor([int((linear.weight == row).all(-1).nonzero()) for row in keepsake.weight])
        recall = reservoir.ask(choose, keepsake)
        now, then = choose.hard_mask(linear)[rows], before[linear.name][rows]
        weight = linear.weight[rows]
        energy = row_losses(weight, 0 * weight, linear.gram).sum()
        for mask, error in ((now, recall.error_rel), (then, recall.error_rel_at_decision)):
            assert error == pytest.approx(
                (row_losses(weight, weight * mask, linear.gram).sum() / energy).item(), rel=1e-4
            )
        changed = (linear.pattern.ids(now) != linear.pattern.ids(then)).float().mean().item()
        assert recall.changed == pytest.approx(changed)
        assert recall.changed > 0
        assert recall.divergence > 0


def test_recall_of_a_block_is_the_mean_over_its_linears():
    choose, reservoir = trained_looking(), Reservoir(groups_per_linear=20)
    for block, component in ((0, "up"), (0, "down"), (2, "up")):
        reservoir.add(choose, context(problem(seed=block, block=block, component=component)), seeded(block))
    perturb(choose, 1.0, seed=2)
    one, two, three = (reservoir.ask(choose, kept) for kept in reservoir.keepsakes)
    recalled = reservoir.ask_all(choose)
    assert recalled["changed"] == [(one.changed + two.changed) / 2, three.changed]
    assert recalled["error_rel"] == [(one.error_rel + two.error_rel) / 2, three.error_rel]


@pytest.mark.parametrize("text", ["2:4", "8:16"])
def test_both_come_back_bit_by_bit(text):
    choose = trained_looking(text)
    cache, reservoir = GroupCache(per_linear=9), Reservoir(groups_per_linear=12)
    for linear in contexts(text) * 4:  # more than ten, so that places do not sort as text
        cache.add(choose, linear, reservoir.add(choose, linear, seeded()), seeded())
    again_cache, again = GroupCache(per_linear=9), Reservoir(groups_per_linear=12)
    again_cache.load(cache.tensors())
    stored = reservoir.tensors("reservoir")
    assert all(name.startswith("reservoir/") for name in stored)
    again.load({name.removeprefix("reservoir/"): value for name, value in stored.items()})
    assert len(again.keepsakes) == 12
    for old, new in zip(reservoir.keepsakes, again.keepsakes, strict=True):
        for name, value in vars(old).items():
            other = getattr(new, name)
            assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
    assert again.tensors("reservoir").keys() == stored.keys()
    for name, value in cache.tensors().items():
        assert torch.equal(value, again_cache.tensors()[name])
    perturb(choose, 1.0, seed=2)
    assert again.ask_all(choose) == reservoir.ask_all(choose)


def stepped(parameter, optimizer, steps):
    for step in range(steps):
        optimizer.zero_grad()
        (parameter * (step + 1.0)).square().sum().backward()
        optimizer.step()


def test_adam_goes_on_as_if_never_interrupted_and_the_copy_stays_as_taken():
    start = torch.randn(5, generator=seeded())
    whole = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([whole], lr=0.1)
    stepped(whole, optimizer, 3)
    saved, middle = save_adam(optimizer, "optimizer"), whole.detach().clone()
    stepped(whole, optimizer, 4)

    for _ in range(2):  # the second time shows that the first left the saved copy alone
        resumed = middle.clone().requires_grad_()
        other = torch.optim.Adam([resumed], lr=0.1)
        load_adam(other, saved | {"else/0/step": torch.tensor(99.0)}, "optimizer")
        stepped(resumed, other, 4)
        assert torch.equal(resumed, whole)
