"""What a decision and an audit leave behind, and what an examination makes of losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab import events as ev
from hyperprune_lab.models.open import open_model
from hyperprune_lab.patterns import NMPattern, unpack
from hyperprune_lab.pipeline import examine
from hyperprune_lab.pipeline.audit import audit
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.evidence import propagation
from hyperprune_lab.pipeline.examine import Examiner
from hyperprune_lab.pipeline.run import Workbench
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject

from .tiny import masks, result, run_all, weights

# -- the identity of propagation


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 30)),
    drift=st.sampled_from([0.0, 0.01, 1.0]),
)
def test_local_inherited_and_cross_add_up_to_the_whole_error(seed, shape, drift):
    out_features, in_features, tokens = shape
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(out_features, in_features, generator=draw)
    pruned = weight * (torch.rand(out_features, in_features, generator=draw) < 0.5)
    x_dense = torch.randn(tokens, in_features, generator=draw)
    x_pruned = x_dense + drift * torch.randn(tokens, in_features, generator=draw)
    parts = propagation(weight, pruned, x_dense, x_pruned)
    w, p, x, y = (tensor.double() for tensor in (weight, pruned, x_dense, x_pruned))
    energy = (x @ w.T).square().sum()
    direct = (x @ w.T - y @ p.T).square().sum() / energy
    assert parts.total == pytest.approx(float(direct), rel=1e-3, abs=1e-4)
    assert parts.local + parts.inherited + parts.cross == pytest.approx(parts.total, abs=1e-9)
    assert parts.local == pytest.approx(float((y @ (w - p).T).square().sum() / energy), rel=1e-3, abs=1e-6)
    assert parts.inherited == pytest.approx(
        float(((x - y) @ w.T).square().sum() / energy), rel=1e-3, abs=1e-6
    )
    assert min(parts.local, parts.inherited) >= 0
    if not drift:
        assert (parts.inherited, parts.cross) == (0, 0)


def test_an_input_without_energy_has_no_error():
    zeros = torch.zeros(3, 4)
    parts = propagation(torch.ones(2, 4), torch.zeros(2, 4), zeros, zeros)
    assert parts.total == 0


# -- the audit


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def bench(shop, request):
    """An opened model with its data, and Wanda's masks of a run with least squares under them."""
    config = shop.config(request.param, compensation="linear")
    return Workbench.open(config), run_all(config)


def outputs_of(subject, ids):
    """What every linear makes of its input as the model now stands, bias left out."""
    hooks, found = [], {}
    for name, linear in subject.by_name.items():
        bias = getattr(linear.module, "bias", None)

        def keep(_module, _args, output, name=name, bias=bias):
            found[name] = (output if bias is None else output - bias).double()

        hooks.append(linear.module.register_forward_hook(keep))
    with torch.no_grad():
        subject.model(ids)
    for hook in hooks:
        hook.remove()
    return found


def test_the_audit_measures_the_pruned_models_as_they_run(bench):
    """The total errors of every linear, against hooks on the dense, the masked and the compensated model."""
    workbench, events = bench
    subject, ids = workbench.subject, workbench.calibration.heldout
    chosen = {name: torch.from_numpy(mask) for name, mask in masks(events).items()}
    mended = {name: torch.from_numpy(weight) for name, weight in weights(events).items()}
    dense = outputs_of(subject, ids)
    with subject.wearing(chosen):
        pruned = outputs_of(subject, ids)
    with subject.wearing(weights=mended):
        compensated = outputs_of(subject, ids)
    measured = {event.module: event.scalars for event in events if isinstance(event, ev.ModuleMeasured)}
    assert measured.keys() == chosen.keys()
    for name, scalars in measured.items():
        energy = dense[name].square().sum()
        for measure, found in (("total", pruned), ("compensated", compensated)):
            error = float((dense[name] - found[name]).square().sum() / energy)
            assert scalars[f"error_rel_{measure}"] == pytest.approx(error, rel=2e-3, abs=1e-5)
    first = next(iter(measured.values()))
    assert first["error_rel_inherited"] == 0
    assert any(scalars["error_rel_inherited"] > 0.001 for scalars in measured.values())


def test_masks_that_keep_everything_have_no_error(shop):
    opened = open_model(str(shop.model("llama")))
    subject = Subject.of(opened, NMPattern(2, 4))
    whole = {
        name: torch.ones(linear.out_features, linear.in_features, dtype=torch.bool)
        for name, linear in subject.by_name.items()
    }
    streams = DenseStreams.of(subject, Workbench.open(shop.config()).calibration)
    events = list(audit(subject, streams, RunState(masks={"final": whole})))
    found = [event.scalars for event in events if isinstance(event, ev.ModuleMeasured)]
    assert len(found) == len(whole)
    assert all(set(scalars.values()) == {0.0} for scalars in found)


# -- what a decision leaves


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["wanda", "magnitude", "sparsegpt", "hyperprune"])
def test_the_evidence_of_a_decision_is_consistent(shop, method):
    events = run_all(shop.config(method=method, compensation="none"))
    decided = [event for event in events if isinstance(event, ev.ModuleDecided)]
    for event in decided:
        scalars, arrays = event.scalars, event.arrays
        assert arrays["channel_shares"].sum() == pytest.approx(scalars["error_rel"], rel=1e-4)
        assert arrays["row_errors"].sum() == pytest.approx(scalars["error_rel"], rel=1e-4)
        assert arrays["channel_shares"].shape == (event.mask.shape[1],)
        assert arrays["row_errors"].shape == (event.mask.shape[0],)
        assert arrays["row_energies"].shape == arrays["row_error_covariances"].shape == (event.mask.shape[0],)
        assert arrays["row_energies"].sum() == pytest.approx(1, rel=1e-4)
        assert 0 < scalars["kept_score"] <= scalars["kept_score_wanda"] + 1e-6 <= 1 + 1e-6
        assert arrays["pattern_histogram"].sum() == event.mask.size // 4
        wanda = unpack(arrays["mask_wanda"], event.mask.shape[1])
        same = (wanda == event.mask).reshape(-1, 4).all(1).mean()
        assert scalars["agreement_wanda"] == pytest.approx(same, abs=1e-6)
        assert arrays["channel_keep_rate_wanda"] == pytest.approx(wanda.mean(0))
        assert 0 <= arrays["channel_kept_energy"].min() <= arrays["channel_kept_energy"].max() <= 1 + 1e-6
        if method in ("wanda", "magnitude"):
            assert scalars[f"agreement_{method}"] == 1.0
            assert scalars["error_rel"] == scalars[f"error_rel_{method}"]
    if method == "wanda":
        assert all(event.scalars["kept_score"] == event.scalars["kept_score_wanda"] for event in decided)
        error = sum(event.scalars["error_rel"] for event in decided) / len(decided)
        assert result(events)["error_rel_mean"] == pytest.approx(error)


def test_light_evidence_leaves_out_what_is_large(shop):
    sizes = {}
    for evidence in ("light", "full"):
        events = run_all(shop.config(compensation="none", evidence=evidence))
        decided = [event for event in events if isinstance(event, ev.ModuleDecided)]
        inputs = [event for event in events if isinstance(event, ev.InputMeasured)]
        assert all(("mask_wanda" in event.arrays) == (evidence == "full") for event in decided)
        assert all(("gram_blocks" in event.arrays) == (evidence == "full") for event in inputs)
        sizes[evidence] = sum(a.nbytes for event in [*decided, *inputs] for a in event.arrays.values())
    assert sizes["light"] < sizes["full"]


# -- the examination


@pytest.fixture
def examiner(shop):
    """An examiner of a tiny Llama that has looked at the dense model."""
    config = shop.config()
    subject = Subject.of(open_model(config.model), NMPattern(2, 4))
    made = Examiner.of(subject, config)
    made.look_at_dense()
    return made


def test_nats_lost_count_up_where_the_model_is_worse(examiner):
    # A random model has nothing to lose, so either sign may come out: it must be the sign of the difference.
    loud = {name: 100 * value for name, value in examiner.subject.dense.items() if "down_proj" in name}
    worse = examiner.look("worse", weights=loud, brief=True)
    dense = examiner.scalars["dense"]
    assert worse.scalars["nats_lost"] == pytest.approx(worse.scalars["nats"] - dense["nats"], abs=1e-5)
    assert worse.scalars["perplexity"] == pytest.approx(math.exp(worse.scalars["nats"]), rel=1e-5)
    assert worse.scalars["nats_lost_low"] <= worse.scalars["nats_lost"] <= worse.scalars["nats_lost_high"]
    assert (worse.scalars["nats_lost"] > 0) == (worse.scalars["perplexity"] > dense["perplexity"])
    assert abs(worse.scalars["nats_lost"]) > 0.05
    assert worse.scalars["kl"] > 0
    same = examiner.look("same", masks={}, brief=True)
    assert same.scalars["nats_lost"] == 0
    assert same.scalars["kl"] == pytest.approx(0, abs=1e-6)
    assert same.scalars["top1_agreement"] == 1
    assert "nats_lost" not in dense


@pytest.mark.parametrize(
    ("cost", "closed"), [(0.049, None), (-0.2, None), (0.0, None), (0.051, 0.5), (1.0, 0.5)]
)
def test_the_gap_is_told_only_where_wanda_costs_enough(examiner, cost, closed):
    examiner.scalars["dense"] = {"perplexity": 10.0}
    examiner.scalars["wanda"] = {"perplexity": 10.0 * math.exp(cost)}
    examiner.scalars["mask-only"] = {"perplexity": 10.0 * math.exp(cost / 2)}
    assert examiner.gap("mask-only") == (None if closed is None else pytest.approx(closed))
    assert examiner.gap("compensated") is None


@pytest.mark.parametrize("brief_first", [True, False])
def test_the_same_masks_are_measured_once_and_told_as_if_measured_again(examiner, monkeypatch, brief_first):
    subject = examiner.subject
    masks = {
        name: subject.patterns[name].project(subject.dense_weight(linear).abs())
        for name, linear in subject.by_name.items()
    }
    others = masks | {name: ~mask for name, mask in list(masks.items())[:1]}
    passes = []
    measure = examine.measure
    monkeypatch.setattr(examine, "measure", lambda *given: passes.append(1) or measure(*given))
    first = examiner.look("wanda", masks, brief=brief_first)
    again = examiner.look(
        "mask-only", {name: mask.clone() for name, mask in masks.items()}, brief=not brief_first
    )
    assert len(passes) == 1
    brief, full = (first, again) if brief_first else (again, first)
    assert full.texts
    assert not brief.texts
    for name, value in brief.scalars.items():
        assert name == "gap_closed" or full.scalars[name] == value
    different = examiner.look("other", others, brief=True)
    weights = {f"{name}.weight": subject.dense[f"{name}.weight"] for name in masks}
    dense = examiner.look("weights", masks, weights, brief=True)
    assert len(passes) == 3
    assert different.scalars["nats"] != brief.scalars["nats"]
    assert dense.scalars["nats_lost"] == 0
