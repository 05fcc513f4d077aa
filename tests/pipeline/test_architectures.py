"""Every architecture, method and pattern from the first event to the last."""

from __future__ import annotations

import numpy as np
import pytest

from hyperprune_lab.events import ModuleDecided, StageFinished
from hyperprune_lab.patterns import NMPattern
from tests.architectures import CORE_ARCHITECTURES

from .tiny import masks, opened_benches, result, run_all, run_until, weights

pytestmark = pytest.mark.usefixtures("quick")

RESULT_KEYS = {
    *(
        "method",
        "preset",
        "pattern",
        "model",
        "dense_ppl",
        "mask_only_ppl",
        "compensated_ppl",
        "compensation",
    ),
    *("prior_mask_only_ppl", "prior_compensated_ppl", "published_ppl", "changed_from_prior"),
    *("groups_decided_by_hypernetwork", "error_rel_mean", "sparsity", "violations", "average_forgetting"),
    *("stages_run", "seconds", "peak_memory_bytes"),
}
METHODS = ("magnitude", "wanda", "sparsegpt", "hyperprune")
OF_HYPERPRUNE = ("preset", "prior_mask_only_ppl", "prior_compensated_ppl", "changed_from_prior")


@pytest.mark.parametrize("architecture", CORE_ARCHITECTURES)
def test_wanda_with_compensation_runs_on_every_architecture(shop, architecture):
    with opened_benches() as benches:
        events = run_all(shop.config(architecture))
    found = result(events)
    (bench,) = benches
    assert found.keys() >= RESULT_KEYS
    assert found["violations"] == 0
    assert found["sparsity"] == 0.5
    decided = masks(events)
    assert list(decided) == [row.name for row in bench.subject.coverage.rows if row.status == "pruned"]
    for name, mask in decided.items():
        linear = bench.subject.by_name[name]
        assert mask.shape == (linear.out_features, linear.in_features)
        assert NMPattern(2, 4).violations(mask) == 0
        kept = weights(events)[f"{name}.weight"]
        assert kept.shape == tuple(linear.module.weight.shape)
        assert not np.any((kept.T if linear.transposed else kept)[~mask])
    for name in ("dense_ppl", "mask_only_ppl", "compensated_ppl"):
        assert 1 < found[name] < 1000
    assert len({found[name] for name in ("dense_ppl", "mask_only_ppl", "compensated_ppl")}) == 3
    assert 0 < found["error_rel_mean"] < 1
    assert found["groups_decided_by_hypernetwork"] == 0
    assert found["published_ppl"] is None
    assert found["peak_memory_bytes"] > 0
    assert {name: found[name] for name in OF_HYPERPRUNE} == dict.fromkeys(OF_HYPERPRUNE)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_hyperprune_runs_through_all_its_stages(shop, architecture):
    found = result(run_all(shop.config(architecture, method="hyperprune")))
    assert found.keys() >= RESULT_KEYS
    assert (found["violations"], found["sparsity"], found["preset"]) == (0, 0.5, "lab")
    assert found["stages_run"] == [
        "layers",
        "model",
        "compensation of the prior",
        "compensation",
        "audit",
        "evaluation",
    ]
    assert 0 <= found["changed_from_prior"] <= 1
    assert 0 <= found["groups_decided_by_hypernetwork"] <= 1
    for name in ("prior_mask_only_ppl", "prior_compensated_ppl", "average_forgetting"):
        assert np.isfinite(found[name])


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_the_other_presets_run(shop, preset):
    found = result(run_all(shop.config(method="hyperprune", preset=preset, compensation="none")))
    assert (found["violations"], found["sparsity"], found["preset"]) == (0, 0.5, preset)
    assert found["stages_run"] == ["layers", "audit", "evaluation"]
    without_prior = preset == "paper"
    assert (found["prior_mask_only_ppl"] is None) == without_prior
    assert (found["changed_from_prior"] is None) == without_prior


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_pattern_holds_and_wider_groups_never_cost_more(shop, method):
    errors = {}
    # HyperPrune on 8:16 has a test of its own.
    for pattern in ("1:4", "2:4", "3:4", "4:8") + (("8:16",) if method != "hyperprune" else ()):
        chosen = NMPattern.parse(pattern)
        events = run_until(shop.config(method=method, pattern=pattern), StageFinished)
        found = masks(events, "layers")
        assert len(found) == 3 * 7
        for mask in found.values():
            assert chosen.violations(mask) == 0
            assert mask.mean() == chosen.density
        assert events[-1].stage == "layers"
        errors[pattern] = events[-1].scalars["error_rel_mean"]
    for narrower, wider in (("1:4", "2:4"), ("2:4", "3:4"), ("2:4", "4:8")):
        assert errors[wider] <= errors[narrower]


def test_hyperprune_takes_groups_too_wide_to_enumerate_through_all_its_stages(shop):
    found = result(run_all(shop.config(method="hyperprune", pattern="8:16", compensation="none")))
    assert (found["violations"], found["sparsity"]) == (0, 0.5)


def test_overrides_leave_a_block_dense_and_give_another_its_own_pattern(shop):
    overrides = ((r"layers\.0\.", "dense"), (r"layers\.1\.mlp", "4:8"))
    events = run_all(shop.config(overrides=overrides, compensation="linear"))
    decided = {event.module: event for event in events if isinstance(event, ModuleDecided)}
    assert not any("layers.0." in name for name in decided)
    assert {event.pattern for name, event in decided.items() if "layers.1.mlp" in name} == {"4:8"}
    assert {event.pattern for name, event in decided.items() if "layers.1.mlp" not in name} == {"2:4"}
    assert not any("layers.0." in name for name in weights(events))
    assert result(events)["sparsity"] == 0.5
