"""Nothing that a test does ends up in anybody's progress."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_progress(monkeypatch, tmp_path):
    monkeypatch.setenv("HYPERPRUNE_LAB_PROGRESS", str(tmp_path / "progress" / "file.json"))
