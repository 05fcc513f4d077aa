"""The compensation ladder: what it may change, and that no rung is worse than the one below where it looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperprune_lab import events as ev
from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.calibration.windows import load_calibration
from hyperprune_lab.methods.least_squares import least_squares
from hyperprune_lab.models.open import open_model
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.feedback import Teacher
from hyperprune_lab.pipeline.gather import Stream, gather
from hyperprune_lab.pipeline.ladder import Ladder, LadderSettings
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject

from .tiny import result, run_all

SETTINGS = LadderSettings(
    block_steps=15, block_rates=(3e-3,), model_steps=15, model_rates=(1e-3,), batch=4, gains=False
)


class Bench:
    """A tiny model with random 2:4 masks, ready for the ladder."""

    def __init__(self, shop, architecture, holdout=0.25):
        opened = open_model(str(shop.model(architecture)))
        self.subject = Subject.of(opened, NMPattern(2, 4))
        data = shop.config(architecture, samples=8, calibration={"holdout": holdout}).calibration
        self.calibration = load_calibration(data, opened.tokenizer, opened.context, 0)
        self.streams = DenseStreams.of(self.subject, self.calibration)
        generator = torch.Generator().manual_seed(0)
        self.masks = {
            name: NMPattern(2, 4).project(
                torch.rand(linear.out_features, linear.in_features, generator=generator)
            )
            for name, linear in self.subject.by_name.items()
        }

    def climb(self, **values):
        """Events of the climb, and the weights that it ends with."""
        state = RunState(masks={"final": self.masks})
        settings = replace(SETTINGS, **values)
        events = list(Ladder(self.subject, self.streams, settings, 0).run(state))
        return events, state.weights["final"]

    def heldout_divergence(self, masks=None, weights=None):
        """KL to the dense model on the held-out windows."""
        teacher = Teacher.of(self.streams.judging)
        with self.subject.wearing(masks, weights):
            return teacher.mean_divergence(self.subject)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def bench(shop, request):
    return Bench(shop, request.param)


def block_scalars(events):
    return [event.scalars for event in events if isinstance(event, ev.BlockFinished)]


@pytest.mark.parametrize("rung", ["linear", "block", "model"])
@pytest.mark.parametrize("gains", [False, True])
def test_weights_stay_under_the_mask_and_nothing_else_changes_unasked(bench, rung, gains):
    _, weights = bench.climb(rung=rung, gains=gains)
    subject = bench.subject
    for name, mask in bench.masks.items():
        stored = weights[f"{name}.weight"]
        assert stored.shape == subject.dense[f"{name}.weight"].shape
        weight = stored.T if subject.by_name[name].transposed else stored
        assert not weight[~mask].any()
        assert (weight[mask] != subject.dense_weight(subject.by_name[name])[mask]).float().mean() > 0.9
    others = set(weights) - {f"{name}.weight" for name in bench.masks}
    if rung == "linear" or not gains:
        assert not others
    else:
        # Gains and biases of norms, never the biases of pruned linears.
        norms = {name for name in subject.dense if "norm" in name or ".ln_" in name}
        assert others == norms
        assert any((weights[name] != subject.dense[name]).any() for name in others)


def test_the_refit_of_a_block_is_never_worse_than_least_squares_on_held_out_windows(bench):
    events, refitted = bench.climb(rung="block")
    scalars = block_scalars(events)
    assert len(scalars) == 3
    assert all(0 < found["block_error_refit"] <= found["block_error_linear"] for found in scalars)
    assert scalars[0]["block_error_refit"] < scalars[0]["block_error_linear"]
    _, linear = bench.climb(rung="linear")
    assert bench.heldout_divergence(weights=refitted) < bench.heldout_divergence(masks=bench.masks)
    assert bench.heldout_divergence(weights=linear) < bench.heldout_divergence(masks=bench.masks)


def test_a_refit_that_fails_is_thrown_away(bench):
    events, weights = bench.climb(rung="block", block_rates=(50.0,), block_steps=2)
    assert all(found["block_error_refit"] == found["block_error_linear"] for found in block_scalars(events))
    _, linear = bench.climb(rung="linear")
    assert all(torch.equal(weights[name], linear[name]) for name in linear)


def test_the_refit_of_the_model_never_raises_the_held_out_divergence(bench):
    _, block = bench.climb(rung="block")
    _, model = bench.climb(rung="model")
    assert bench.heldout_divergence(weights=model) < bench.heldout_divergence(weights=block)
    _, failed = bench.climb(rung="model", model_rates=(50.0,), model_steps=2)
    assert all(torch.equal(failed[name], block[name]) for name in block)


def test_what_is_told_last_is_what_is_left(bench):
    for rung in ("block", "model"):
        events, weights = bench.climb(rung=rung)
        told = {}
        for event in events:
            if isinstance(event, ev.WeightsChanged):
                told |= event.weights
        assert told.keys() == weights.keys()
        assert all(np.array_equal(told[name], weights[name].numpy()) for name in told)


def test_the_first_block_is_solved_by_least_squares_on_its_own_inputs(bench):
    _, weights = bench.climb(rung="linear")
    subject = bench.subject
    inputs, _ = gather(subject, 0, Stream.start(subject, bench.calibration.fit))
    for linear in subject.linears[0]:
        dense, gram, mask = (
            subject.dense_weight(linear),
            inputs.by_linear[linear.name].gram,
            bench.masks[linear.name],
        )
        solved = weights[f"{linear.name}.weight"]
        solved = solved.T if linear.transposed else solved
        assert torch.equal(solved, least_squares(dense, gram, mask))
        assert relative_error(dense, solved, gram) < relative_error(dense, dense * mask, gram)


def test_without_held_out_windows_the_fitted_ones_choose(shop):
    events, _ = Bench(shop, "llama", holdout=0.0).climb(rung="model")
    assert all(found["block_error_refit"] <= found["block_error_linear"] for found in block_scalars(events))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("rung", ["none", "linear", "block", "model"])
def test_each_rung_is_in_the_result(shop, rung):
    events = run_all(shop.config(method="sparsegpt", compensation=rung))
    found = result(events)
    assert found["compensation"] == rung
    assert (found["compensated_ppl"] is None) == (rung == "none")
    assert (found["nats_lost_compensated"] is None) == (rung == "none")
    assert ("compensation" in found["stages_run"]) == (rung != "none")
    assert any(isinstance(event, ev.WeightsChanged) for event in events) == (rung != "none")
    assert found["published_ppl"] is not None


@pytest.mark.parametrize("original", [0.5, 2.0])
def test_the_original_weights_come_back_only_where_they_are_closer_to_the_dense_model(
    bench, monkeypatch, original
):
    refitted = bench.climb(rung="linear")[1]
    judged = iter([1.0, original])
    monkeypatch.setattr(Teacher, "mean_divergence", lambda *_: next(judged))
    events, weights = bench.climb(rung="linear")
    told = {
        name: value for e in events if isinstance(e, ev.WeightsChanged) for name, value in e.weights.items()
    }
    for name, mask in bench.masks.items():
        linear, stored = bench.subject.by_name[name], f"{name}.weight"
        dense = bench.subject.dense_weight(linear) * mask
        expected = (dense.T if linear.transposed else dense) if original < 1.0 else refitted[stored]
        torch.testing.assert_close(weights[stored], expected, rtol=0, atol=0)
        np.testing.assert_array_equal(told[stored], weights[stored].numpy())
    assert events[-1].scalars == {"heldout_divergence": 1.0, "heldout_divergence_original": original}
