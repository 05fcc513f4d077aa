"""Runs steered from outside: paused, let go, stopped and resumed in processes of their own, and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hyperprune_lab.analysis.pace import pace, stage_seconds
from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.controller import controller_of, drop_reins, take_reins
from hyperprune_lab.pipeline.launch import background_threads, launch, resume_detached, steer, usable_cores
from hyperprune_lab.pipeline.session import run_to_record
from hyperprune_lab.record.lock import Owner
from hyperprune_lab.record.store import Store
from hyperprune_lab.record.verify import verify
from hyperprune_lab.shelf import entry_of

from .test_session import wait_until


@pytest.fixture
def kill_after():
    """Folders whose writers do not outlive the test."""
    folders: list[Path] = []
    yield folders
    for out in folders:
        if out.exists() and (owner := Store(out).owner) is not None:
            os.kill(owner.pid, signal.SIGKILL)


def kinds(out: Path) -> list[str]:
    return [event.kind for event in Store(out).events()]


def test_a_run_is_paused_let_go_stopped_resumed_and_ends(shop, tmp_path, kill_after):
    config = shop.config(method="hyperprune", preset="paper", budget="quick", compensation="none")
    out = tmp_path / "run"
    kill_after.append(out)
    pid = launch(config, out, threads=1)
    assert Store(out).environment["threads"] == 1
    # In a session of its own: signals to the group of whoever started it (a kernel's restart) do not reach it.
    assert os.getsid(pid) == pid

    steer(out, "pause")
    wait_until(lambda: kinds(out)[-1] == "RunPaused", 60)
    entry = entry_of(out)
    assert (entry.state, entry.owner_pid, entry.owner_here, entry.asked) == ("paused", pid, True, "pause")
    assert entry.holds_gpu is None
    seen = Store(out).last_seq

    steer(out, "run")
    wait_until(lambda: Store(out).last_seq > seen + 1 and any(e.block for e in Store(out).events(seen)), 60)
    assert entry_of(out).state == "live"
    with pytest.raises(UserError, match=f"being written by process {pid}"):
        resume_detached(out)
    now = pace(Store(out))
    assert now.stage == "layers"
    assert now.heard_in > 0

    steer(out, "stop")
    wait_until(lambda: entry_of(out).state == "interrupted", 60)
    assert "request" in entry_of(out).error
    with pytest.raises(UserError, match="resume it"):
        steer(out, "pause")

    again = resume_detached(out)
    assert again != pid
    assert Store(out).generation == 1
    wait_until(lambda: entry_of(out).state == "finished", 60)
    assert verify(out).sound
    assert set(stage_seconds(Store(out))) == set(Store(out).started["stages"])
    with pytest.raises(UserError, match="finished"):
        resume_detached(out)
    with pytest.raises(UserError, match="finished"):
        steer(out, "stop")


def test_what_keeps_a_run_from_going_on_is_said_at_once(shop, tmp_path, kill_after):
    with pytest.raises(UserError, match="no such directory"):
        resume_detached(tmp_path / "nowhere")
    config = shop.config(method="magnitude", compensation="none")
    out = tmp_path / "run"
    events = run_to_record(config, out)
    for event in events:
        if type(event).__name__ == "CheckpointReached":
            break
    events.close()
    assert entry_of(out).state == "interrupted"
    text = Path(config.calibration.text)
    words = text.read_text()
    text.unlink()
    try:
        with pytest.raises(UserError, match=r"calibration\.txt"):
            resume_detached(out)
    finally:
        text.write_text(words)
    entry = entry_of(out)
    assert entry.state == "failed"
    assert entry.resumable
    assert "calibration.txt" in entry.error


def test_a_background_run_leaves_a_core_to_the_interface():
    assert background_threads() == max(1, usable_cores() - 1)


def test_the_reins_are_taken_over_and_only_the_one_who_holds_them_drops_them(tmp_path):
    assert controller_of(tmp_path) is None
    take_reins(tmp_path, "one")
    assert controller_of(tmp_path).token == "one"
    assert controller_of(tmp_path).owner == Owner.this_process()
    take_reins(tmp_path, "two")
    drop_reins(tmp_path, "one")
    assert controller_of(tmp_path).token == "two"
    drop_reins(tmp_path, "two")
    assert controller_of(tmp_path) is None
    (tmp_path / "controller").write_text('{"token": 3, "owner": []}')
    assert controller_of(tmp_path) is None
