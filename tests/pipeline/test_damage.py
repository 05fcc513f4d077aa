"""Functional damage: what is recorded is what the whole model does with one module restored; nothing stays changed."""

from __future__ import annotations

import pytest
import torch

from hyperprune_lab.calibration.windows import load_calibration
from hyperprune_lab.evaluate.divergence import divergence, remember_logits
from hyperprune_lab.events import ModuleMeasured, Notice, StageFinished
from hyperprune_lab.pipeline import damage as module
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.damage import STAGE, damage, work_per_token
from hyperprune_lab.pipeline.run import Workbench, settings_of, stages_of
from hyperprune_lab.pipeline.state import RunState

from .tiny import result, run_all


@pytest.fixture
def bench(shop):
    return Workbench.open(shop.config(method="wanda", compensation="none"))


def masked(bench) -> RunState:
    state = RunState()
    subject = bench.subject
    state.masks["final"] = {
        name: subject.patterns[name].project(subject.dense_weight(linear).abs())
        for name, linear in subject.by_name.items()
    }
    return state


def test_it_is_what_restoring_one_module_recovers_in_the_whole_model(bench):
    subject, state = bench.subject, masked(bench)
    found = {
        event.module: event.scalars["damage_kl"]
        for event in damage(subject, bench.calibration, state, 1000)
        if isinstance(event, ModuleMeasured)
    }
    assert list(found) == list(subject.by_name)
    assert all(torch.equal(parameter, subject.dense[name]) for name, parameter in _blocks(subject).items())

    ids = bench.calibration.heldout
    reference = remember_logits(subject.model, ids)
    masks = state.masks["final"]
    with subject.wearing(masks):
        whole = divergence(subject.model, reference, ids).kl
    for name in list(found)[::5]:
        with subject.wearing({other: mask for other, mask in masks.items() if other != name}):
            left = divergence(subject.model, reference, ids).kl
        assert found[name] == pytest.approx(whole - left, abs=2e-6)


def _blocks(subject):
    return {name: value for name, value in subject.model.named_parameters() if name in subject.dense}


def test_a_model_that_would_take_too_long_is_left_out_and_that_is_said(bench, monkeypatch):
    work = work_per_token([10, 20, 30], [1, 2, 0])
    assert work == 2 * (60 + 2 * 50)
    monkeypatch.setattr(module, "LARGEST_WORK", {"cpu": 1.0})
    events = list(damage(bench.subject, bench.calibration, masked(bench)))
    assert not any(isinstance(event, ModuleMeasured) for event in events)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert "not measured" in notice.message
    assert isinstance(events[-1], StageFinished)


def test_quick_runs_measure_it_only_when_asked(shop, quick):
    asked = [
        RunConfig(budget="quick"),
        RunConfig(),
        RunConfig(budget="quick", damage=True),
        RunConfig(damage=False),
    ]
    assert [STAGE in stages_of(config, settings_of(config)) for config in asked] == [False, True, True, False]
    assert RunConfig.from_json(RunConfig().to_json()) == RunConfig()
    events = run_all(shop.config(method="wanda", compensation="none", damage=True))
    assert result(events)["stages_run"] == ["layers", "audit", "damage", "evaluation"]
    total = [event.scalars for event in events if isinstance(event, StageFinished) and event.stage == STAGE]
    assert total[0]["kl_mask_only"] > 0
    assert total[0]["tokens"] > 0


def test_windows_are_cut_alike_from_all_sequences(bench):
    config = bench.config.calibration
    calibration = load_calibration(config, bench.subject.opened.tokenizer, bench.subject.opened.context, 0)
    ids = calibration.fit
    cut = module._short(ids, 2 * ids.shape[1])
    assert torch.equal(cut, ids[:2])
    assert module._short(ids, ids.shape[1] // 2).shape == (1, ids.shape[1] // 2)
