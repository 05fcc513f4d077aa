"""Readers need no torch; writers and plain readers need no pandas. Proved with the packages blocked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
"""

READ = """
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.verify import verify
from hyperprune_lab.record.export import export
run = open_run(sys.argv[1])
assert len(run.modules()) == 4 and run.mask(run.modules()["module"][0]).any()
assert verify(sys.argv[1]).sound
export(sys.argv[1], sys.argv[1] + "-export")
"""

WRITE = """
from tests.record.samples import all_events
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.record.store import Store
from hyperprune_lab.record.verify import verify
path = sys.argv[1] + "-written"
with RecordWriter.create(path) as writer:
    for event in all_events():
        writer.write(event)
assert Store(path).state == "finished" and verify(path).sound
"""


@pytest.mark.parametrize(
    ("blocked", "script"),
    [
        ({"torch", "transformers"}, READ),
        ({"torch", "transformers", "pandas", "pyarrow", "matplotlib", "IPython", "ipywidgets"}, WRITE),
    ],
    ids=["read without torch", "write without pandas and torch"],
)
def test_works_with_packages_blocked(finished_run, blocked, script):
    command = [sys.executable, "-c", BLOCKED.format(blocked=blocked) + script, str(finished_run)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
