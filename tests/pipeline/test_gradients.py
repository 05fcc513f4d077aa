"""Gradients by weight: against finite differences, and the methods that score with them, end to end."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from hyperprune_lab.events import CheckpointReached
from hyperprune_lab.methods.pruner_zero import pruner_zero_scores
from hyperprune_lab.methods.wanda import wanda_scores
from hyperprune_lab.methods.wanda_plus_plus import GRADIENT_WEIGHT, wanda_plus_plus_scores
from hyperprune_lab.models.open import open_model
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline.gather import Stream
from hyperprune_lab.pipeline.gradients import loss_gradients, regional_gradients
from hyperprune_lab.pipeline.run import Workbench
from hyperprune_lab.pipeline.subject import Subject
from tests.methods import problems

from .test_run import assert_left_dense
from .tiny import masks, result, run_all

SEQUENCES, WINDOW = 3, 6


def finish(generator):
    """What a generator returns, and how often it yielded."""
    steps = 0
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value, steps
        steps += 1


def around(value, nudge):
    """How much a function's value changes per unit of ``nudge(size)``, by central differences."""
    size = 1e-2
    nudge(size)
    above = value()
    nudge(-2 * size)
    below = value()
    nudge(size)
    return (above - below) / (2 * size)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def posed(shop, request):
    opened = open_model(str(shop.model(request.param)), dtype="float32")
    subject = Subject.of(opened, NMPattern.parse("2:4"))
    ids = torch.randint(3, 60, (SEQUENCES, WINDOW), generator=torch.Generator().manual_seed(0))
    return subject, Stream.start(subject, ids), ids


def check(gradients, subject, linears, values, combine):
    """Some entries of ``gradients`` against the combined finite differences of ``values``, one per sequence."""
    for linear in linears:
        weight = linear.weight()
        for entry in ((0, 0), (1, 3), (weight.shape[0] - 1, weight.shape[1] - 1)):

            def nudge(size, weight=weight, entry=entry):
                weight[entry] += size

            slopes = torch.tensor([around(value, nudge) for value in values])
            found = gradients[linear.name][entry]
            assert found == pytest.approx(combine(slopes).item(), rel=0.05, abs=2e-4)
    subject.restore()


@torch.no_grad()
def test_loss_gradients_are_the_mean_absolute_slope_of_the_loss(posed):
    subject, stream, ids = posed
    with torch.enable_grad():
        gradients, steps = finish(loss_gradients(subject, stream))
    assert steps == SEQUENCES
    assert list(gradients) == list(subject.by_name)

    def value(sequence):
        logits = subject.model(ids[sequence : sequence + 1]).logits[0, :-1]
        return cross_entropy(logits, ids[sequence, 1:]).item()

    values = [lambda sequence=sequence: value(sequence) for sequence in range(SEQUENCES)]
    chosen = [subject.linears[0][0], subject.linears[-1][-1]]
    check(gradients, subject, chosen, values, lambda slopes: slopes.abs().mean())


@torch.no_grad()
def test_regional_gradients_are_the_root_mean_square_slope_of_the_blocks_output_norm(posed):
    subject, start, _ = posed
    stream = start.through(0)
    with torch.enable_grad():
        gradients, steps = finish(regional_gradients(subject, 1, stream))
    assert steps == SEQUENCES
    assert set(gradients) == {linear.name for linear in subject.linears[1]}

    def value(sequence):
        return stream.forward(1, stream.hidden[sequence : sequence + 1]).norm().item() / WINDOW**0.5

    values = [lambda sequence=sequence: value(sequence) for sequence in range(SEQUENCES)]
    check(gradients, subject, subject.linears[1][:2], values, lambda slopes: slopes.square().mean().sqrt())


def test_scores_by_hand():
    weight = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    gradient = torch.tensor([[1.0, 3.0], [2.0, 1.0]])
    torch.testing.assert_close(pruner_zero_scores(weight, gradient), torch.tensor([[0, 4.0], [4.5, 0]]))
    torch.testing.assert_close(pruner_zero_scores(weight, torch.ones(2, 2)), weight.square())


def test_wanda_plus_plus_is_wanda_where_the_block_does_not_care():
    problem = problems.linear()
    wanda = wanda_scores(problem.weight, problem.statistics)
    nothing = torch.zeros_like(problem.weight)
    assert torch.equal(wanda_plus_plus_scores(problem.weight, problem.statistics, nothing), wanda)
    ones = wanda_plus_plus_scores(problem.weight, problem.statistics, nothing + 1)
    torch.testing.assert_close(ones - wanda, GRADIENT_WEIGHT * problem.weight.abs())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["wanda++", "pruner-zero"])
def test_methods_that_read_gradients_prune_a_model_and_resume(shop, method):
    config = shop.config(method=method, compensation="none")
    bench = Workbench.open(config)
    events = run_all(config)
    assert result(events)["violations"] == 0
    wanda = masks(run_all(shop.config(compensation="none")))
    mine = masks(events)
    assert mine.keys() == wanda.keys()
    assert any((mine[name] != wanda[name]).any() for name in mine)
    first = next(event for event in events if isinstance(event, CheckpointReached))
    resumed = masks(run_all(config, (first.state, first.arrays)))
    assert all((resumed[name] == mine[name]).all() for name in resumed)
    assert resumed
    assert_left_dense(bench)
