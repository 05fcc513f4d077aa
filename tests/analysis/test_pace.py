"""How fast a run goes: from the moments of its events, as if a clock stood beside it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.analysis.pace import Pace, pace, stage_seconds
from hyperprune_lab.record.store import Store
from hyperprune_lab.record.writer import RecordWriter

STAGES = ["layers", "audit", "evaluation"]
START = 1_000_000.0


def recorded(path: Path, told: list[tuple[float, ev.Event]]) -> Store:
    """A run whose events happened at these seconds."""
    with RecordWriter.create(path) as writer:
        seqs = [(writer.write(event), moment) for moment, event in told]
    with sqlite3.connect(path / "run.sqlite") as connection:
        connection.executemany("UPDATE event SET time = ? WHERE seq = ?", [(START + m, s) for s, m in seqs])
    connection.close()
    return Store(path)


def steps(block: int, first: float, count: int, seconds: float, of: int) -> list[tuple[float, ev.Event]]:
    return [
        (first + seconds * (step + 1), ev.StepMeasured("layers", block, step, of, {"loss": 1.0}))
        for step in range(count)
    ]


def begun() -> list[tuple[float, ev.Event]]:
    return [
        (0.0, ev.RunStarted({}, {}, {"blocks": 4}, {}, [], STAGES)),
        (5.0, ev.StageStarted("layers", 4)),
    ]


def test_nothing_is_known_before_the_first_stage(tmp_path):
    assert pace(recorded(tmp_path / "run", begun()[:1])) == Pace()


def test_steps_blocks_and_what_is_left(tmp_path):
    told = [
        *begun(),
        (5.0, ev.BlockStarted("layers", 0)),
        *steps(0, 5.0, 10, 2.0, 10),
        (25.0, ev.BlockFinished("layers", 0, 20.0, 0)),
        (25.0, ev.BlockStarted("layers", 1)),
        *steps(1, 25.0, 4, 2.0, 10),
    ]
    expected = {"layers": (40.0, 40.0), "audit": (4.0, 8.0), "evaluation": (10.0, 20.0)}
    found = pace(recorded(tmp_path / "run", told), expected, now=START + 33.5)
    assert (found.stage, found.block, found.blocks, found.blocks_done) == ("layers", 1, 4, 1)
    assert (found.step_at, found.steps) == (3, 10)
    assert found.step == pytest.approx(2.0)
    assert found.heard_in == pytest.approx(1.5)
    low, high = found.stage_left
    assert low < 60.0 < high
    assert found.left == pytest.approx((low + 14.0, high + 28.0))
    assert pace(recorded(tmp_path / "other", told), now=START + 33.5).left is None


def test_a_wait_is_no_step_and_a_slow_step_is_still_waited_for(tmp_path):
    told = [*begun(), *steps(0, 5.0, 5, 1.0, 10), (10.5, ev.RunPaused()), (500.0, ev.RunResumed())]
    told += steps(0, 500.0, 2, 1.0, 10)
    found = pace(recorded(tmp_path / "run", told), now=START + 510.0)
    assert found.step == pytest.approx(1.0)
    assert found.heard_in == pytest.approx(0.1)


def test_between_stages_the_next_one_is_named_and_expectations_are_corrected(tmp_path):
    told = [*begun(), (85.0, ev.StageFinished("layers", 80.0))]
    expected = {"layers": (30.0, 50.0), "audit": (4.0, 8.0), "evaluation": (10.0, 20.0)}
    found = pace(recorded(tmp_path / "run", told), expected)
    assert found.stage == "audit"
    assert found.stage_left == (8.0, 16.0)
    assert found.left == (28.0, 56.0)
    assert found.blocks_done == 0


def test_a_whole_model_stage_is_counted_in_steps(tmp_path):
    told = [*begun()[:1], (1.0, ev.StageStarted("model", 4, 20))]
    told += [(1.0 + 3 * (step + 1), ev.StepMeasured("model", None, step, 20, {})) for step in range(5)]
    low, high = pace(recorded(tmp_path / "run", told), now=START + 17).stage_left
    assert low < 45.0 < high


def test_seconds_of_stages_behind_include_the_last_that_never_says_it_ended(tmp_path):
    told = [
        *begun(),
        (85.0, ev.StageFinished("layers", 80.0)),
        (90.0, ev.StageFinished("audit", 5.0)),
        (102.0, ev.RunFinished({"seconds": 102.0})),
    ]
    store = recorded(tmp_path / "run", told)
    assert stage_seconds(store) == {"layers": 80.0, "audit": 5.0, "evaluation": 12.0}
    assert pace(store) == Pace()
