"""How far a run has come, at every moment of it: held against the events themselves."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.analysis.progress import Kept, Quality, progress, quality
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.writer import RecordWriter
from tests.widgets import tinyrun


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tinyrun.write_run(tmp_path_factory.mktemp("progress") / "run")


def test_every_moment_says_what_the_events_up_to_it_say(run):
    events = run.events()
    assert progress(run, 0).stages[0].state == "to come"
    for moment in events:
        upto = [event for event in events if event.seq <= moment.seq]
        found = progress(run, moment.seq)
        stages = [event for event in upto if event.kind in ("StageStarted", "StageFinished")]
        if moment.kind != "RunFinished" and stages and stages[-1].kind == "StageStarted":
            assert found.stage == stages[-1].stage
            inside = [event for event in upto if event.seq > stages[-1].seq]
            done = [event.block for event in inside if event.kind == "BlockFinished"]
            begun = [event.block for event in inside if event.kind == "BlockStarted"]
            assert found.blocks_done == tuple(done)
            assert found.block == (begun[-1] if len(begun) > len(done) else None)
        if moment.kind == "StepMeasured":
            assert (found.step, found.steps) == (moment.step + 1, 2)
        assert found.newest <= moment.time
    end = progress(run)
    assert [part.state for part in end.stages] == ["done", "done"]
    assert (end.stage, end.block, end.step) == (None, None, 0)
    assert [part.seconds for part in end.stages] == [4.5, pytest.approx(0.3)]
    assert end.peak_memory_bytes == 1 << 30
    assert [state for state, _ in end.perplexities] == ["dense", "wanda", "mask-only", "compensated"]
    assert end.perplexity("dense") == pytest.approx(np.exp(2.2))
    assert end.perplexity("prior") is None


def test_quality_is_the_mean_over_what_is_decided(run):
    decided = [event for event in run.events() if event.kind == "ModuleDecided"]
    third = decided[2]
    found = quality(run, third.seq)
    assert (found.decided, found.modules) == (3, 12)
    assert found.error == pytest.approx(np.mean([event.scalars["error_rel"] for event in decided[:3]]))
    assert found.ratio == pytest.approx(found.error / found.error_wanda)
    assert quality(run, 1) == Quality(0, 12)
    assert quality(run).error == pytest.approx(run.modules()["error_rel"].mean())
    assert Quality(1, 1, 0.1, 0.0).ratio is None


def test_the_last_stage_is_at_work_when_the_others_are_done(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        for event in tinyrun.events():
            writer.write(event)
            if isinstance(event, ev.StageFinished) and event.stage == "layers":
                break
    found = progress(open_run(tmp_path / "run"))
    assert [(part.name, part.state) for part in found.stages] == [("layers", "done"), ("audit", "now")]
    assert (found.stage, found.blocks_done, found.step) == ("audit", (), 0)


def test_what_a_stop_keeps_waits_and_last_words(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        stream = tinyrun.events()
        tinyrun.write_until(writer, stream, ev.BlockFinished)
        run = open_run(tmp_path / "run")
        assert progress(run).kept is None
        writer.write(ev.CheckpointReached("layers", 1, {}, {}))
        writer.write(ev.Notice("info", "all is well"))
        writer.write(ev.Notice("warning", "few tokens", "model.x"))
        writer.write(ev.RunPaused())
        time.sleep(0.3)
        writer.write(ev.RunResumed())
        writer.write(ev.RunStopped("stopped on request"))
        found = progress(run)
    assert found.kept == Kept("layers", 1, 3, "blocks")
    assert found.notice == "model.x: few tokens"
    assert found.words == "stopped on request"
    events = run.events()
    assert 0 < found.seconds <= events[-1].time - events[0].time - 0.3
    with RecordWriter.resume(tmp_path / "run") as writer:
        writer.write(ev.RunResumed(from_checkpoint=True))
        assert progress(open_run(tmp_path / "run")).words is None
        writer.write(ev.StageStarted("model", 3, 6))
        writer.write(ev.StepMeasured("model", None, 1, 6, {"loss": 1.0}))
        writer.write(ev.CheckpointReached("model", 2, {}, {}))
        found = progress(open_run(tmp_path / "run"))
        assert (found.stage, found.block, found.step, found.steps) == ("model", None, 2, 6)
        assert found.kept == Kept("model", 2, 6, "steps")
        writer.write(ev.RunFailed("no more", "Sad", "model.x"))
    assert progress(open_run(tmp_path / "run")).words == "model.x: no more"


def test_a_run_without_a_beginning_has_come_nowhere(tmp_path):
    with RecordWriter.create(tmp_path / "run"):
        found = progress(open_run(tmp_path / "run"))
    assert (found.stages, found.stage, found.seconds) == ((), None, 0.0)
