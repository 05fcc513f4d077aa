"""A network asked again: the same answer where it still knows, from the same data, and refusals where it cannot."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.feedback import DenseFeedback
from hyperprune_lab.pipeline.recorded import RecordedRun
from hyperprune_lab.pipeline.regenerate import SavedNetwork, regenerate, regenerated_masks
from hyperprune_lab.pipeline.session import run_to_record
from hyperprune_lab.record.store import Store

from .tiny import Workshop, write_text

pytestmark = pytest.mark.usefixtures("quick")


def record(shop: Workshop, out: Path, **values: Any) -> Path:
    """A HyperPrune run on the attention's linears, with mask-only results."""
    chosen = {"method": "hyperprune", "compensation": "none", "overrides": (("mlp", "dense"),)} | values
    for _ in run_to_record(shop.config(**chosen), out):
        pass
    return out


def judge_by(patch: pytest.MonkeyPatch, step: float) -> None:
    """Let every mask of the model stage be judged better (negative step) or worse than the one before."""
    judgements = itertools.count(1000.0, step)
    patch.setattr(DenseFeedback, "heldout", lambda _self, _masks: next(judgements))


def block_agreement(path: Path) -> list[float]:
    """By block, the share of groups that the network decides as recorded."""
    run = RecordedRun.open(path)
    stored = run.masks()
    found = regenerated_masks(run, SavedNetwork.of(run), stored)
    assert found.keys() == stored.keys()
    shares = []
    for linears in run.subject.linears:
        same = [
            run.subject.patterns[each.name].ids(found[each.name])
            == run.subject.patterns[each.name].ids(stored[each.name])
            for each in linears
        ]
        shares.append(torch.cat([part.flatten() for part in same]).float().mean().item())
    return shares


def test_paper_needs_no_data_and_knows_the_last_block_exactly(shop, tmp_path):
    text = write_text(tmp_path / "calibration.txt", 600)
    out = record(shop, tmp_path / "run", preset="paper", calibration={"text": str(text)})
    text.unlink()
    shares = block_agreement(out)
    assert shares[-1] == 1.0
    report = regenerate(out)
    assert report["groups"] == sum(
        mask.packed.shape[0] * mask.in_features // 4 for _, mask in Store(out).final_masks()
    )
    assert report["agreement"] == pytest.approx(report["agreeing_groups"] / report["groups"])
    assert report["exact"] == (report["agreeing_groups"] == report["groups"])
    assert report["stored_ppl"] == pytest.approx(Store(out).result["mask_only_ppl"], rel=1e-6)
    assert (report["regenerated_ppl"] == report["stored_ppl"]) == report["exact"]


def test_a_network_that_learned_on_has_forgotten_and_the_report_says_so(shop, tmp_path, monkeypatch):
    from hyperprune_lab.hypernet import settings

    monkeypatch.setattr(settings, "_PAPER_STEPS", dict.fromkeys(settings._PAPER_STEPS, 15))
    out = record(shop, tmp_path / "run", preset="paper", continual_weight=0.0)
    report = regenerate(out)
    assert report["agreement"] < 1
    assert not report["exact"]
    assert report["regenerated_ppl"] != report["stored_ppl"]
    measured = {
        event.payload["state"]: event.scalars for event in Store(out).events(kinds=("EvaluationFinished",))
    }
    assert measured["regenerated"]["perplexity"] == pytest.approx(report["regenerated_ppl"], rel=1e-6)
    worst = list(report["worst"].values())
    assert worst == sorted(worst)
    assert worst[0] < report["agreement"]


@pytest.mark.parametrize("preset", ["released", "lab"])
def test_the_layer_wise_network_is_asked_with_statistics_and_priors_gathered_again(
    shop, tmp_path, monkeypatch, preset
):
    judge_by(monkeypatch, 1.0)  # nothing beats the layer-wise stage
    out = record(shop, tmp_path / "run", preset=preset)
    shares = block_agreement(out)
    assert shares[-1] == 1.0
    assert min(shares) > 0.8


@pytest.mark.parametrize(
    "values",
    [
        {"residual_logits": True},
        {"pattern": "1:4", "objective": "compensated"},
        {"objective": "compensated", "compensation": "linear"},
    ],
)
def test_masks_of_the_model_stage_come_out_exactly(shop, tmp_path, monkeypatch, values):
    judge_by(monkeypatch, -1.0)  # every look is better than the one before
    out = record(shop, tmp_path / "run", **values)
    assert SavedNetwork.of(RecordedRun.open(out)).base
    assert regenerate(out)["exact"]


def test_recorded_settings_count_not_what_the_preset_means_today(shop, tmp_path, monkeypatch):
    from hyperprune_lab.hypernet import settings

    judge_by(monkeypatch, -1.0)
    out = record(shop, tmp_path / "run")
    today = {name: replace(stage, gradient_sequences=1) for name, stage in settings._MODEL_STAGE.items()}
    monkeypatch.setattr(settings, "_MODEL_STAGE", today)
    assert regenerate(out)["exact"]


def test_a_run_without_a_network_is_refused(shop, tmp_path):
    out = tmp_path / "run"
    list(run_to_record(shop.config(method="magnitude", compensation="none"), out))
    with pytest.raises(UserError, match="magnitude decides without one"):
        regenerate(out)


def test_another_calibration_text_is_refused(shop, tmp_path):
    text = write_text(tmp_path / "calibration.txt", 600)
    out = record(shop, tmp_path / "run", calibration={"text": str(text)})
    write_text(text, 600, seed=5)
    with pytest.raises(UserError, match="has changed"):
        regenerate(out)
