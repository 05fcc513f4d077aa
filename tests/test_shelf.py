"""The shelf: every kind of directory is an entry, none is an exception, and a second look is cheap."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab import shelf as module
from hyperprune_lab.record.lock import RunLock
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.shelf import entry_of, shelf

STAGES = ["layers", "audit", "evaluation"]


def started(device: str = "cpu", name: str = "demo") -> ev.RunStarted:
    config = {
        "method": "wanda",
        "preset": None,
        "model": name,
        "pattern": "2:4",
        "budget": "quick",
        "seed": 7,
    }
    return ev.RunStarted(config, {"device": device}, {"name": name, "blocks": 3}, {}, [], STAGES)


def evaluated(state: str, perplexity: float) -> ev.EvaluationFinished:
    return ev.EvaluationFinished(state, "suite", {"perplexity": perplexity})


def events(*more: ev.Event, device: str = "cpu") -> list[ev.Event]:
    return [
        started(device),
        evaluated("dense", 9.5),
        ev.StageStarted("layers", 3),
        ev.BlockStarted("layers", 0),
        ev.BlockFinished("layers", 0, 0.5, 0),
        ev.BlockFinished("layers", 1, 0.5, 0),
        *more,
    ]


def write(path, told) -> RecordWriter:
    writer = RecordWriter.create(path)
    for event in told:
        writer.write(event)
    return writer


def test_every_kind_of_directory_says_what_it_is(tmp_path):
    done = [
        ev.StageFinished("layers", 2.0),
        evaluated("mask-only", 12.0),
        ev.RunFinished({"seconds": 4.0}),
    ]
    write(tmp_path / "a" / "finished", events(*done)).close()
    write(tmp_path / "a" / "b" / "stopped", events(ev.RunStopped("stopped on request"))).close()
    write(tmp_path / "failed", events(ev.RunFailed("no room <b>", "MemoryError"))).close()
    write(tmp_path / "interrupted", events()).close()
    write(tmp_path / "empty", []).close()
    (tmp_path / "foreign").mkdir()
    with sqlite3.connect(tmp_path / "foreign" / "run.sqlite") as other:
        other.execute("CREATE TABLE a (b)")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "run.sqlite").symlink_to(tmp_path / "failed" / "run.sqlite")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "again").symlink_to(tmp_path)

    live = write(tmp_path / "live", events(device="NVIDIA H100"))
    paused = write(tmp_path / "paused", events(ev.RunPaused()))
    (tmp_path / "paused" / "control").write_text("pause")
    found = {entry.name: entry for entry in shelf([tmp_path, tmp_path / "live", tmp_path / "nowhere"])}
    live.close()
    paused.close()

    assert {name: entry.state for name, entry in found.items()} == {
        "live": "live",
        "paused": "paused",
        "finished": "finished",
        "stopped": "interrupted",
        "interrupted": "interrupted",
        "empty": "interrupted",
        "failed": "failed",
        "foreign": "foreign",
        "damaged": "damaged",
        "linked": "damaged",
    }
    assert {entry.name for entry in list(found.values())[:2]} == {"live", "paused"}
    finished = found["finished"]
    assert (finished.method, finished.model, finished.pattern, finished.seed) == ("wanda", "demo", "2:4", 7)
    assert (finished.dense_ppl, finished.mask_only_ppl, finished.compensated_ppl) == (9.5, 12.0, None)
    assert (finished.seconds, finished.stage, finished.blocks_done) == (4.0, "evaluation", 3)
    assert (found["live"].stage, found["live"].blocks_done, found["live"].blocks) == ("layers", 2, 3)
    assert found["live"].holds_gpu == "NVIDIA H100"
    assert found["paused"].holds_gpu is None
    assert found["paused"].asked == "pause"
    assert found["live"].owner_pid is not None
    assert found["live"].owner_here
    assert (found["failed"].error, found["stopped"].error) == ("no room <b>", "stopped on request")
    assert "without a word" in found["interrupted"].error
    assert [entry.resumable for entry in (found["failed"], found["interrupted"], finished)] == [
        True,
        True,
        False,
    ]
    assert "no record" in found["foreign"].error
    assert "link" in found["linked"].error
    # What was live is seen to have ended, though its database has not changed.
    assert entry_of(tmp_path / "live").state == "interrupted"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET payload = '[]' WHERE kind = 'RunStarted'",
        "UPDATE event SET payload = '{\"config\": 3}' WHERE kind = 'RunStarted'",
        "UPDATE event SET payload = 'x' WHERE kind = 'EvaluationFinished'",
    ],
)
def test_fields_that_do_not_fit_are_damage(tmp_path, change):
    write(tmp_path / "run", events()).close()
    with sqlite3.connect(tmp_path / "run" / "run.sqlite") as connection:
        connection.execute(change)
    connection.close()
    assert entry_of(tmp_path / "run").state == "damaged"


def test_a_run_that_has_not_changed_is_not_opened_again(tmp_path, monkeypatch):
    path = tmp_path / "run"
    writer = write(path, events())
    first = entry_of(path)
    opened = []
    read = module._read
    monkeypatch.setattr(module, "_read", lambda *given: opened.append(given) or read(*given))
    assert entry_of(path) == first
    assert not opened
    writer.write(ev.BlockFinished("layers", 2, 0.5, 0))
    assert entry_of(path).blocks_done == 3
    assert len(opened) == 1
    writer.close()


def test_a_run_resumed_after_a_failure_no_longer_shows_it(tmp_path):
    told = events(ev.CheckpointReached("layers", 2, {}, {}), ev.RunFailed("no room", "MemoryError"))
    write(tmp_path / "run", told).close()
    with RecordWriter.resume(tmp_path / "run") as writer:
        writer.write(ev.RunResumed(from_checkpoint=True))
        entry = entry_of(tmp_path / "run")
    assert (entry.state, entry.error) == ("live", None)


def test_a_lock_that_another_holds_names_it(tmp_path):
    write(tmp_path / "run", events()).close()
    lock = RunLock.acquire(tmp_path / "run" / "lock")
    entry = entry_of(tmp_path / "run")
    lock.release()
    assert entry.running
    assert entry.to_json()["owner_host"]


def test_looking_needs_neither_torch_nor_pandas():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'transformers', 'pandas']))\n"
        "import hyperprune_lab.shelf, hyperprune_lab.analysis.pace, hyperprune_lab.pipeline.launch\n"
        "import hyperprune_lab.pipeline.controller, hyperprune_lab.pipeline.inquiry\n"
        "from hyperprune_lab.pipeline.config import RunConfig\n"
        "RunConfig().to_json()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
