"""The package's front door: names on demand, and runs by a short name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import hyperprune_lab
from hyperprune_lab import runs
from hyperprune_lab.errors import UserError
from tests.widgets import tinyrun


def test_names_are_made_on_demand():
    assert hyperprune_lab.open_run.__name__ == "open_run"
    assert hyperprune_lab.ModelMap.__name__ == "ModelMap"
    assert {"open_run", "Lab", "ModelMap"} <= set(dir(hyperprune_lab))
    with pytest.raises(AttributeError, match="no attribute 'Modelmap'"):
        _ = hyperprune_lab.Modelmap


def test_the_examples_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERPRUNE_LAB_DATA", str(tmp_path))
    with pytest.raises(UserError, match="holds none"):
        runs.example()
    tinyrun.write_run(tmp_path / "runs" / "hyperprune", tinyrun.Tiny(blocks=1))
    assert runs.example().state == "finished"
    with pytest.raises(UserError, match=r"no example run '\.\./x'\. There are: hyperprune"):
        runs.example("../x")


def test_the_newest_run_of_a_folder(tmp_path: Path):
    with pytest.raises(UserError, match="no run in"):
        runs.latest(tmp_path)
    for age, name in ((100, "old"), (10, "new"), (50, "middle")):
        run = tinyrun.write_run(tmp_path / name, tinyrun.Tiny(blocks=1))
        database = run.directory.database
        moment = database.stat().st_mtime - age
        os.utime(database, (moment, moment))
    assert runs.latest(tmp_path).directory.root.name == "new"


def test_a_new_run_gets_a_folder_of_its_own_in_the_project_around(tmp_path: Path):
    notebooks = tmp_path / "project" / "notebooks"
    notebooks.mkdir(parents=True)
    assert runs.home_of_runs(notebooks) == notebooks / "runs"
    (tmp_path / "project" / "pyproject.toml").touch()
    assert runs.home_of_runs(notebooks) == tmp_path / "project" / "runs"
    first = runs.new_folder(tmp_path, "wanda", "2:4")
    assert re.fullmatch(r"\d{8}-\d{6}-wanda-2of4", first.name)
    first.mkdir()
    assert runs.new_folder(tmp_path, "wanda", "2:4") != first
