"""What is written is what is read: every event, scalar, mask and array."""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import fields
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.tensors import read_tensors, write_tensors
from hyperprune_lab.record.values import decode, encode
from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import MODULES, STAGES, all_events, make_mask, module_name, started


def as_read(value):
    """Tuples come back as lists, half surrogates spelled out."""
    if isinstance(value, dict):
        return {key: as_read(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_read(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def same(left, right) -> bool:
    """Equality in which NaN equals itself."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def test_the_sample_has_every_event():
    missing = {kind.__name__ for kind in get_args(ev.Event)} - {
        type(event).__name__ for event in all_events()
    }
    assert missing == {"RunStopped", "RunFailed"}


def test_every_event_comes_back_in_order(finished_run):
    written = list(all_events())
    read = open_run(finished_run).events()
    assert [event.kind for event in read] == [type(event).__name__ for event in written]
    assert [event.seq for event in read] == list(range(1, len(written) + 1))
    assert [event.time for event in read] == sorted(event.time for event in read)
    for before, after in zip(written, read, strict=True):
        known = {"stage": after.stage, "block": after.block, "step": after.step, **after.payload}
        known |= {"values": after.scalars} if after.kind == "StepMeasured" else {"scalars": after.scalars}
        subject = {
            "ModuleDecided": "module",
            "ModuleMeasured": "module",
            "InputMeasured": "input",
            "EvaluationFinished": "subject",
        }
        known |= {subject[after.kind]: after.subject} if after.kind in subject else {}
        for entry in fields(before):
            value = getattr(before, entry.name)
            if after.kind == "CheckpointReached" and entry.name == "state":
                continue  # a finished run keeps no checkpoint
            if entry.name not in ("arrays", "mask", "weights"):
                assert same(known[entry.name], as_read(value)), (after.kind, entry.name)


def test_masks_and_arrays_come_back_by_stage_and_moment(finished_run):
    run = open_run(finished_run)
    decided = [event for event in all_events() if isinstance(event, ev.ModuleDecided)]
    for event in decided:
        assert np.array_equal(run.mask(event.module, stage=event.stage), event.mask)
        arrays = run.evidence("module", event.module, stage=event.stage)
        assert ("shares" in arrays) == event.module.endswith(MODULES[1])
        assert np.array_equal(arrays["row_errors"], event.arrays["row_errors"])
    name = module_name(1, MODULES[1])
    first = next(event.seq for event in run.events(kinds=("ModuleDecided",)) if event.subject == name)
    assert np.array_equal(run.mask(name), make_mask(111))
    assert np.array_equal(run.mask(name, as_of=first), make_mask(11))
    with pytest.raises(UserError, match="no such mask"):
        run.mask(name, as_of=first - 1)
    with pytest.raises(UserError, match="Did you mean"):
        run.mask(name + "x")


def test_the_other_arrays_come_back(finished_run):
    run = open_run(finished_run)
    inputs = run.evidence("input", "model.layers.0.input", stage="layerwise")
    assert inputs["rms"].dtype == np.float32
    assert np.array_equal(inputs["gram"], np.eye(4)[None])
    assert np.array_equal(run.evidence("block", 1)["histogram"], np.arange(6))
    assert run.evidence("evaluation", ("mask-only", "story"))["token_losses"].shape == (2, 3)
    assert run.evidence("evaluation", ("dense", "story")) == {}
    assert run.evidence("module", "nothing") == {}
    assert run.weights(1)["model.layers.1.input_layernorm.weight"].tolist() == [1.0] * 20
    assert run.weights(7) == {}
    arrays, network_settings = run.network()
    assert arrays["embedding"].dtype == np.float16
    assert network_settings == {"hidden": 32}


def test_a_finished_run_is_one_plain_database_without_checkpoints(finished_run):
    run = open_run(finished_run)
    assert run.state == "finished"
    assert run.checkpoint() is None
    assert run.result["dense_ppl"] == math.inf
    beside = sorted(path.name for path in finished_run.iterdir() if path.is_file())
    assert beside == ["run.sqlite"]
    assert list((finished_run / "checkpoint").iterdir()) == []
    assert (finished_run / "run.sqlite").read_bytes()[18:20] == b"\x01\x01"  # no write-ahead log needed
    with pytest.raises(UserError, match="finished"):
        RecordWriter.resume(finished_run)


def test_tables_hold_one_row_per_thing(finished_run):
    run = open_run(finished_run)
    modules = run.modules()
    assert list(modules["module"]) == [module_name(block, local) for block in range(2) for local in MODULES]
    assert set(modules["stage"]) == {"global"}
    assert not modules["provisional"].any()
    assert list(modules["seed"]) == [100, 101, 110, 111]
    assert run.modules("layerwise")["provisional"].all()
    halfway = run.modules(as_of=int(modules["seq"].min()) - 1)
    assert set(halfway["stage"]) == {"layerwise"}
    metrics = run.metrics("layerwise", 1)
    assert list(metrics[metrics["name"] == "loss"]["value"]) == [1.0, 1 / 2, 1 / 3]
    assert metrics[metrics["name"] == "entropy"]["value"].isna().all()
    assert run.metrics("global")["block"].isna().all()
    assert list(run.inputs()["modules"][0]) == [module_name(0, local) for local in MODULES]
    assert list(run.blocks("global")["block"]) == [0, 1]
    assert list(run.evaluations()["state"]) == ["mask-only", "dense"]
    assert math.isnan(run.evaluations()["perplexity"][1])
    assert len(run.coverage()) == 4


def test_the_forgetting_matrix_is_square_with_the_final_row_below(finished_run):
    matrix = open_run(finished_run).forgetting("changed")
    expected = pd.DataFrame([[0.0, np.nan], [0.0, 0.1], [0.5, 0.25]], index=[0, 1, -1])
    assert np.array_equal(matrix.to_numpy(), expected.to_numpy(), equal_nan=True)
    assert list(matrix.index) == [0, 1, -1]
    assert open_run(finished_run).forgetting("unknown").isna().all(axis=None)


def test_a_run_that_has_barely_begun_has_empty_tables_with_columns(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        run = open_run(tmp_path / "run")
        assert run.state == "running"
        assert run.result is None
        for table, column in ((run.modules(), "module"), (run.metrics(), "value"), (run.inputs(), "modules")):
            assert table.empty
            assert column in table.columns
        assert run.forgetting("changed").shape == (0, 0)
        assert run.network() is None
    assert run.state == "interrupted"


def test_a_module_decided_twice_before_its_block_ends_keeps_both_masks(tmp_path):
    name = module_name(0, MODULES[0])
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        seqs = []
        for seed in (1, 2):
            arrays = {"seed": np.array(seed)}
            seqs.append(writer.write(ev.ModuleDecided("s", 0, name, "2:4", make_mask(seed), {}, arrays)))
        writer.write(ev.BlockFinished("s", 0, 1.0, 1))
        writer.write(ev.RunStopped("asked to"))
    run = open_run(tmp_path / "run")
    assert run.state == "stopped"
    assert np.array_equal(run.mask(name, as_of=seqs[0]), make_mask(1))
    assert np.array_equal(run.mask(name), make_mask(2))
    assert run.evidence("module", name, as_of=seqs[0])["seed"] == 1
    assert run.evidence("module", name)["seed"] == 2


def test_measurements_belong_to_the_decision_before_them(tmp_path):
    name = module_name(0, MODULES[0])
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        moments = []
        for seed, stage in enumerate(("first", "second")):
            arrays = {"own": np.array(seed), "shared": np.array(seed)}
            writer.write(
                ev.ModuleDecided(stage, 0, name, "2:4", make_mask(seed), {"error": float(seed)}, arrays)
            )
            writer.write(ev.BlockFinished(stage, 0, 1.0, 1))
            measured = {"total": 10.0 + seed}
            audit = f"audit {stage}"
            writer.write(ev.ModuleMeasured(audit, 0, name, measured, {"shared": np.array(10 + seed)}))
            writer.write(ev.ModuleMeasured(audit, 0, name, {}, {"shared": np.array(20 + seed)}))
            moments.append(writer.write(ev.BlockFinished(audit, 0, 1.0, 1)))
    run = open_run(tmp_path / "run")
    assert run.modules().iloc[0][["error", "total"]].tolist() == [1.0, 11.0]
    assert run.modules("first").iloc[0][["error", "total"]].tolist() == [0.0, 10.0]
    assert run.modules(as_of=moments[0]).iloc[0][["error", "total"]].tolist() == [0.0, 10.0]
    assert {key: int(value) for key, value in run.evidence("module", name).items()} == {
        "own": 1,
        "shared": 21,
    }
    early = run.evidence("module", name, as_of=moments[0])
    assert {key: int(value) for key, value in early.items()} == {"own": 0, "shared": 20}


def test_nothing_is_written_after_the_end(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        writer.write(ev.RunFailed("no such file", "UserError"))
        with pytest.raises(RuntimeError, match="failed"):
            writer.write(ev.RunPaused())
    assert open_run(tmp_path / "run").state == "failed"


def test_steps_wait_a_moment_at_most(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("hyperprune_lab.record.writer.time.monotonic", lambda: clock[0])
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        run = open_run(tmp_path / "run")
        for step, now in enumerate((0.1, 0.2, 0.3)):
            assert len(run.metrics()) == 0
            clock[0] = now
            writer.write(ev.StepMeasured("s", 0, step, 9, {"loss": 1.0}))
        assert len(run.metrics()) == 3
        writer.write(ev.StepMeasured("s", 0, 3, 9, {"loss": 1.0}))
        writer.write(ev.RunPaused())
        assert len(run.metrics()) == 4


def test_the_output_directory_must_be_new(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="exists"):
        RecordWriter.create(tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_without_a_write_ahead_log_the_record_says_so_and_works(tmp_path, monkeypatch):
    monkeypatch.setattr("hyperprune_lab.record.schema._file_system", lambda path: "nfs4")
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(started())
        run = open_run(tmp_path / "run")
        assert [event.kind for event in run.events()] == ["RunStarted", "Notice"]
        assert "write-ahead" in run.events()[-1].payload["message"]
        assert not (tmp_path / "run" / "run.sqlite-wal").exists()
        writer.write(ev.StageStarted("layerwise", 2))
        assert run.last_seq == 3
    assert RecordWriter.resume(tmp_path / "run").resumption.starts_over


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("$float"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(plain_values)
def test_values_survive_json(value):
    text = encode(value)
    assert "NaN" not in text.replace('"NaN"', "")
    assert same(decode(text, "here"), as_read(value))


@pytest.mark.parametrize("value", [np.zeros(3), {1: 2}, object(), {"a": {2}}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize("text", ["NaN", "{", '{"$float": "x"}', '{"$float": []}', "[" * 100_000, "9" * 5000])
def test_foreign_json_is_damage(text):
    with pytest.raises(UserError, match="here is damaged"):
        decode(text, "here")


@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">f4", ">i2"]
)
def test_arrays_of_every_type_and_shape_round_trip(tmp_path, dtype):
    base = np.arange(24).reshape(2, 3, 4).astype(dtype)
    arrays = {
        "whole": base,
        "strided": base[:, ::2].T,
        "scalar": base[1, 1, 1],
        "empty": base[:0],
        "__metadata__x": np.zeros(3, np.uint8),
    }
    written = write_tensors(tmp_path / "x.safetensors", arrays, {"note": "é"})
    read, metadata = read_tensors(tmp_path / "x.safetensors")
    assert metadata == {"note": "é"}
    assert written.bytes == (tmp_path / "x.safetensors").stat().st_size
    for name, array in arrays.items():
        assert read[name].shape == np.shape(array)
        assert read[name].dtype == np.asarray(array).dtype.newbyteorder("=")
        assert np.array_equal(read[name], array)


def test_arrays_of_no_known_type_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(TypeError, match="complex"):
        write_tensors(tmp_path / "x.safetensors", {"a": np.zeros(1, complex)}, {})
    assert list(tmp_path.iterdir()) == []


def test_stages_are_those_of_the_run(finished_run: Path):
    assert open_run(finished_run).started["stages"] == STAGES
    with sqlite3.connect(finished_run / "run.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
