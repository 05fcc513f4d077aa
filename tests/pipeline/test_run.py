"""The stream of events: its order, stopping, pausing, and the model that it leaves behind."""

from __future__ import annotations

import threading

import pytest
import torch

from hyperprune_lab import events as ev
from hyperprune_lab.pipeline.control import FileControl, RunControl, send
from hyperprune_lab.pipeline.run import prune

from .tiny import masks, opened_benches, result, run_all, shrink, write_text

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def finished(shop):
    """All events of a HyperPrune run with the highest rung, and what it opened."""
    with pytest.MonkeyPatch.context() as patch, opened_benches() as benches:
        shrink(patch)
        return run_all(shop.config(method="hyperprune", compensation="model")), benches[0]


@pytest.fixture
def everything(finished):
    """Its events alone."""
    return finished[0]


def assert_left_dense(bench):
    subject = bench.subject
    parameters = dict(subject.model.named_parameters())
    for name, value in subject.dense.items():
        assert torch.equal(parameters[name], value), name
    assert not any(parameter.requires_grad for parameter in parameters.values())
    assert all(parameter.grad is None for parameter in parameters.values())
    for module in subject.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_the_run_begins_with_its_configuration_and_ends_with_its_result(everything):
    started, dense, *_, finished = everything
    assert isinstance(started, ev.RunStarted)
    assert isinstance(dense, ev.EvaluationFinished)
    assert dense.state == "dense"
    assert isinstance(finished, ev.RunFinished)
    stages = [event.stage for event in everything if isinstance(event, ev.StageStarted)]
    assert finished.result["stages_run"] == started.stages
    assert started.stages == [*stages, "evaluation"]
    kinds = [type(event) for event in everything]
    assert kinds.count(ev.RunStarted) == kinds.count(ev.RunFinished) == 1


def test_stages_and_blocks_nest(everything):
    stage = block = None
    finished = {}
    for event in everything:
        match event:
            case ev.StageStarted():
                assert stage is None
                stage = event.stage
            case ev.StageFinished():
                assert (event.stage, block) == (stage, None)
                stage = None
            case ev.BlockStarted():
                assert (event.stage, block) == (stage, None)
                block = event.block
            case ev.BlockFinished():
                assert event.stage == stage
                assert block in (None, event.block)
                block = None
                finished.setdefault(stage, []).append(event.block)
            case ev.StepMeasured() | ev.ModuleMeasured() | ev.InputMeasured() | ev.ModuleDecided():
                assert event.stage == stage
                if event.stage != "model":
                    # Only the refit of the whole model belongs to no block.
                    assert event.block == block
    assert (stage, block) == (None, None)
    assert finished.pop("compensation") == [0, 1, 2]
    assert all(blocks == [0, 1, 2] for blocks in finished.values())
    assert set(finished) == {"layers", "model", "compensation of the prior", "audit"}


def test_every_stage_that_decides_decides_every_pruned_module_once(everything):
    pruned = [row["name"] for row in everything[0].coverage if row["status"] == "pruned"]
    for stage in ("layers", "model"):
        decided = [e.module for e in everything if isinstance(e, ev.ModuleDecided) and e.stage == stage]
        assert decided == pruned
    measured = [event.module for event in everything if isinstance(event, ev.ModuleMeasured)]
    assert measured == pruned


def test_steps_count_from_zero_to_their_announced_number(everything):
    steps = {}
    for event in everything:
        if isinstance(event, ev.StepMeasured):
            steps.setdefault((event.stage, event.block), []).append((event.step, event.steps))
    for taken in steps.values():
        assert taken == [(step, len(taken)) for step in range(len(taken))]


def test_the_evaluation_looks_at_every_state(everything):
    looked = [event.state for event in everything if isinstance(event, ev.EvaluationFinished)]
    assert looked == [
        *("dense", "wanda", "prior", "layers", "mask-only"),
        *("prior compensated", "compensated"),
    ]


def test_the_model_is_dense_after_a_run(shop, finished):
    assert_left_dense(finished[1])
    with opened_benches() as benches:
        run_all(shop.config(method="sparsegpt", compensation="linear"))
    assert_left_dense(benches[0])


STOPS = [
    ("hyperprune", ev.RunStarted, None),
    ("hyperprune", ev.StepMeasured, "layers"),
    ("hyperprune", ev.StepMeasured, "model"),
    ("sparsegpt", ev.ModuleDecided, "layers"),
    ("sparsegpt", ev.StepMeasured, "compensation"),
    ("sparsegpt", ev.ModuleMeasured, "audit"),
]


@pytest.mark.parametrize(("method", "kind", "stage"), STOPS)
def test_a_stop_takes_effect_after_the_event_and_leaves_the_model_dense(shop, method, kind, stage):
    control = RunControl()
    seen = []
    config = shop.config(method=method, compensation="model")
    with opened_benches() as benches:
        for event in prune(config, control):
            seen.append(event)
            if isinstance(event, kind) and getattr(event, "stage", None) == stage:
                control.stop()
    assert isinstance(seen[-1], ev.RunStopped)
    assert isinstance(seen[-2], kind)
    assert_left_dense(benches[0])


def test_a_stream_that_is_dropped_leaves_the_model_dense(shop):
    with opened_benches() as benches:
        stream = prune(shop.config(compensation="block"))
        for event in stream:
            if isinstance(event, ev.StepMeasured) and event.stage == "compensation":
                break
        stream.close()
    assert_left_dense(benches[0])


def test_a_pause_waits_and_changes_nothing(shop):
    config = shop.config(compensation="none")
    control = RunControl()
    seen = []
    for event in prune(config, control):
        seen.append(event)
        if isinstance(event, ev.BlockStarted) and event.block == 1 and event.stage == "layers":
            control.pause()
        if isinstance(event, ev.RunPaused):
            assert control.paused
            threading.Timer(0.05, control.resume).start()
    at = next(index for index, event in enumerate(seen) if isinstance(event, ev.RunPaused))
    assert isinstance(seen[at - 1], ev.BlockStarted)
    assert seen[at + 1] == ev.RunResumed(from_checkpoint=False)
    assert result(seen)["mask_only_ppl"] == result(run_all(config))["mask_only_ppl"]


def test_a_paused_run_can_be_stopped(shop):
    control = RunControl()
    control.pause()
    stream = prune(shop.config(), control)
    assert isinstance(next(stream), ev.RunStarted)
    assert isinstance(next(stream), ev.RunPaused)
    control.stop()
    assert [type(event) for event in stream] == [ev.RunResumed, ev.RunStopped]


def test_words_in_a_file_move_a_run(tmp_path):
    control = FileControl(tmp_path)
    assert (control.stopping, control.paused) == (False, False)
    send(tmp_path, "pause")
    assert not control.stopping
    assert control.paused
    send(tmp_path, "run")
    assert not control.paused
    control.pause()
    assert control.paused  # a word that was obeyed once does not take back what came later
    send(tmp_path, "stop")
    assert not control.paused
    assert control.stopping
    with pytest.raises(ValueError, match="unknown command"):
        send(tmp_path, "jump")


def test_sparsegpt_reports_its_published_weights_and_is_held_against_the_same_wanda(shop):
    found = {name: result(run_all(shop.config(method=name))) for name in ("wanda", "sparsegpt", "magnitude")}
    assert found["sparsegpt"]["published_ppl"] not in (None, found["sparsegpt"]["mask_only_ppl"])
    assert {found["wanda"]["published_ppl"], found["magnitude"]["published_ppl"]} == {None}
    assert found["wanda"]["wanda_mask_only_ppl"] == found["wanda"]["mask_only_ppl"]
    # The reference is Wanda on the dense prefix, whatever the method itself looks at.
    assert len({run["wanda_mask_only_ppl"] for run in found.values()}) == 1
    assert len({run["dense_ppl"] for run in found.values()}) == 1


def test_statistics_from_the_pruned_prefix_change_later_blocks_only(shop):
    dense, pruned = (
        masks(run_all(shop.config(prefix=prefix, compensation="none"))) for prefix in ("dense", "pruned")
    )
    differ = {name for name in dense if (dense[name] != pruned[name]).any()}
    assert differ
    assert not any(".layers.0." in name for name in differ)


def test_fewer_tokens_than_channels_work_and_are_noted(shop):
    data = {"samples": 2, "window": 12, "holdout": 0.0}
    events = run_all(shop.config(method="sparsegpt", calibration=data))
    assert result(events)["violations"] == 0
    inputs = [event for event in events if isinstance(event, ev.InputMeasured)]
    assert all(event.scalars["rank_deficient"] == 1.0 for event in inputs)
    decided = [event for event in events if isinstance(event, ev.ModuleDecided)]
    assert all(event.scalars["damping"] > 0 for event in decided)


def test_a_text_with_fewer_windows_than_asked_for_is_noted(shop, tmp_path):
    text = write_text(tmp_path / "short.txt", 30)
    events = run_all(shop.config(calibration={"text": str(text)}, compensation="none"))
    (notice,) = [event for event in events if isinstance(event, ev.Notice)]
    assert notice.level == "warning"
    assert "short.txt" in notice.message


def test_no_held_out_windows_are_needed(shop):
    config = shop.config(method="hyperprune", compensation="model", calibration={"holdout": 0.0})
    assert result(run_all(config))["violations"] == 0
