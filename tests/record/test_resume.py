"""Stop anywhere, go on from the last checkpoint, lose nothing before it, keep nothing after it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.verify import verify
from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import all_events, block_events, checkpoint, make_mask, module_name, started


def files_of(run) -> set[str]:
    return {
        f"{path.parent.name}/{path.name}"
        for path in run.glob("*/*")
        if path.is_file() and path.name != "lock"
    }


def interrupted_after(path, count: int) -> list[ev.Event]:
    """Write the first events of the sample without an end; return the rest."""
    events = list(all_events())
    with RecordWriter.create(path) as writer:
        for event in events[:count]:
            writer.write(event)
    return events[count:]


@pytest.mark.parametrize("count", range(14, 49, 5))
def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path, finished_run, count):
    interrupted_after(tmp_path / "cut", count)
    assert open_run(tmp_path / "cut").state == "interrupted"
    with RecordWriter.resume(tmp_path / "cut") as writer:
        state, arrays = writer.resumption.checkpoint
        place = (state["stage"], state["block"])
        assert arrays["network/w"][0, 0] == (-1 if state["block"] is None else state["block"])
        assert state["rng"] == [2**127, 3]
        remaining = itertools.dropwhile(
            lambda event: (
                not (isinstance(event, ev.CheckpointReached) and (event.stage, event.block) == place)
            ),
            all_events(),
        )
        next(remaining)
        writer.write(ev.RunResumed(from_checkpoint=True))
        for event in remaining:
            writer.write(event)
    whole, resumed = open_run(finished_run), open_run(tmp_path / "cut")
    kinds = [event.kind for event in resumed.events() if not event.payload.get("from_checkpoint")]
    assert kinds == [event.kind for event in whole.events()]
    assert verify(tmp_path / "cut") == verify(finished_run)
    assert resumed.generation == 1
    assert resumed.modules().drop(columns="seq").equals(whole.modules().drop(columns="seq"))
    assert {row.path for row in resumed.artefacts()} == files_of(tmp_path / "cut")


def test_what_came_after_the_checkpoint_is_gone_with_its_files(tmp_path):
    path = tmp_path / "run"
    with RecordWriter.create(path) as writer:
        writer.write(started())
        for event in block_events("layerwise", 0):
            writer.write(event)
        kept = writer.write(checkpoint("layerwise", 0))
        for event in block_events("layerwise", 1):
            last = writer.write(event)
        (path / "masks" / "orphan.safetensors").write_bytes(b"left by a kill")
        (path / "masks" / ".x.safetensors.1.tmp").write_bytes(b"half")
    assert "masks/layerwise-001.safetensors" in files_of(path)
    with RecordWriter.resume(path) as writer:
        run = open_run(path)
        assert run.last_seq == kept
        assert set(run.metrics()["seq"]) <= set(range(kept))
        assert files_of(path) == {row.path for row in run.artefacts()}
        assert not [name for name in files_of(path) if "001" in name]
        assert (
            writer.write(ev.RunPaused()) == last + 1
        )  # numbers that readers may have seen are not used again


def test_a_checkpoint_inside_a_block_keeps_what_was_gathered_before_it(tmp_path):
    path, name = tmp_path / "run", module_name(0, "mlp.up_proj")
    events = list(block_events("layerwise", 0))
    with RecordWriter.create(path) as writer:
        writer.write(started())
        for event in events[:6]:  # the input, the steps, the first module
            writer.write(event)
        writer.write(checkpoint("layerwise", 0))
        writer.write(events[6])
    with RecordWriter.resume(path) as writer:
        for event in events[6:]:
            writer.write(event)
    run = open_run(path)
    assert np.array_equal(run.mask(module_name(0, "self_attn.q_proj")), make_mask(0))
    assert np.array_equal(run.mask(name), make_mask(1))
    assert run.evidence("input", "model.layers.0.input")["rms"].shape == (20,)


def test_a_mask_decided_again_after_the_checkpoint_gives_way_to_the_earlier_one(tmp_path):
    path, name = tmp_path / "run", module_name(0, "mlp.up_proj")
    with RecordWriter.create(path) as writer:
        writer.write(started())
        for event in block_events("layerwise", 0):
            writer.write(event)
        writer.write(checkpoint("layerwise", 0))
        writer.write(ev.ModuleDecided("layerwise", 0, name, "2:4", make_mask(7), {}))
        writer.write(ev.BlockFinished("layerwise", 0, 1.0, 1))
        assert np.array_equal(open_run(path).mask(name), make_mask(7))
    with RecordWriter.resume(path):
        assert np.array_equal(open_run(path).mask(name), make_mask(1))
    assert not verify(path).damaged


def test_two_checkpoints_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    path = tmp_path / "run"
    with RecordWriter.create(path) as writer:
        writer.write(started())
        for block in range(4):
            writer.write(checkpoint("layerwise", block))
            assert len(list((path / "checkpoint").iterdir())) == min(block + 1, 2)
        newest = max((path / "checkpoint").iterdir(), key=lambda file: int(file.stem))
    assert open_run(path).checkpoint()[0]["block"] == 3
    newest.write_bytes(newest.read_bytes()[:-1] + b"x")
    with RecordWriter.resume(path) as writer:
        assert writer.resumption.checkpoint[0]["block"] == 2
    for file in (path / "checkpoint").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="none of its checkpoints"):
        RecordWriter.resume(path)


def test_without_a_checkpoint_the_run_starts_over(tmp_path):
    path = tmp_path / "run"
    rest = interrupted_after(path, 8)
    assert rest
    with RecordWriter.resume(path) as writer:
        assert writer.resumption.starts_over
        assert writer.resumption.checkpoint is None
        assert writer.resumption.started["config"]["pattern"] == "2:4"
        assert [event.kind for event in open_run(path).events()] == ["RunStarted"]
    with RecordWriter.resume(path) as writer:  # again, killed before it said anything
        for event in all_events():
            writer.write(event)
    assert [event.kind for event in open_run(path).events()].count("RunStarted") == 1
    assert verify(path).sound


def test_a_run_interrupted_before_its_configuration_cannot_go_on(tmp_path):
    with RecordWriter.create(tmp_path / "run"):
        pass
    with pytest.raises(UserError, match="before it began"):
        RecordWriter.resume(tmp_path / "run")
    assert not (tmp_path / "run" / "lock").exists()


@pytest.mark.parametrize("final", [ev.RunStopped("asked to"), ev.RunFailed("out of memory", "MemoryError")])
def test_stopped_and_failed_runs_can_go_on(tmp_path, final):
    path = tmp_path / "run"
    with RecordWriter.create(path) as writer:
        for event in (started(), checkpoint("layerwise", 0), final):
            writer.write(event)
    assert open_run(path).state in ("stopped", "failed")
    with RecordWriter.resume(path) as writer:
        assert open_run(path).state == "running"
        assert writer.resumption.checkpoint is not None
