"""Parquet and safetensors for other tools."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from safetensors import safe_open

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.export import export
from hyperprune_lab.record.masks import masks_digest, read_masks
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.verify import verify
from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import MODULES, module_name, started


def test_tables_and_masks_are_exported(finished_run, tmp_path):
    files = export(finished_run, tmp_path / "out")
    assert {file.name for file in files} == {file.name for file in (tmp_path / "out").iterdir()}
    run = open_run(finished_run)
    metrics = pd.read_parquet(tmp_path / "out" / "metrics.parquet")
    assert metrics["value"].equals(run.metrics()["value"])
    assert list(pd.read_parquet(tmp_path / "out" / "modules.parquet")["module"]) == list(
        run.modules()["module"]
    )
    inputs = pd.read_parquet(tmp_path / "out" / "inputs.parquet")
    assert json.loads(inputs["modules"][0]) == [module_name(0, local) for local in MODULES]
    assert len(pd.read_parquet(tmp_path / "out" / "events.parquet")) == run.last_seq
    exported = read_masks(tmp_path / "out" / "masks.safetensors")
    assert masks_digest(exported.items()) == verify(finished_run).sha256
    with safe_open(tmp_path / "out" / "masks.safetensors", framework="numpy") as file:
        described = json.loads(file.metadata()["masks"])
    assert described[module_name(0, MODULES[0])] == {"pattern": "2:4", "shape": [6, 20]}


def test_a_run_that_has_barely_begun_can_be_exported(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        assert len(export(tmp_path / "run", tmp_path / "out")) == 8
    with pytest.raises(UserError, match="exists"):
        export(tmp_path / "run", tmp_path / "out")
