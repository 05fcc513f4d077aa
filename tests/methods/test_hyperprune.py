"""HyperPrune on two toy blocks: legal masks, honest telemetry, exact resume, never under its prior."""

from dataclasses import replace

import pytest
import torch

from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.hypernet.settings import preset_settings
from hyperprune_lab.methods.base import BlockProblem, LayerwiseMethod
from hyperprune_lab.methods.hyperprune import HyperPrune, Roster
from hyperprune_lab.patterns import NMPattern
from tests.hypernet.examples import COMPONENTS, perturb, problem

PRESETS = ("paper", "released", "lab")
ROWS = {"up": 12, "down": 260}


def blocks(text="2:4", count=2, heldout=True):
    """Blocks of two linears; the second has more than the 200 rows that the released recipe decides."""
    made = []
    for block in range(count):
        linears = [
            problem(
                text, out=ROWS[component], channels=16, seed=10 * block + i, block=block, component=component
            )
            for i, component in enumerate(("up", "down"))
        ]
        if not heldout:
            linears = [replace(linear, heldout=None) for linear in linears]
        made.append(BlockProblem(block, count, tuple(linears)))
    return made


def small(preset, objective="mask-only", **training):
    settings = preset_settings(preset, "quick", objective)
    return replace(
        settings,
        chooser=replace(settings.chooser, hidden=16, embedding=4),
        training=replace(settings.training, **({"steps": 6, "rows": 8} | training)),
        cache_groups=16,
        reservoir_groups=16,
    )


def method(settings, *patterns, seed=0):
    parsed = tuple(NMPattern.parse(text) for text in patterns or ("2:4",))
    return HyperPrune(settings, Roster(3, COMPONENTS, parsed, torch.device("cpu")), seed)


def decide(made, block, seed=7):
    """Telemetry and decisions of one block."""
    steps, telemetry = made.decide(block, seed + block.block), []
    while True:
        try:
            telemetry.append(next(steps))
        except StopIteration as finished:
            return telemetry, finished.value


def masks_of(made, given):
    return {name: decision.mask for block in given for name, decision in decide(made, block)[1].items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("text", ["2:4", "8:16"])
def test_every_preset_decides_legally_and_tells_what_it_did(preset, text):
    made = method(small(preset), text)
    assert isinstance(made, LayerwiseMethod)
    for block in blocks(text):
        telemetry, decisions = decide(made, block)
        assert list(decisions) == [linear.name for linear in block.linears]
        assert len(telemetry) == 6
        for step in telemetry:
            assert {"reconstruction", "outlier", "continual", "loss", "temperature", "entropy"} <= step.keys()
            assert {"agreement_wanda", "agreement_prior"} <= step.keys()
            assert all(value == value and abs(value) < 1e6 for value in step.values())
        for linear in block.linears:
            decision = decisions[linear.name]
            assert linear.pattern.violations(decision.mask) == 0
            assert decision.weight is None
            prior = made.priors[linear.name]
            differs = (linear.pattern.ids(decision.mask) != linear.pattern.ids(prior)).float().mean().item()
            assert decision.scalars["changed_from_prior"] == pytest.approx(differs)
            assert 0 <= decision.scalars["entropy"] <= 1


def test_the_paper_decides_every_group_and_moves_away_from_wanda():
    given = blocks()
    made = method(small("paper", steps=20))
    for block in given:
        for decision in decide(made, block)[1].values():
            assert decision.scalars["decided_by_network"] == 1.0
            assert decision.scalars["changed_from_prior"] > 0.05


def test_the_released_recipe_decides_200_rows_and_leaves_the_others_to_sparsegpt():
    made = method(small("released", steps=20, rate=3e-2))
    for block in blocks():
        decisions = decide(made, block)[1]
        for linear in block.linears:
            decision, rows = decisions[linear.name], len(linear.weight)
            assert decision.scalars["decided_by_network"] == pytest.approx(min(1.0, 200 / rows))
            assert torch.equal(decision.mask[200:], made.priors[linear.name][200:])


@pytest.mark.parametrize("objective", ["mask-only", "compensated"])
@pytest.mark.parametrize("rate", [1e-2, 3.0])
def test_lab_never_loses_to_its_prior_on_held_out_tokens(objective, rate):
    made = method(small("lab", objective, rate=rate, steps=12))
    for block in blocks():
        decisions = decide(made, block)[1]
        for linear in block.linears:
            decision, prior = decisions[linear.name], made.priors[linear.name]
            ours, theirs = (
                relative_error(linear.weight, linear.weight * mask, linear.heldout.gram)
                for mask in (decision.mask, prior)
            )
            assert ours <= theirs
            assert decision.scalars["decided_by_network"] in (0.0, 1.0)
            if decision.scalars["decided_by_network"] == 0:
                assert torch.equal(decision.mask, prior)


def test_a_linear_whose_network_does_damage_keeps_its_prior():
    made, block = method(small("lab")), blocks()[0]
    contexts = made.meet(block)
    perturb(made.chooser, 3.0)
    for linear, context in zip(block.linears, contexts, strict=True):
        decision = made._decide_linear(linear, context)
        assert not torch.equal(made.chooser.hard_mask(context), context.prior)
        assert torch.equal(decision.mask, context.prior)
        assert decision.scalars["decided_by_network"] == 0
        assert decision.scalars["changed_from_prior"] == 0


def test_without_held_out_tokens_lab_decides_by_its_network():
    made = method(small("lab"))
    for decision in decide(made, blocks(heldout=False)[0])[1].values():
        assert decision.scalars["decided_by_network"] == 1.0


@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_without_steps_is_its_prior(preset):
    made = method(small(preset, steps=0))
    for block in blocks():
        for name, decision in decide(made, block)[1].items():
            if preset != "paper":  # which has none: its untrained network takes the first pattern throughout
                assert torch.equal(decision.mask, made.priors[name])
                assert decision.scalars["changed_from_prior"] == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_resumed_after_a_block_the_masks_are_the_same_to_the_last_bit(preset):
    given = blocks(count=3)
    settings = small(preset)
    expected = masks_of(method(settings), given)

    first = method(settings)
    started = masks_of(first, given[:1])
    saved = first.tensors()
    copies = {name: value.clone() for name, value in saved.items()}
    masks_of(first, given[1:])
    assert all(torch.equal(value, copies[name]) for name, value in saved.items())  # as it was taken

    resumed = method(settings, seed=99)
    resumed.load(saved)
    rest = masks_of(resumed, given[1:])
    assert same(started | rest, expected)
    final, other = first.tensors(), resumed.tensors()
    assert final.keys() == other.keys()
    assert all(torch.equal(final[name], other[name]) for name in final)


def test_two_runs_with_one_seed_agree_and_another_seed_differs():
    given, settings = blocks(), small("paper")
    first, again = masks_of(method(settings), given), masks_of(method(settings), given)
    assert same(first, again)
    assert not same(first, masks_of(method(settings, seed=1), given))


def test_every_pattern_of_a_run_has_its_network_and_cache():
    made = method(small("lab"), "2:4", "8:16")
    linears = (
        problem("2:4", seed=1, component="up"),
        problem("8:16", out=40, channels=32, seed=2, component="down"),
    )
    decisions = decide(made, BlockProblem(0, 1, linears))[1]
    for linear in linears:
        assert linear.pattern.violations(decisions[linear.name].mask) == 0
        assert len(made.caches[str(linear.pattern)]) == 16
    resumed = method(small("lab"), "2:4", "8:16", seed=5)
    resumed.load(made.tensors())
    assert resumed.tensors().keys() == made.tensors().keys()
    assert resumed.reservoir.ask_all(resumed.chooser) == made.reservoir.ask_all(made.chooser)


def test_known_priors_are_used_and_not_found_again():
    """After a resume the pipeline hands the stored priors back."""
    block = blocks()[0]
    made = method(small("lab", steps=0))
    other = {linear.name: linear.pattern.project(-linear.weight.abs()) for linear in block.linears}
    made.priors = dict(other)
    assert all(torch.equal(met.prior, other[met.name]) for met in made.meet(block))
    assert same(masks_of(made, [block]), other)
