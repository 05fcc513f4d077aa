"""A full disk: one clear message, a readable record, a resumable run."""

from __future__ import annotations

import errno
import os

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.verify import verify
from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import block_events, checkpoint, started


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_a_file_is_written(tmp_path, monkeypatch):
    path = tmp_path / "run"
    with RecordWriter.create(path) as writer:
        writer.write(started())
        writer.write(checkpoint("layerwise", 0))
        for event in list(block_events("layerwise", 1))[:-1]:
            writer.write(event)
        with monkeypatch.context() as patched:
            patched.setattr("hyperprune_lab.record.tensors.os.fsync", no_space)
            with pytest.raises(UserError, match=f"{path} is full.*resume"):
                writer.write(ev.BlockFinished("layerwise", 1, 1.0, 1))
        with pytest.raises(RuntimeError):
            writer.write(ev.RunFailed("full", "UserError"))
    assert open_run(path).state == "interrupted"
    assert verify(path).damaged == []
    assert not list(path.glob("*/*.tmp"))
    with RecordWriter.resume(path) as writer:
        assert writer.resumption.checkpoint[0]["block"] == 0


def test_a_full_disk_while_the_database_grows(tmp_path):
    path = tmp_path / "run"
    with RecordWriter.create(path) as writer:
        writer.write(started())
        writer.write(checkpoint("layerwise", 0))
        # SQLite's own way to be full: no page more than there are now.
        pages = writer._connection.execute("PRAGMA page_count").fetchone()[0]
        writer._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UserError, match=f"{path} is full"):
            writer.write(ev.Notice("info", "x" * 100_000))
    run = open_run(path)
    assert run.state == "interrupted"
    assert run.events()[-1].kind == "CheckpointReached"
    RecordWriter.resume(path).close()


def test_a_full_disk_at_the_start_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("hyperprune_lab.record.lock.os.fsync", no_space)
    with pytest.raises(UserError, match="is full"):
        RecordWriter.create(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        RecordWriter.create(tmp_path / "file" / "run")
