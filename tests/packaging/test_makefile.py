"""The few commands that a newcomer types."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    env.pop("MAKEFLAGS", None)
    return subprocess.run(["make", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_make_alone_lists_the_targets():
    done = make()
    assert done.returncode == 0
    for target in ("setup", "lab", "demo", "test"):
        assert f"make {target} " in done.stdout


def test_set_up_twice_does_nothing(tmp_path):
    installed = tmp_path / "venv" / ".installed"
    installed.parent.mkdir()
    installed.touch()
    done = make("-n", "setup", f"VENV={installed.parent}")
    assert "pip" not in done.stdout
    os.utime(installed, (0, 0))
    assert "pip install" in make("-n", "setup", f"VENV={installed.parent}").stdout


@pytest.mark.parametrize("target", ["lab", "demo", "test"])
def test_every_target_sets_up_first(tmp_path, target):
    done = make("-n", target, f"VENV={tmp_path}/venv")
    assert done.stdout.index("pip install") < done.stdout.index(
        f"{tmp_path}/venv/bin/", done.stdout.index("touch")
    )


def test_the_demo_compares_the_four_methods():
    planned = " ".join(make("-n", "demo").stdout.replace("\\\n", " ").split())
    command = (
        "hyperprune-lab compare --model demo --methods magnitude,wanda,sparsegpt,hyperprune "
        "--pattern 2:4 --budget quick --out runs/demo"
    )
    assert command in planned


def test_an_old_python_is_refused_with_the_way_out(tmp_path):
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\ncase "$1" in -V) echo Python 3.9.1;; *) exit 1;; esac\n')
    old.chmod(0o755)
    done = make("setup", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stdout
    assert not (tmp_path / "venv").exists()
