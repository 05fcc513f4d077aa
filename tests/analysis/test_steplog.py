"""Telemetry that is read once: the same table as in one go, also while a run grows, resumes and is replayed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.analysis import network
from hyperprune_lab.analysis.steplog import Milestone, step_table
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.record.writer import RecordWriter
from tests.widgets import tinyrun

STEPS = ("StepMeasured",)


def assert_same(run: Run, as_of: int | None = None) -> None:
    expected = network.steps(run, as_of)
    found = step_table(run, as_of)[expected.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_index_type=False)


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[tuple[RecordWriter, Iterator[ev.Event], Run]]:
    writer, stream, run = tinyrun.live_run(tmp_path / "run")
    yield writer, stream, run
    writer.close()


def test_it_is_the_table_of_network_steps_at_every_moment(tmp_path):
    run = tinyrun.write_run(tmp_path / "run")
    assert_same(run)
    for step in run.events(kinds=STEPS):
        assert_same(run, step.seq)
    assert step_table(run, 1).empty


def test_a_growing_run_is_read_once(growing, monkeypatch):
    writer, stream, run = growing
    assert step_table(run).empty
    asked: list[int] = []
    read = Run.events

    def spy(self, after=0, kinds=None):
        if kinds == STEPS:
            asked.append(after)
        return read(self, after, kinds)

    monkeypatch.setattr(Run, "events", spy)
    last = 0
    for _ in range(4):
        tinyrun.write_until(writer, stream, ev.StepMeasured)
        asked.clear()
        table = step_table(run)
        assert asked == [last]
        last = int(table["seq"].iloc[-1])
    monkeypatch.undo()
    assert list(table["axis"]) == [0, 1, 2, 3]
    assert_same(run)


def test_steps_that_train_no_network_are_left_out(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(next(tinyrun.events()))
        writer.write(ev.StepMeasured("layers", 0, 0, 1, {"linears_done": 1.0}))
        writer.write(ev.StepMeasured("layers", 0, 0, 1, {"loss": 1.0, "temperature": 2.0}))
    run = open_run(tmp_path / "run")
    assert list(step_table(run)["loss"]) == [1.0]
    assert_same(run)


def test_after_a_resume_it_is_read_anew(growing):
    writer, stream, run = growing
    tinyrun.write_until(writer, stream, ev.BlockStarted)
    writer.write(ev.CheckpointReached("layers", 0, {"stage": "layers"}, {}))
    tinyrun.write_until(writer, stream, ev.StepMeasured)
    assert len(step_table(run)) == 1
    writer.close()
    with RecordWriter.resume(run.directory.root) as resumed:
        resumed.write(ev.RunResumed(True))
        resumed.write(ev.StepMeasured("layers", 0, 0, 1, {"loss": 5.0, "temperature": 1.0}))
    assert list(step_table(run)["loss"]) == [5.0]
    assert_same(run)


def test_an_answer_is_kept_until_something_that_matters_happens(growing):
    writer, stream, run = growing
    made: list[int] = []

    def ask(seq: int | None = None, more: object = None) -> int:
        now = Milestone.of(run, ("BlockFinished",), run.last_seq if seq is None else seq)
        return now.remember("question", lambda: made.append(1) or len(made), more)

    assert [ask(), ask()] == [1, 1]
    tinyrun.write_until(writer, stream, ev.StepMeasured)
    assert ask() == 1
    finished = tinyrun.write_until(writer, stream, ev.BlockFinished)
    assert finished.block == 0
    assert ask() == 2
    assert ask(more="other") == 3
    assert ask(1) == 4
    assert Milestone.of(run, ("BlockFinished",), run.last_seq).seq == run.last_seq
