"""The whole-model stage against a model that is a known quadratic: no transformer needed."""

import copy
from dataclasses import replace

import pytest
import torch

from hyperprune_lab.hypernet import model_trainer as module
from hyperprune_lab.hypernet.model_trainer import ModelTrainer
from hyperprune_lab.hypernet.optimizer import load_adam, save_adam
from hyperprune_lab.hypernet.settings import ModelStageSettings
from hyperprune_lab.methods.coordinate_descent import coordinate_descent
from tests.hypernet.examples import chooser, context, problem, random_mask

SETTINGS = ModelStageSettings(steps=12, batch=4, rate=3e-2, looks=4, gradient_sequences=8)


class QuadraticFeedback:
    """Divergence of a "model" whose loss is each linear's squared output error, other tokens per sequence.

    The effective weight is ``W * keep``; the gradient by ``keep`` is exact.
    """

    def __init__(self, problems, sequences=8, tokens=12):
        self.problems = {of.name: of for of in problems}
        self.sequences = sequences
        generator = torch.Generator().manual_seed(11)
        self.inputs = {}
        for name, of in self.problems.items():
            factor = torch.linalg.cholesky(of.statistics.gram.double() + 1e-6 * torch.eye(of.weight.shape[1]))
            noise = torch.randn(
                sequences, tokens, of.weight.shape[1], generator=generator, dtype=torch.float64
            )
            self.inputs[name] = (noise @ factor.T).float()

    def gradients(self, keep, sequences):
        loss, gradients = 0.0, {}
        for name, of in self.problems.items():
            x = self.inputs[name][sequences].flatten(0, 1)
            gram = x.T @ x / len(x)
            removed = of.weight * (1 - keep[name])
            scale = ((of.weight @ of.statistics.gram) * of.weight).sum()
            loss += float(((removed @ gram) * removed).sum() / scale)
            gradients[name] = -2 * (removed @ gram) * of.weight / scale
        return loss, gradients

    def heldout(self, masks):
        total = 0.0
        for name, of in self.problems.items():
            removed = of.weight * ~masks[name]
            total += float(((removed @ of.heldout.gram) * removed).sum())
            assert of.pattern.violations(masks[name]) == 0
        return total


def problems(text="2:4"):
    return [
        problem(text, out=12, channels=32, seed=i, block=i, component=("up", "down")[i]) for i in range(2)
    ]


def trainer(settings=SETTINGS, text="2:4", seed=0):
    given = problems(text)
    start = {of.name: random_mask(of, 3) for of in given}
    contexts = {of.name: context(of, start[of.name]) for of in given}
    return ModelTrainer(chooser(text), settings, contexts, QuadraticFeedback(given), seed, start)


def run(made):
    """Telemetry and masks of a whole stage."""
    steps, telemetry = made.train(), []
    while True:
        try:
            telemetry.append(next(steps))
        except StopIteration as finished:
            return telemetry, finished.value


def same_masks(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("text", "share"), [("2:4", 0.9), ("8:16", 1.0)])
def test_training_lowers_the_held_out_divergence(text, share):
    made = trainer(replace(SETTINGS, steps=30), text)
    start = made.feedback.heldout(made.state.base)
    telemetry, masks = run(made)
    assert made.feedback.heldout(masks) < share * start
    assert made.state.best_divergence == pytest.approx(made.feedback.heldout(masks))
    assert len(telemetry) == 30
    assert min(
        step["heldout_divergence"] for step in telemetry if "heldout_divergence" in step
    ) == pytest.approx(made.state.best_divergence)


def test_rounds_start_from_the_best_masks_and_make_features_around_them():
    made = trainer(replace(SETTINGS, rounds=2))
    telemetry, masks = run(made)
    assert [step["round"] for step in telemetry] == [0.0] * 12 + [1.0] * 12
    middle = telemetry[11]["best_divergence"]
    assert made.state.best_divergence <= middle
    assert telemetry[12]["agreement_prior"] > 0.3
    # The stored base and network together give the stored masks again.
    again = trainer(replace(SETTINGS, rounds=2))
    again.state.base = dict(made.state.best_base)
    again.prepare_round()
    again.chooser.load_state_dict(made.state.best_network)
    assert same_masks(again.hard_masks(), masks)


def test_a_start_that_nothing_beats_is_what_comes_back():
    """At an absurd rate the network only does damage, from a good start."""
    made = trainer(replace(SETTINGS, rate=1e3))
    good = {
        of.name: coordinate_descent(of.weight, of.heldout.gram, random_mask(of), of.pattern, 50)
        for of in problems()
    }
    made = ModelTrainer(made.chooser, made.settings, made.contexts, made.feedback, 0, good)
    value = made.feedback.heldout(good)
    _, masks = run(made)
    assert same_masks(masks, good)
    assert made.state.best_divergence == pytest.approx(value)
    assert made.state.best_network == {}


def test_without_steps_the_start_comes_back():
    made = trainer(replace(SETTINGS, steps=0))
    telemetry, masks = run(made)
    assert telemetry == []
    assert same_masks(masks, made.state.base)


@pytest.mark.parametrize("text", ["2:4", "8:16"])
def test_chunks_change_nothing(monkeypatch, text):
    whole = trainer(text=text)
    whole.prepare_round()
    expected = whole._soft_masks(0.7), whole.hard_masks()
    monkeypatch.setattr(module, "_GROUPS_AT_ONCE", 5 * whole.contexts["model.layers.0.mlp.up"].groups)
    (keep, seen), hard = whole._soft_masks(0.7), whole.hard_masks()
    for name, soft in expected[0][0].items():
        torch.testing.assert_close(keep[name], soft)
    assert seen == pytest.approx(expected[0][1])
    assert set(seen) == {"entropy", "entropy_p10", "entropy_median", "entropy_p90", "agreement_prior"}
    assert same_masks(hard, expected[1])


@pytest.mark.parametrize(
    "settings", [SETTINGS, replace(SETTINGS, free_rate=0.1), replace(SETTINGS, network=False, free_rate=0.1)]
)
def test_every_way_of_training_moves_the_choice(settings):
    made = trainer(settings)
    start = made.feedback.heldout(made.state.base)
    _, masks = run(made)
    assert made.feedback.heldout(masks) < start
    if not settings.network:
        untouched = chooser()
        assert all(
            torch.equal(value, untouched.state_dict()[name])
            for name, value in made.chooser.state_dict().items()
        )


def test_a_step_follows_the_gradient_of_the_models_loss():
    """With all rows standing for themselves and all sequences in the batch it is the finite difference."""
    made = trainer(replace(SETTINGS, free_rate=0.1, network=False, batch=8, temperature_start=5.0))
    made.prepare_round()
    everything = torch.arange(made.feedback.sequences)
    residual = made.chooser.residuals["model.layers.1.mlp.down"]

    def loss():
        return made.feedback.gradients(made._soft_masks(5.0)[0], everything)[0]

    places = [(2, 3, 1), (0, 0, 0), (5, 7, 4)]
    differences = []
    for where in places:
        with torch.no_grad():
            residual[where] += 0.4
            above = loss()
            residual[where] -= 0.8
            below = loss()
            residual[where] += 0.4
        differences.append((above - below) / 0.8)
    made._step()
    assert [residual.grad[where].item() for where in places] == pytest.approx(differences, rel=0.03, abs=5e-7)
    assert max(map(abs, differences)) > 1e-5


def test_every_step_sees_other_sequences():
    made = trainer()
    made.feedback.seen = []
    ask = made.feedback.gradients

    def note(keep, sequences):
        made.feedback.seen.append(tuple(sorted(sequences.tolist())))
        return ask(keep, sequences)

    made.feedback.gradients = note
    run(made)
    batches = made.feedback.seen[-SETTINGS.steps :]
    assert all(len(set(batch)) == SETTINGS.batch for batch in batches)
    assert len(set(batches)) > SETTINGS.steps // 2


@pytest.mark.parametrize("stop", [1, 5, 6, 9, 11])
@pytest.mark.parametrize("free_rate", [0.0, 0.1])
def test_a_stage_goes_on_as_if_never_interrupted(stop, free_rate):
    settings = replace(SETTINGS, steps=6, rounds=2, free_rate=free_rate)
    whole = trainer(settings)
    _, expected = run(whole)

    first = trainer(settings)
    steps = first.train()
    for _ in range(stop):
        next(steps)
    state = copy.deepcopy(first.state)
    network = copy.deepcopy(first.chooser.state_dict())
    residuals = {name: value.detach().clone() for name, value in first.chooser.residuals.items()}
    adam = save_adam(first.optimizer, "model")

    second = trainer(settings)
    second.state = state
    second.chooser.load_state_dict(network)
    with torch.no_grad():
        for name, value in second.chooser.residuals.items():
            value.copy_(residuals[name])
    load_adam(second.optimizer, adam, "model")
    telemetry, masks = run(second)
    assert len(telemetry) == 12 - stop
    assert same_masks(masks, expected)
    assert second.state.best_divergence == whole.state.best_divergence
    final = whole.chooser.state_dict()
    assert all(torch.equal(value, final[name]) for name, value in second.chooser.state_dict().items())
