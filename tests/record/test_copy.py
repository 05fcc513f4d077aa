"""A finished run taken elsewhere."""

from __future__ import annotations

import pytest

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.copy import copy_record
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.verify import verify
from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import started


def files(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_whole_copy_is_the_same_files_and_says_where_it_lies(finished_run, tmp_path):
    copied = copy_record(finished_run, tmp_path / "deep" / "copy")
    here, there = files(copied), files(finished_run)
    assert here.keys() == there.keys()
    assert {name for name in here if here[name] != there[name]} <= {"run.sqlite"}
    assert open_run(copied).result == open_run(finished_run).result | {"run": str(copied)}


def test_a_copy_without_weights_verifies_and_shows_everything_else(finished_run, tmp_path):
    assert open_run(finished_run).weights(0)
    copied = copy_record(finished_run, tmp_path / "copy", weights=False)
    assert verify(copied) == verify(finished_run)
    here, there = open_run(copied), open_run(finished_run)
    assert here.modules().equals(there.modules())
    assert here.metrics().equals(there.metrics())
    assert not here.weights(0)
    assert not (copied / "weights").exists()
    gone = set(files(finished_run)) - set(files(copied))
    assert gone == {name for name in files(finished_run) if name.startswith("weights/")}


def test_an_unfinished_run_a_taken_name_and_a_damaged_file_are_refused(finished_run, tmp_path):
    with RecordWriter.create(tmp_path / "begun") as writer:
        writer.write(started())
        with pytest.raises(UserError, match="running"):
            copy_record(tmp_path / "begun", tmp_path / "copy")
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="exists"):
        copy_record(finished_run, tmp_path / "taken")
    whole = copy_record(finished_run, tmp_path / "whole")
    mask = next((whole / "masks").iterdir())
    mask.write_bytes(mask.read_bytes()[:-1])
    with pytest.raises(UserError, match=mask.name):
        copy_record(whole, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == []
