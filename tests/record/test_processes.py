"""Other processes: kills at random moments, readers while it is written, a second writer."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.record import lock as lock_module
from hyperprune_lab.record.lock import Owner, RunLock, owner_of
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.verify import verify
from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import block_events, checkpoint, module_name, started

ROOT = Path(__file__).parents[2]

WRITE_FOR_EVER = """
import itertools, sys, time
from tests.record.samples import block_events, checkpoint, started
from hyperprune_lab.record.writer import RecordWriter
with RecordWriter.create(sys.argv[1]) as writer:
    writer.write(started())
    for block in itertools.count():
        for event in block_events("layerwise", block, steps=20):
            writer.write(event)
        writer.write(checkpoint("layerwise", block))
        print(block, flush=True)
        time.sleep(float(sys.argv[2]))
"""


def start_writer(path: Path, pause_seconds: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(path), str(pause_seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_any_moment_leaves_a_readable_resumable_record(tmp_path, seed):
    path = tmp_path / "run"
    process = start_writer(path)
    time.sleep(random.Random(seed).uniform(0, 0.15))
    kill(process)
    run = open_run(path)
    assert run.state == "interrupted"
    assert verify(path).damaged == []
    seen = run.last_seq
    finished = [event.block for event in run.events(kinds=("BlockFinished",))]
    assert finished == list(range(len(finished)))
    with RecordWriter.resume(path) as writer:
        last = writer.resumption.checkpoint[0]["block"]
        assert last in (len(finished) - 1, len(finished) - 2)
        assert writer.write(ev.RunResumed(True)) > seen
        for event in block_events("layerwise", last + 1):
            writer.write(event)
        writer.write(ev.RunFinished({}))
    assert open_run(path).state == "finished"
    assert len(open_run(path).modules()) == 2 * (last + 2)
    assert verify(path).damaged == []
    named = {row.path for row in open_run(path).artefacts()}
    assert {f"{file.parent.name}/{file.name}" for file in path.glob("*/*")} == named


def test_readers_see_one_consistent_moment_while_it_is_written(tmp_path):
    path = tmp_path / "run"
    process = start_writer(path, pause_seconds=0.05)
    faults: list[str] = []

    def follow() -> None:
        seen = 0
        try:
            for _ in range(12):
                run = open_run(path)
                if run.state != "running":
                    faults.append(f"state {run.state}")
                events = run.events(after=seen)
                if [event.seq for event in events] != list(range(seen + 1, seen + 1 + len(events))):
                    faults.append("events missing")
                seen += len(events)
                if any(len(event.scalars) != 2 for event in events if event.kind == "StepMeasured"):
                    faults.append("half a step")
                finished = [event.block for event in events if event.kind == "BlockFinished"]
                for block in finished[-1:]:
                    run.mask(module_name(block, "mlp.up_proj"))
                    if not run.evidence("module", module_name(block, "mlp.up_proj")):
                        faults.append("arrays missing")
        except Exception as error:  # a thread's error must reach the test
            faults.append(repr(error))

    readers = [threading.Thread(target=follow) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert process.poll() is None
    kill(process)
    assert faults == []


def test_a_reader_does_not_keep_the_run_from_becoming_one_file(tmp_path):
    path = tmp_path / "run"
    with RecordWriter.create(path) as writer:
        writer.write(started())
        run = open_run(path)
        assert run.last_seq == 1
        writer.write(ev.RunFinished({}))
    assert sorted(file.name for file in path.iterdir()) == ["run.sqlite"]
    assert run.state == "finished"


def test_a_finished_run_can_be_read_where_nothing_can_be_written(finished_run):
    before = sorted(path.name for path in finished_run.iterdir())
    for path in [*finished_run.glob("**/*"), finished_run]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert len(open_run(finished_run).modules()) == 4
        assert verify(finished_run).sound
    finally:
        for path in [finished_run, *finished_run.glob("**/*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert sorted(path.name for path in finished_run.iterdir()) == before


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path):
    path = tmp_path / "run"
    process = start_writer(path)
    try:
        assert owner_of(path / "lock").pid == process.pid
        with pytest.raises(UserError, match=f"process {process.pid}"):
            RecordWriter.resume(path)
    finally:
        kill(process)
    assert owner_of(path / "lock") is None
    RecordWriter.resume(path).close()


def test_the_same_process_cannot_write_twice(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        with pytest.raises(UserError, match=str(os.getpid())):
            RecordWriter.resume(tmp_path / "run")
        assert open_run(tmp_path / "run").state == "running"
        writer.write(checkpoint("layerwise", 0))


def test_a_lock_that_only_a_child_of_the_dead_owner_holds_is_taken_over(tmp_path):
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from hyperprune_lab.record.lock import RunLock\n"
        "lock = RunLock.acquire(Path(sys.argv[1]))\n"
        "child = os.fork()\n"
        "if child: print(child, flush=True); os._exit(0)\n"
        "os.close(1); os.close(2); time.sleep(60)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "lock")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    child = int(process.stdout)
    try:
        assert owner_of(tmp_path / "lock") is None
        lock = RunLock.acquire(tmp_path / "lock")
        assert owner_of(tmp_path / "lock").pid == os.getpid()
        lock.release()
    finally:
        os.kill(child, signal.SIGKILL)
    assert not (tmp_path / "lock").exists()


def test_a_reused_process_id_is_no_owner(monkeypatch):
    me = Owner.this_process()
    assert not me.dead
    assert Owner(me.pid, "before", me.host, me.machine).dead
    assert Owner(2**22 + 7, me.started, me.host, me.machine).dead
    assert not Owner(2**22 + 7, me.started, "elsewhere", "elsewhere").dead  # cannot be known from here


def test_without_kernel_locks_the_owner_in_the_file_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "_lock", lambda descriptor, kind: None)
    first = RunLock.acquire(tmp_path / "lock")
    with pytest.raises(UserError, match="is being written"):
        RunLock.acquire(tmp_path / "lock")
    assert owner_of(tmp_path / "lock").pid == os.getpid()
    first.release()
    first.release()
    (tmp_path / "lock").write_text("{not JSON")
    RunLock.acquire(tmp_path / "lock").release()
