"""Recorded runs to read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.record.samples import all_events

from hyperprune_lab.record.writer import RecordWriter


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    with RecordWriter.create(tmp_path / "run") as writer:
        for event in all_events():
            writer.write(event)
    return tmp_path / "run"
