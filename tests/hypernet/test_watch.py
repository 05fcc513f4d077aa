"""What is watched is what the network says, and watching changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hyperprune_lab.hypernet.trainer import BlockTrainer, TrainingSettings, annealed
from hyperprune_lab.hypernet.watch import GROUPS, LOOKS, PinnedGroups, entropy_band
from tests.hypernet.examples import chooser, context, perturb, problem

SETTINGS = TrainingSettings(steps=5, rows=8, choose_best=False)


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_pinned_probabilities_are_those_of_the_whole_linear(pattern):
    choose = chooser(pattern)
    perturb(choose, 0.5)
    met = [context(problem(pattern, out=9, channels=32, component=name)) for name in ("up", "down")]
    pinned = PinnedGroups(choose, met, 5)
    for step in (0, 4):
        pinned.look(step, 0.7)
    for linear in met:
        arrays = pinned.arrays(linear.name)
        count = min(GROUPS, 9 * linear.groups)
        rows, groups = arrays["pinned_groups"].long().T
        assert arrays["pinned_steps"].tolist() == [0, 4]
        assert len(set(zip(rows.tolist(), groups.tolist(), strict=True))) == count
        expected = torch.softmax(choose.logits(linear)[rows, groups] / 0.7, -1)
        assert arrays["pinned_probabilities"].dtype == torch.float16
        for seen in arrays["pinned_probabilities"]:
            torch.testing.assert_close(seen.float(), expected, atol=1e-3, rtol=1e-2)


def test_groups_of_too_many_patterns_tell_positions():
    choose = chooser("8:16")
    linear = context(problem("8:16", out=4, channels=32))
    pinned = PinnedGroups(choose, [linear], 1)
    pinned.look(0, 1.0)
    seen = pinned.arrays(linear.name)["pinned_probabilities"]
    assert seen.shape == (1, GROUPS, 16)
    torch.testing.assert_close(seen.float().sum(-1), torch.full((1, GROUPS), 8.0), atol=0.02, rtol=0)


def test_a_long_training_is_looked_at_from_first_to_last_step_but_not_always():
    linear = context(problem())
    pinned = PinnedGroups(chooser(), [linear], 1000)
    for step in range(1000):
        pinned.look(step, annealed(2.0, 0.1, step, 1000))
    steps = pinned.arrays(linear.name)["pinned_steps"].tolist()
    assert len(steps) == LOOKS
    assert (steps[0], steps[-1]) == (0, 999)


def test_rows_that_are_not_the_networks_are_not_pinned():
    linear = context(problem(out=20))
    choose = chooser(decided_rows=2)
    pinned = PinnedGroups(choose, [linear], 1)
    pinned.look(0, 1.0)
    assert pinned.arrays(linear.name)["pinned_groups"][:, 0].max() < 2
    none = PinnedGroups(chooser(decided_rows=0), [linear], 1)
    none.look(0, 1.0)
    assert none.arrays(linear.name) == {}


def test_training_goes_the_same_way_unwatched(monkeypatch):
    def trained(watched: bool):
        choose, linear = chooser(), context(problem())
        if not watched:
            monkeypatch.setattr(PinnedGroups, "look", lambda *_: None)
        trainer = BlockTrainer(choose, SETTINGS)
        generator = torch.Generator().manual_seed(0)
        steps = list(trainer.train([linear], [None], {}, [linear.prior], generator))
        return choose.state_dict(), steps, trainer.pinned.arrays(linear.name)

    with_eyes, seen, arrays = trained(True)
    without, unseen, nothing = trained(False)
    assert all(torch.equal(with_eyes[name], without[name]) for name in without)
    assert seen == unseen
    assert len(arrays["pinned_steps"]) == 5
    assert nothing == {}


def test_every_step_tells_the_band_of_the_entropies():
    choose, linear = chooser(), context(problem())
    perturb(choose, 0.5)
    settings = replace(SETTINGS, rows=10)
    generator = torch.Generator().manual_seed(0)
    first = next(BlockTrainer(choose, settings).train([linear], [None], {}, [linear.prior], generator))
    assert 0 <= first["entropy_p10"] <= first["entropy_median"] <= first["entropy_p90"] <= 1
    assert first["entropy_p10"] <= first["entropy"] <= first["entropy_p90"]


def test_the_band_of_many_is_that_of_an_even_sample():
    shares = torch.rand(500_000, generator=torch.Generator().manual_seed(0))
    band = entropy_band([shares[:100], shares[100:]])
    assert [band[f"entropy_{name}"] for name in ("p10", "median", "p90")] == pytest.approx(
        [0.1, 0.5, 0.9], abs=0.01
    )
    assert set(entropy_band([torch.full((3, 2), 0.25)]).values()) == {0.25}
