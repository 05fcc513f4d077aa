"""Every notebook runs from top to bottom in its time and gives the numbers that are saved in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyperprune_lab.teaching.build import ENVIRONMENT, SECONDS
from hyperprune_lab.teaching.notebook import named_notebooks

ROOT = Path(__file__).parents[2]
SANITIZE = Path(__file__).with_name("sanitize.cfg")
STARTING_SECONDS = 60
"""For interpreters and imports, on a machine that does other things as well."""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + STARTING_SECONDS + 10)
@pytest.mark.parametrize("path", named_notebooks([]), ids=lambda path: path.stem)
def test_a_notebook_gives_what_is_saved_in_it(path):
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-q"),
        *("--nbval", "--nbval-current-env", f"--nbval-cell-timeout={SECONDS}"),
        f"--nbval-sanitize-with={SANITIZE}",
        str(path.relative_to(ROOT)),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=SECONDS + STARTING_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
