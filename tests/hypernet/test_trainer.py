"""Training on a block: it learns, never returns worse than it came, and remembers what it is paid to remember."""

from dataclasses import replace

import pytest
import torch

from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.hypernet.memory import GroupCache, Reservoir
from hyperprune_lab.hypernet.trainer import BlockTrainer, TrainingSettings, annealed
from hyperprune_lab.methods.wanda import wanda_scores
from tests.hypernet.examples import chooser, context, gathered, problem, random_mask

SETTINGS = TrainingSettings(steps=30, rows=10, outlier_weight=0.0, continual_weight=0.0)


def wanda(of):
    return of.pattern.project(wanda_scores(of.weight, of.statistics))


def train(choose, problems, settings=SETTINGS, caches=None, seed=0, priors=None, trainer=None):
    """All telemetry of one block."""
    priors = priors or [wanda(of) for of in problems]
    met = [context(of, prior) for of, prior in zip(problems, priors, strict=True)]
    heldout = [of.heldout.gram for of in problems]
    generator = torch.Generator().manual_seed(seed)
    trainer = trainer or BlockTrainer(choose, settings)
    steps = trainer.train(met, heldout, caches or {}, [wanda(of) for of in problems], generator)
    return met, list(steps)


def error(choose, of, met, gram):
    return relative_error(of.weight, of.weight * choose.hard_mask(met), gram)


def test_temperature_falls_geometrically_from_start_to_end():
    values = [annealed(4.0, 0.25, step, 5) for step in range(5)]
    assert values == pytest.approx([4.0, 2.0, 1.0, 0.5, 0.25])
    assert annealed(4.0, 0.25, 0, 1) == 4.0


@pytest.mark.parametrize("text", ["2:4", "8:16"])
@pytest.mark.parametrize("sampled", [False, True])
def test_without_a_prior_training_lowers_the_error(text, sampled):
    of = problem(text, out=16, channels=32)
    settings = replace(SETTINGS, steps=80, rows=16, sampled=sampled, choose_best=False)
    choose = chooser(text, prior_strength=0.0)
    met, steps = train(choose, [of], settings)
    first, last = (sum(step["reconstruction"] for step in part) for part in (steps[:5], steps[-5:]))
    assert last < 0.8 * first
    untrained = chooser(text, prior_strength=0.0)
    gram = of.statistics.gram
    assert error(choose, of, met[0], gram) < 0.8 * error(untrained, of, met[0], gram)


def test_from_a_weak_prior_the_network_finds_something_better_on_other_tokens():
    of = problem("2:4", out=32, channels=32)
    choose = chooser()
    met, steps = train(choose, [of], priors=[random_mask(of)])
    start = relative_error(of.weight, of.weight * random_mask(of), of.heldout.gram)
    assert error(choose, of, met[0], of.heldout.gram) < 0.9 * start
    assert min(step.get("heldout_error", 1.0) for step in steps) == pytest.approx(
        error(choose, of, met[0], of.heldout.gram)
    )


@pytest.mark.parametrize("rate", [1e-2, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_returned_is_never_worse_than_the_start_on_held_out_tokens(rate, seed):
    """At the absurd rate training only does damage: the chooser has to come back as it was."""
    problems = [problem(seed=seed), problem(seed=seed + 10, component="down")]
    choose = chooser()
    met, _ = train(choose, problems, replace(SETTINGS, rate=rate), seed=seed)
    ours = [error(choose, of, here, of.heldout.gram) for of, here in zip(problems, met, strict=True)]
    priors = [relative_error(of.weight, of.weight * wanda(of), of.heldout.gram) for of in problems]
    assert sum(ours) <= sum(priors) + 1e-9


def test_the_outlier_weight_draws_the_choice_towards_wanda():
    """Channels rise and fall together, so the error alone would rather drop weights that cancel each other."""
    of = problem("2:4", out=16, channels=16)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 1, generator=generator) + 0.3 * torch.randn(200, 16, generator=generator)
    of = replace(of, statistics=gathered(x), heldout=gathered(x))
    agreement = []
    for weight in (0.0, 10.0):
        settings = replace(SETTINGS, steps=50, rows=16, rate=3e-2, outlier_weight=weight, choose_best=False)
        choose = chooser(prior_strength=0.0)
        met, _ = train(choose, [of], settings)
        mask = choose.hard_mask(met[0])
        agreement.append((of.pattern.ids(mask) == of.pattern.ids(wanda(of))).float().mean().item())
    assert agreement[1] > agreement[0] + 0.2


def test_telemetry_names_every_term_and_they_add_up():
    settings = replace(SETTINGS, steps=4, outlier_weight=0.3, continual_weight=2.0)
    choose = chooser()
    first = problem()
    cache = GroupCache(per_linear=20)
    cache.add(choose, context(first), torch.arange(10), torch.Generator().manual_seed(0))
    _, steps = train(choose, [problem(seed=1, block=1)], settings, {"2:4": cache})
    for step in steps:
        expected = step["reconstruction"] - 0.3 * step["outlier"] + 2.0 * step["continual"]
        assert step["loss"] == pytest.approx(expected, rel=1e-5)
        for share in ("outlier", "entropy", "agreement_wanda", "agreement_prior"):
            assert 0 <= step[share] <= 1
    assert steps[0]["agreement_prior"] == 1.0
    assert [step["temperature"] for step in steps] == pytest.approx(
        [annealed(2.0, 0.1, i, 4) for i in range(4)]
    )


def after_two_blocks(continual_weight, seed):
    """Two blocks share one network that is not told the layer: learning the second costs the first."""
    settings = replace(SETTINGS, steps=40, choose_best=False, continual_weight=continual_weight)
    choose = chooser(prior_strength=0.0, layer_embedding=False, seed=seed, features="diagonal")
    trainer = BlockTrainer(choose, settings)
    generator = torch.Generator().manual_seed(seed)
    cache, reservoir = GroupCache(per_linear=64), Reservoir(groups_per_linear=64)
    first = problem("2:4", out=24, channels=32, seed=seed)
    (here,), _ = train(choose, [first], settings, {}, seed, trainer=trainer)
    cache.add(choose, here, reservoir.add(choose, here, generator), generator)
    second = problem("2:4", out=24, channels=32, seed=seed + 50, block=1)
    _, steps = train(choose, [second], settings, {"2:4": cache}, seed, trainer=trainer)
    return steps, reservoir.ask(choose, reservoir.keepsakes[0])


def test_drift_is_seen_and_a_continual_weight_reduces_it():
    free, held = ([after_two_blocks(weight, seed) for seed in range(3)] for weight in (0.0, 30.0))
    for steps, recall in free:
        assert steps[0]["continual"] == pytest.approx(0.0, abs=1e-6)
        assert steps[-1]["continual"] > 1e-3
        assert recall.changed > 0
    for name in ("changed", "divergence"):
        forgotten, kept = (sum(getattr(recall, name) for _, recall in runs) / 3 for runs in (free, held))
        assert kept < 0.6 * forgotten


def test_the_network_decides_the_first_rows_only_where_told_so():
    of = problem(out=16, channels=32)
    start = random_mask(of)
    choose = chooser(decided_rows=5)
    met, _ = train(choose, [of], replace(SETTINGS, choose_best=False), priors=[start])
    mask = choose.hard_mask(met[0])
    assert torch.equal(mask[5:], start[5:])
    assert not torch.equal(mask[:5], start[:5])


@pytest.mark.parametrize("sampled", [False, True])
def test_the_seed_decides_the_course(sampled):
    settings = replace(SETTINGS, steps=6, rows=4, sampled=sampled)

    def run(seed):
        choose = chooser()
        _, steps = train(choose, [problem(out=16)], settings, seed=seed)
        return [step["loss"] for step in steps], choose.state_dict()

    losses, network = run(1)
    again, same = run(1)
    assert losses == again
    assert all(torch.equal(network[name], same[name]) for name in network)
    assert run(2)[0] != losses


def test_no_steps_leave_the_network_as_it_was():
    choose = chooser()
    before = {name: value.clone() for name, value in choose.state_dict().items()}
    _, steps = train(choose, [problem()], replace(SETTINGS, steps=0))
    assert steps == []
    assert all(torch.equal(value, before[name]) for name, value in choose.state_dict().items())
