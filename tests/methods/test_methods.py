"""What every method owes: interface, pattern, one answer, and no regard for the scale of channels."""

from importlib.metadata import EntryPoint
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.errors import UserError
from hyperprune_lab.methods import registry
from hyperprune_lab.methods.alps import ALPS
from hyperprune_lab.methods.base import Kind, LayerwiseMethod, LinearProblem
from hyperprune_lab.methods.coordinate_descent import CoordinateDescent
from hyperprune_lab.methods.magnitude import Magnitude
from hyperprune_lab.methods.sparsegpt import SparseGPT
from hyperprune_lab.methods.wanda import Wanda
from hyperprune_lab.patterns import NMPattern
from tests.methods.problems import PATTERNS, block, linear, powers_of_two, rescaled, row_losses

LINEAR_BY_LINEAR = (Magnitude, Wanda, SparseGPT, CoordinateDescent, ALPS)
INDIFFERENT = (Wanda, lambda: SparseGPT(relative_to="channel"), CoordinateDescent, ALPS)


def run(method, problem, seed=0):
    """The steps that a method yields, and its decisions."""
    steps, generator = [], method.decide(problem, seed)
    while True:
        try:
            steps.append(next(generator))
        except StopIteration as end:
            return steps, end.value


@pytest.mark.parametrize("method", LINEAR_BY_LINEAR)
@pytest.mark.parametrize("text", PATTERNS)
@pytest.mark.parametrize("tokens", [9, 120])
def test_pattern_holds_everywhere(method, text, tokens):
    problem = block(
        linear(text, tokens=tokens, dead=(1, 2, 3, 4, 5), name="a"),
        linear(text, tokens=tokens, seed=1, name="b"),
    )
    steps, decisions = run(method(), problem)
    assert [step["linears_done"] for step in steps] == [1, 2]
    assert list(decisions) == ["a", "b"]
    for problem_linear in problem.linears:
        decision = decisions[problem_linear.name]
        assert decision.mask.dtype == torch.bool
        assert problem_linear.pattern.violations(decision.mask) == 0
        assert (decision.weight is not None) == method.updates_weights
        assert all(isinstance(value, float) for value in decision.scalars.values())
        if decision.weight is not None:
            assert torch.isfinite(decision.weight).all()
            assert not decision.weight[~decision.mask].any()


@pytest.mark.parametrize("method", LINEAR_BY_LINEAR)
def test_an_input_that_is_zero_throughout_is_no_obstacle(method):
    problem = linear(dead=tuple(range(48)))
    decision = method().decide_linear(problem)
    assert problem.pattern.violations(decision.mask) == 0
    assert decision.weight is None or torch.isfinite(decision.weight).all()


@pytest.mark.parametrize("method", LINEAR_BY_LINEAR)
def test_same_problem_same_answer_and_the_problem_is_left_alone(method):
    problem = linear()
    weight, gram = problem.weight.clone(), problem.statistics.gram.clone()
    first, second = (run(method(), block(problem), seed)[1][problem.name] for seed in (0, 1))
    assert torch.equal(first.mask, second.mask)
    if first.weight is not None:
        assert torch.equal(first.weight, second.weight)
    assert torch.equal(problem.weight, weight)
    assert torch.equal(problem.statistics.gram, gram)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["2:4", "4:8", "8:16"]))
def test_masks_do_not_depend_on_the_scale_of_channels(seed, text):
    """Powers of two round nothing, so not even a tie may change; updated weights scale back exactly."""
    problem = linear(text, seed=seed, dead=(seed % 48,))
    factors = powers_of_two(48, seed)
    for method in INDIFFERENT:
        before = method().decide_linear(problem)
        after = method().decide_linear(rescaled(problem, factors))
        assert torch.equal(before.mask, after.mask)
        if before.weight is not None and after.weight is not None:
            assert torch.equal(before.weight, after.weight * factors)


@pytest.mark.parametrize("method", INDIFFERENT)
def test_scales_that_round_change_next_to_nothing(method):
    """Four channels 30 times louder: at most 1 group in 200 (ties within rounding) may fall otherwise."""
    problem = linear(out=200, channels=64, tokens=1000)
    factors = torch.ones(64)
    factors[[3, 17, 33, 50]] = 30.0
    before, after = (method().decide_linear(each).mask for each in (problem, rescaled(problem, factors)))
    assert (problem.pattern.ids(before) != problem.pattern.ids(after)).float().mean() <= 0.005


def test_magnitude_is_the_one_that_falls_for_it():
    problem = linear(out=200, channels=64, tokens=1000)
    factors = torch.ones(64)
    factors[[3, 17, 33, 50]] = 30.0
    before, after = (Magnitude().decide_linear(each).mask for each in (problem, rescaled(problem, factors)))
    assert (before != after)[:, [3, 17, 33, 50]].float().mean() > 0.3


@pytest.mark.parametrize("method", LINEAR_BY_LINEAR)
@pytest.mark.parametrize("seed", range(3))
def test_a_layer_loses_less_with_4_of_8_than_with_2_of_4(method, seed):
    errors = []
    for text in ("2:4", "4:8"):
        problem = linear(text, out=64, channels=96, seed=seed)
        decision = method().decide_linear(problem)
        weights = [problem.weight * decision.mask] + ([decision.weight] if method.updates_weights else [])
        errors += [row_losses(problem.weight, each, problem.statistics.gram).sum() for each in weights]
    half = len(errors) // 2
    assert all(coarse < fine for fine, coarse in zip(errors[:half], errors[half:], strict=True))


def test_wanda_on_a_diagonal_gram_is_optimal():
    problem = linear(out=5, channels=8)
    gram = torch.diag(problem.statistics.gram.diagonal())
    mask = Wanda().decide_linear(problem).mask
    table = torch.from_numpy(problem.pattern.table().copy())
    every = torch.stack([row_losses(problem.weight, problem.weight * k.repeat(2), gram) for k in table])
    assert (row_losses(problem.weight, problem.weight * mask, gram) <= every.amin(0) + 1e-6).all()


def test_registry_knows_our_methods_by_their_names():
    for name in registry.METHODS:
        known = registry.method(name)
        assert known.name == name
        assert known.summary
        assert "\n" not in known.summary
        assert known.cost.isalpha()
        assert known.kind in get_args(Kind)
    for method in LINEAR_BY_LINEAR:
        assert registry.method(method.name) is method
        assert isinstance(method(), LayerwiseMethod)


def test_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"'wander'.*magnitude, wanda.*, sparsegpt"):
        registry.method("wander")


def test_other_packages_add_methods_but_do_not_replace_ours(monkeypatch):
    points = [
        EntryPoint("stranger", "tests.methods.test_methods:Wanda", registry.ENTRY_POINT_GROUP),
        EntryPoint("broken", "no_such_package:Nothing", registry.ENTRY_POINT_GROUP),
        EntryPoint("nothing", "pathlib:Path", registry.ENTRY_POINT_GROUP),
        EntryPoint("wanda", "no_such_package:Nothing", registry.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    assert registry.method_names()[len(registry.METHODS) :] == ["broken", "nothing", "stranger"]
    assert registry.method("stranger")().name == "wanda"
    assert registry.method("wanda") is Wanda
    with pytest.raises(UserError, match="no_such_package"):
        registry.method("broken")
    with pytest.raises(UserError, match="lacks summary"):
        registry.method("nothing")


def _problem(weight, pattern="2:4", heldout=None):
    good = linear()
    return LinearProblem(
        "blocks.3.q", "q", "q", 3, weight, good.statistics, heldout, NMPattern.parse(pattern)
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value):
    weight = linear().weight.clone()
    weight[2, 3] = value
    with pytest.raises(UserError, match=r"blocks\.3\.q has NaN or infinite weights"):
        _problem(weight)


def test_widths_that_do_not_fit_are_refused_by_name():
    with pytest.raises(UserError, match=r"blocks\.3\.q .*divisible by 5"):
        _problem(linear().weight, "2:5")
    with pytest.raises(UserError, match=r"blocks\.3\.q reads 44 channels"):
        _problem(linear(channels=44).weight)
    with pytest.raises(UserError, match=r"blocks\.3\.q reads 48 channels .*\s+44"):
        _problem(linear().weight, heldout=linear(channels=44).statistics)
