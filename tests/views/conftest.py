"""A tiny recorded run to draw."""

from __future__ import annotations

import pytest

from hyperprune_lab.record.reader import Run
from tests.widgets import tinyrun


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of three blocks, to read only."""
    return tinyrun.write_run(tmp_path_factory.mktemp("runs") / "tiny")
