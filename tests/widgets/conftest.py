"""Tiny recorded runs to look at, one finished and one in the making; and the wire to the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperprune_lab.events import Event
from hyperprune_lab.record.reader import Run
from hyperprune_lab.record.writer import RecordWriter
from tests.widgets import tinyrun
from tests.widgets.wire import wire

__all__ = ["wire"]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of three blocks, to read only."""
    return tinyrun.write_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[RecordWriter, Iterator[Event], Run]]:
    """Writer, remaining events and reader of a run of which only ``RunStarted`` is written."""
    writer, stream, run = tinyrun.live_run(tmp_path / "live")
    yield writer, stream, run
    writer.close()
