"""Runs in processes of their own: who may write, who outlives whom, and whose words reach whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline import process
from hyperprune_lab.pipeline.control import send
from hyperprune_lab.pipeline.launch import launch
from hyperprune_lab.pipeline.process import WorkerProcess
from hyperprune_lab.pipeline.session import resume_record, run_to_record
from hyperprune_lab.record.store import Store

# A parent that launches what it reads from stdin, says when all are on their way, and waits to be killed.
_PARENT = """
import json, sys, time
from pathlib import Path
from threading import Thread
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.launch import launch
given = json.load(sys.stdin)
config = RunConfig.from_json(given["config"])
starts = [Thread(target=launch, args=(config, Path(out), detach)) for out, detach in given["runs"]]
for start in starts:
    start.start()
for start in starts:
    start.join()
print("launched", flush=True)
time.sleep(600)
"""


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_a_detached_run_outlives_its_parent_and_an_attached_one_does_not(shop, tmp_path):
    config = shop.config(method="hyperprune", preset="paper", budget="thorough")  # longer than this test
    attached, detached = tmp_path / "attached", tmp_path / "detached"
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    given = {"config": config.to_json(), "runs": [(str(attached), False), (str(detached), True)]}
    try:
        parent.stdin.write(json.dumps(given))
        parent.stdin.close()
        assert parent.stdout.readline() == "launched\n"
        assert Store(attached).state == Store(detached).state == "running"
        owner = Store(detached).owner
        with pytest.raises(UserError, match=f"being written by process {owner.pid}"):
            next(resume_record(detached))
        with pytest.raises(UserError, match="exists"):
            launch(config, detached)
        os.kill(parent.pid, signal.SIGKILL)
        # It stops at the next step, in good order.
        wait_until(lambda: Store(attached).state == "stopped", 15)
        assert Store(detached).state == "running"
        assert Store(detached).owner == owner
        send(detached, "stop")
        wait_until(lambda: Store(detached).state == "stopped", 15)
    finally:
        parent.kill()
        parent.wait()
        for out in (attached, detached):
            if out.exists() and (owner := Store(out).owner) is not None:
                os.kill(owner.pid, signal.SIGKILL)


def test_the_childs_own_words_reach_the_caller_and_nothing_is_left(shop, tmp_path):
    out = tmp_path / "deep" / "run"
    with pytest.raises(UserError, match="no-such-place"):
        launch(shop.config(model=str(tmp_path / "no-such-place")), out)
    assert not out.parent.exists()


@pytest.mark.parametrize("start", [launch, lambda config, out: next(run_to_record(config, out))])
@pytest.mark.parametrize("link", [False, True])
def test_what_exists_is_never_written_into(shop, tmp_path, start, link):
    out = tmp_path / "run"
    if link:
        out.symlink_to(tmp_path / "nowhere")
    else:
        out.mkdir()
    with pytest.raises(UserError, match="exists"):
        start(shop.config(), out)
    assert link or list(out.iterdir()) == []


def script(path: Path, body: str) -> str:
    """An executable in the place of the interpreter."""
    path.write_text(f"#!/bin/sh\ncat > /dev/null\n{body}\n")
    path.chmod(0o755)
    return str(path)


def worked(config, out):
    worker = WorkerProcess(out)
    worker.begin(config)
    return worker


@pytest.mark.parametrize(
    ("body", "kind", "cause"),
    [
        ("echo Traceback >&2; echo 'ValueError: a: b' >&2; exit 1", "ValueError", "a: b"),
        ("kill -9 $$", "killed", "memory may have run out"),
        ("exit 3", "unknown", "code 3"),
    ],
)
def test_a_worker_that_dies_says_of_what(shop, tmp_path, monkeypatch, body, kind, cause):
    monkeypatch.setattr(process.sys, "executable", script(tmp_path / "python", body))
    failed = worked(shop.config(), tmp_path / "run").failure()
    assert failed.kind == kind
    assert cause in failed.cause
    with pytest.raises(UserError, match=cause):
        launch(shop.config(), tmp_path / "run")


def test_only_a_mistake_of_input_is_a_mistake_of_input(shop, tmp_path, monkeypatch):
    interpreter = script(tmp_path / "python", "echo 'a warning' >&2; echo 'use another' >&2; exit 2")
    monkeypatch.setattr(process.sys, "executable", interpreter)
    with pytest.raises(UserError, match=r"^use another$"):
        worked(shop.config(), tmp_path / "run").failure()
    monkeypatch.setattr(process.sys, "executable", script(tmp_path / "good", "exit 0"))
    assert worked(shop.config(), tmp_path / "run").failure() is None
