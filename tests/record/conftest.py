"""Recorded runs to read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import all_events


@pytest.fixture(scope="session")
def _written_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "run"
    with RecordWriter.create(path) as writer:
        for event in all_events():
            writer.write(event)
    return path


@pytest.fixture
def finished_run(_written_once: Path, tmp_path: Path) -> Path:
    """A finished run of one's own, to read or to damage."""
    return shutil.copytree(_written_once, tmp_path / "run")
