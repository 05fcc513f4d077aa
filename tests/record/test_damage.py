"""Damaged, foreign and hostile records: a message that names the file, never a traceback, never a way out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.layout import escape, slug, unescape
from hyperprune_lab.record.masks import PackedMask, masks_digest, read_masks, write_masks
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.verify import verify
from hyperprune_lab.record.writer import RecordWriter
from tests.record.samples import MODULES, make_mask, module_name, started

HOSTILE = [
    "<script>alert(1)</script>",
    "../../../etc/passwd",
    "/absolute",
    "nul\0byte",
    "x" * 5000,
    "half \ud800 pair",
    "__metadata__",
    "",
    "Ümlaut ☃",
    "a'; DROP TABLE event; --",
]


def read_everything(path: Path) -> None:
    run = open_run(path)
    run.events()
    run.metrics()
    run.inputs()
    run.evaluations()
    run.blocks()
    run.forgetting("changed")
    run.network()
    run.weights(0)
    for module in run.modules()["module"]:
        run.mask(module)
        run.evidence("module", module)


def change(path: Path, statement: str, *values) -> None:
    connection = sqlite3.connect(path / "run.sqlite")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("stage_is_hostile", [False, True])
def test_hostile_names_stay_text(tmp_path, stage_is_hostile):
    path = tmp_path / "run"
    with RecordWriter.create(path) as writer:
        writer.write(started())
        for block, name in enumerate(HOSTILE):
            stage = name if stage_is_hostile else "s"
            arrays = {name: np.array(block)}
            writer.write(ev.InputMeasured(stage, block, name, (name,), {name: 1.0}, arrays))
            writer.write(ev.ModuleDecided(stage, block, name, "2:4", make_mask(block), {name: 2.0}, arrays))
            writer.write(ev.BlockFinished(stage, block, 1.0, 1, {}, arrays))
            writer.write(ev.NetworkSaved(stage, arrays, {name: name}))
            writer.write(ev.WeightsChanged(stage, block, arrays))
    run = open_run(path)
    read = [name.encode("utf-8", "backslashreplace").decode() for name in HOSTILE]
    assert list(run.modules()["module"]) == read
    for block, name in enumerate(read):
        assert np.array_equal(run.mask(name), make_mask(block))
        assert list(run.evidence("module", name).values()) == [block]
        assert list(run.evidence("input", name).values()) == [block]
        assert list(run.weights(block)) == [HOSTILE[block]]
    verification = verify(path)
    assert verification.damaged == []
    assert verification.groups == len(read) * 30
    inside = {file.resolve() for file in path.rglob("*")}
    assert all(path.resolve() in file.parents for file in inside)
    assert not [file for file in tmp_path.iterdir() if file != path]


def test_names_become_harmless_keys_and_files():
    names = [*HOSTILE, "%", "%5F_metadata__", "a/b"]
    keys = [escape(name) for name in names]
    assert len(set(keys)) == len(names)
    assert [unescape(key) for key in keys] == names
    for stage in HOSTILE:
        assert not {"/", ".", "\0"} & set(slug(stage))
        assert 0 < len(slug(stage)) < 100
    assert slug("layerwise") == "layerwise"
    assert slug("a b") != slug("a_b")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_database_is_named(finished_run, share):
    database = finished_run / "run.sqlite"
    database.write_bytes(database.read_bytes()[: int(share * database.stat().st_size)])
    for action in (read_everything, verify, RecordWriter.resume):
        with pytest.raises(UserError, match=r"run\.sqlite|empty record"):
            action(finished_run)


def test_a_database_with_a_broken_page_is_damage_everywhere(finished_run):
    database = finished_run / "run.sqlite"
    data = bytearray(database.read_bytes())
    data[4096 * 2 : 4096 * 3] = os.urandom(4096)
    database.write_bytes(data)
    with pytest.raises(UserError, match=r"run\.sqlite"):
        read_everything(finished_run)


def test_noise_is_not_a_run(tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        open_run(tmp_path / "nothing")
    with pytest.raises(UserError, match="not a run"):
        open_run(tmp_path)
    (tmp_path / "run.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match="damaged"):
        open_run(tmp_path)
    (tmp_path / "run.sqlite").unlink()
    with sqlite3.connect(tmp_path / "run.sqlite") as connection:
        connection.execute("CREATE TABLE event (x)")
    with pytest.raises(UserError, match="no record"):
        open_run(tmp_path)
    (tmp_path / "run.sqlite").unlink()
    (tmp_path / "run.sqlite").mkdir()
    with pytest.raises(UserError, match="no plain file"):
        open_run(tmp_path)


def test_a_newer_version_asks_for_an_update(finished_run):
    change(finished_run, "PRAGMA user_version = 2")
    for action in (open_run, verify, RecordWriter.resume):
        with pytest.raises(UserError, match=r"newer version.*update"):
            action(finished_run)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE event ADD COLUMN extra TEXT",
        "DROP TABLE metric",
        "CREATE TABLE other (x)",
    ],
)
def test_foreign_tables_are_refused(finished_run, statement):
    change(finished_run, statement)
    with pytest.raises(UserError, match="tables"):
        open_run(finished_run)


def test_a_huge_cell_is_refused(finished_run, monkeypatch):
    monkeypatch.setattr("hyperprune_lab.record.schema.LARGEST_CELL_BYTES", 10_000)
    change(finished_run, "UPDATE event SET payload = ? WHERE seq = 1", "x" * 20_000)
    with pytest.raises(UserError, match=r"run\.sqlite"):
        open_run(finished_run).events()


@pytest.mark.parametrize(
    "payload", ["[]", "{}", '{"shape": 3}', '{"after": "x", "blocks": 1e99}', "\x00", "{" * 5000]
)
def test_events_with_other_fields_are_damage(finished_run, payload):
    change(finished_run, "UPDATE event SET payload = ? WHERE kind <> 'RunStarted'", payload)
    with pytest.raises(UserError, match=r"run\.sqlite is damaged"):
        read_everything(finished_run)


def test_an_absurd_number_of_blocks_does_not_become_a_matrix(finished_run):
    change(finished_run, "UPDATE event SET payload = ? WHERE kind = 'StageStarted'", '{"blocks": 1000000000}')
    with pytest.raises(UserError, match="damaged"):
        open_run(finished_run).forgetting("changed")


@pytest.mark.parametrize("folder", ["masks", "evidence"])
@pytest.mark.parametrize("harm", ["flip", "cut", "delete", "link"])
def test_a_damaged_file_is_named_and_the_rest_stays_readable(finished_run, folder, harm):
    victim = finished_run / folder / "global-001.safetensors"
    data = victim.read_bytes()
    match harm:
        case "flip":
            victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "cut":
            victim.write_bytes(data[:-7])
        case "delete":
            victim.unlink()
        case "link":
            shutil.copy(victim, finished_run.parent / "outside")
            victim.unlink()
            victim.symlink_to(finished_run.parent / "outside")
    run = open_run(finished_run)
    assert np.array_equal(run.mask(module_name(0, MODULES[0])), make_mask(100))
    read = run.mask if folder == "masks" else lambda name: run.evidence("module", name)
    with pytest.raises(UserError, match=r"global-001\.safetensors"):
        read(module_name(1, MODULES[0]))
    verification = verify(finished_run)
    assert not verification.sound
    assert any("global-001.safetensors" in text for text in verification.damaged)


def test_a_folder_that_is_a_link_is_refused(finished_run):
    shutil.move(finished_run / "masks", finished_run.parent / "elsewhere")
    (finished_run / "masks").symlink_to(finished_run.parent / "elsewhere")
    with pytest.raises(UserError, match="link"):
        open_run(finished_run).mask(module_name(0, MODULES[0]))


def test_a_database_that_is_a_link_is_refused(finished_run):
    shutil.move(finished_run / "run.sqlite", finished_run.parent / "elsewhere.sqlite")
    (finished_run / "run.sqlite").symlink_to(finished_run.parent / "elsewhere.sqlite")
    with pytest.raises(UserError, match="link"):
        open_run(finished_run)


@pytest.mark.parametrize(
    "path", ["../outside.safetensors", "/etc/passwd", "masks/../../x.safetensors", "masks/.x.safetensors"]
)
def test_paths_never_leave_the_directory(finished_run, path):
    change(finished_run, "UPDATE artefact SET path = ? WHERE path = 'masks/global-000.safetensors'", path)
    with pytest.raises(UserError, match="outside its own folders"):
        open_run(finished_run).mask(module_name(0, MODULES[0]))


def replace_file(run: Path, name: str, new: Path) -> None:
    """Put another file in place and make the record vouch for it."""
    shutil.move(new, run / name)
    data = (run / name).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    change(run, "UPDATE artefact SET sha256 = ?, bytes = ? WHERE path = ?", digest, len(data), name)


def test_wrong_masks_are_counted(finished_run, tmp_path):
    name = module_name(0, MODULES[0])
    wrong = make_mask(100)
    wrong[0, :4] = True
    wrong[3, 8:12] = False
    masks = {
        name: PackedMask.of(wrong, "2:4"),
        module_name(0, MODULES[1]): PackedMask.of(make_mask(101), "2:4"),
    }
    write_masks(tmp_path / "new", masks)
    replace_file(finished_run, "masks/global-000.safetensors", tmp_path / "new")
    verification = verify(finished_run)
    assert verification.violations == 2
    assert verification.groups == 4 * 6 * 5
    assert verification.damaged == []


def test_a_missing_module_is_damage(finished_run, tmp_path):
    write_masks(tmp_path / "new", {module_name(0, MODULES[0]): PackedMask.of(make_mask(100), "2:4")})
    replace_file(finished_run, "masks/global-000.safetensors", tmp_path / "new")
    assert any(MODULES[1] in text for text in verify(finished_run).damaged)
    change(finished_run, "DELETE FROM event WHERE subject = ?", module_name(1, MODULES[0]))
    assert any("no mask was recorded" in text for text in verify(finished_run).damaged)


def test_another_shape_than_recorded_is_damage(finished_run, tmp_path):
    masks = {module_name(0, local): PackedMask.of(make_mask(1, rows=5), "2:4") for local in MODULES}
    write_masks(tmp_path / "new", masks)
    replace_file(finished_run, "masks/global-000.safetensors", tmp_path / "new")
    assert any("says otherwise" in text for text in verify(finished_run).damaged)


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"a": {"pattern": "4:2", "shape": [2, 8]}},
        {"a": {"pattern": "2:4", "shape": [3, 8]}},
        {"a": {"pattern": "2:4", "shape": [2, 10**18]}},
        {"a": {"pattern": "2:4", "shape": "x"}},
        {"a": {"pattern": "3:7", "shape": [2, 8]}},
        {"a": {"pattern": "2:4", "shape": [2, -8]}},
        [],
    ],
)
def test_mask_files_with_absurd_descriptions_are_refused(tmp_path, described):
    save_file({"a": np.zeros((2, 1), np.uint8)}, tmp_path / "x", {"masks": json.dumps(described)})
    with pytest.raises(UserError, match="damaged"):
        read_masks(tmp_path / "x")["a"].unpack()


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff" * 8, b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}", b"\x02" + b"\0" * 7 + b"{}"],
)
def test_files_that_are_no_safetensors_are_refused(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_masks(tmp_path / "x")


def test_the_digest_depends_on_everything_and_on_nothing_else():
    mask = make_mask(0, rows=4, width=16)
    base = [("a", PackedMask.of(mask, "2:4")), ("b", PackedMask.of(make_mask(1), "2:4"))]
    digest = masks_digest(base)
    assert masks_digest(reversed(base)) == digest
    flipped = mask.copy()
    flipped[3, 12:] = ~flipped[3, 12:]
    others = [
        [("c", base[0][1]), base[1]],
        [("a", PackedMask.of(mask, "4:8")), base[1]],
        [("a", PackedMask.of(mask.reshape(2, 32), "2:4")), base[1]],
        [("a", PackedMask.of(flipped, "2:4")), base[1]],
        base[:1],
    ]
    assert len({digest, *(masks_digest(other) for other in others)}) == 6
