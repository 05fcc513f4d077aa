"""The line of a run's time: every event on it, times without work cut out, and where one can stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune_lab import events as ev
from hyperprune_lab.analysis.timeline import CUT_SECONDS, Timeline
from hyperprune_lab.record.store import RecordedEvent
from tests.widgets import tinyrun


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tinyrun.write_run(tmp_path_factory.mktemp("line") / "run")


def recorded(seq, time, kind, stage=None, block=None, **payload):
    return RecordedEvent(seq, time, kind, stage, block, None, None, payload, {})


def line_of(*events):
    line = Timeline()
    line._add(events)
    return line


def test_every_event_stands_on_the_line(run):
    line = Timeline.of(run)
    events = run.events()
    assert line.seqs == [event.seq for event in events]
    assert line.seconds[0] == 0
    assert line.length == pytest.approx(events[-1].time - events[0].time, abs=1e-6)
    assert line.cut_seconds == 0
    assert [stage.name for stage in line.stages] == ["layers", "audit"]
    assert [(one.stage, one.block) for one in line.blocks] == [
        (s, b) for s in ("layers", "audit") for b in range(3)
    ]
    assert all(one.over for one in [*line.stages, *line.blocks])
    ends = [
        e.seq
        for e in events
        if e.kind in ("BlockFinished", "StageFinished", "EvaluationFinished", "RunFinished")
    ]
    assert line.stops == ends


def test_it_grows_with_the_record(tmp_path):
    writer, stream, run = tinyrun.live_run(tmp_path / "run")
    line = Timeline.of(run)
    assert (line.seqs, line.stages) == ([1], [])
    tinyrun.write_until(writer, stream, ev.BlockStarted)
    line = line.extended(run)
    assert (line.blocks[-1].over, line.stages[-1].over) == (False, False)
    for event in stream:
        writer.write(event)
    writer.close()
    grown, whole = line.extended(run), Timeline.of(run)
    assert (grown.seqs, grown.blocks, grown.stages, grown.stops) == (
        whole.seqs,
        whole.blocks,
        whole.stages,
        whole.stops,
    )


@pytest.mark.parametrize(
    ("rest", "wakes"),
    [
        (recorded(2, 10.0, "RunPaused"), recorded(3, 910.0, "RunResumed", from_checkpoint=False)),
        (recorded(2, 10.0, "RunStopped", reason=""), recorded(3, 910.0, "RunResumed", from_checkpoint=True)),
        (recorded(2, 10.0, "StepMeasured", "layers"), recorded(3, 910.0, "RunResumed", from_checkpoint=True)),
    ],
)
def test_times_without_work_are_cut_out(rest, wakes):
    line = line_of(
        recorded(1, 0.0, "RunStarted"), rest, wakes, recorded(4, 912.0, "BlockFinished", "layers", 0)
    )
    assert line.seconds == pytest.approx([0, 10, 10 + CUT_SECONDS, 12 + CUT_SECONDS])
    assert line.cut_seconds == pytest.approx(900 - CUT_SECONDS)


def test_long_work_is_not_cut_out_and_a_clock_set_back_does_not_turn_time():
    line = line_of(
        recorded(1, 0.0, "RunStarted"), recorded(2, 900.0, "StepMeasured"), recorded(3, 800.0, "StepMeasured")
    )
    assert line.seconds == [0, 900, 900]


@given(st.floats(-1, 1e4), st.integers(-3, 3))
def test_moments_and_steps_stay_on_the_line(second, by):
    events = [recorded(seq, float(seq * seq), "BlockFinished", "layers", seq) for seq in range(1, 20)]
    line = line_of(*events)
    seq = line.at(second)
    assert seq in line.seqs
    assert line.second_of(seq) <= max(second, 0.0) or seq == 1
    assert line.at(line.second_of(seq)) == seq
    assert line.step(seq, by) == min(max(seq + by, 1), 19)


def test_thinned_it_keeps_ends_of_blocks_and_both_ends(run):
    line = Timeline.of(run)
    seconds, seqs = line.thinned(10)
    assert set(line.stops) <= set(seqs)
    assert (seqs[0], seqs[-1]) == (line.seqs[0], line.seqs[-1])
    assert seconds == sorted(seconds)
    assert line.thinned(10_000)[1] == line.seqs


def test_before_anything_there_is_nothing():
    line = Timeline()
    assert (line.at(3.0), line.second_of(3), line.step(0, 1), line.length, line.thinned(5)) == (
        0,
        0,
        0,
        0,
        ([], []),
    )
