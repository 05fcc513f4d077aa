"""Weights come back as the model stores them, or the reason why they do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hyperprune_lab.analysis import sources
from hyperprune_lab.analysis.sources import decoded, open_sources
from hyperprune_lab.errors import UserError
from tests.analysis.worlds import World, name_of

Q, UP = name_of(0, "self_attn.q_proj"), name_of(2, "mlp.up_proj")


def stored_as(world: World, folder: Path, change) -> Path:
    """The model's tensors after ``change``, in a folder of their own."""
    folder.mkdir()
    tensors = load_file(world.model / "model.safetensors")
    save_file(
        {name: tensor.contiguous() for name, tensor in change(tensors).items()}, folder / "model.safetensors"
    )
    return folder


@pytest.fixture
def unhashed(monkeypatch):
    monkeypatch.setattr(sources, "HASHED_AT_ONCE_BYTES", 0)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=200))
def test_every_bfloat16_is_decoded_bit_by_bit(bits):
    raw = np.array(bits, np.uint16)
    expected = torch.from_numpy(raw.view(np.int16).copy()).view(torch.bfloat16).float().numpy()
    assert (decoded(raw, "BF16").view(np.uint32) == expected.view(np.uint32)).all()


def test_the_recorded_folder_is_found_and_known_by_its_bytes(world: World):
    found = open_sources(world.run)
    assert (found.available, found.reason, found.identity, found.transposed) == (
        True,
        "",
        "same bytes",
        False,
    )
    for module, weight in world.weights.items():
        assert (found.weight(module) == weight).all()
    assert (found.weight(UP, slice(3, 7), slice(8, 12)) == world.weights[UP][3:7, 8:12]).all()
    assert (found.weight(UP, np.array([9, 2])) == world.weights[UP][[9, 2]]).all()
    assert (found.weight(UP, 4, slice(4, 8)) == world.weights[UP][4, 4:8]).all()
    assert found.weight(UP).dtype == np.float32
    assert found.compare_bytes(world.run)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.usefixtures("unhashed")
def test_other_types_and_transposed_linears_are_read_too(world: World, tmp_path: Path, dtype):
    folder = stored_as(world, tmp_path / "m", lambda all_: {name: t.to(dtype).T for name, t in all_.items()})
    found = open_sources(world.run, folder)
    assert (found.identity, found.transposed) == ("same shapes", True)
    np.testing.assert_allclose(
        found.weight(Q, slice(2, 5), slice(4, 8)), world.weights[Q][2:5, 4:8], rtol=1e-3
    )
    assert not found.compare_bytes(world.run)


@pytest.mark.usefixtures("unhashed")
def test_names_without_the_first_part_are_those_of_a_base_model(world: World, tmp_path: Path):
    folder = stored_as(
        world, tmp_path / "m", lambda all_: {name.removeprefix("model."): t for name, t in all_.items()}
    )
    assert (open_sources(world.run, folder).weight(UP) == world.weights[UP]).all()


@pytest.mark.usefixtures("unhashed")
def test_a_tensor_of_the_same_last_name_elsewhere_is_not_taken(world: World, tmp_path: Path):
    def change(all_):
        return {("mlp.up_proj.weight" if name == f"{UP}.weight" else name): t for name, t in all_.items()}

    found = open_sources(world.run, stored_as(world, tmp_path / "m", change))
    assert not found.has(UP)
    with pytest.raises(UserError, match=r"stores no weight of 'model\.layers\.2\.mlp\.up_proj'"):
        found.weight(UP)
    assert (found.weight(Q) == world.weights[Q]).all()


@pytest.mark.usefixtures("unhashed")
def test_shards_are_followed(world: World, tmp_path: Path):
    tensors = load_file(world.model / "model.safetensors")
    names = sorted(tensors)
    shards = {"model-1-of-2.safetensors": names[:4], "model-2-of-2.safetensors": names[4:]}
    for file, some in shards.items():
        save_file({name: tensors[name] for name in some}, tmp_path / file)
    weight_map = {name: file for file, some in shards.items() for name in some}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    found = open_sources(world.run, tmp_path)
    assert all((found.weight(module) == weight).all() for module, weight in world.weights.items())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: shutil.rmtree(folder), "has no weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 4), "cut short or damaged"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes((1 << 60).to_bytes(8, "little") * 4),
            "cut short",
        ),
        (lambda folder: cut(folder / "model.safetensors"), "cut short or damaged"),
        (lambda folder: flip(folder / "model.safetensors"), "other weights than those that the run pruned"),
    ],
)
def test_what_is_not_the_model_ends_in_mask_only_mode_with_the_reason(
    world: World, tmp_path: Path, spoil, reason
):
    folder = shutil.copytree(world.model, tmp_path / "m")
    spoil(folder)
    found = open_sources(world.run, folder)
    assert not found.available
    assert not found.has(UP)
    assert reason in found.reason
    assert "say which folder" in found.reason
    with pytest.raises(UserError, match="only masks can be shown"):
        found.weight(UP)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.usefixtures("unhashed")
def test_a_model_of_other_shapes_is_refused_by_name(world: World, tmp_path: Path):
    folder = stored_as(
        world,
        tmp_path / "m",
        lambda all_: {n: torch.zeros(7, 16) if "q_proj" in n else t for n, t in all_.items()},
    )
    found = open_sources(world.run, folder)
    assert not found.available
    assert "is another model" in found.reason
    assert "[12, 16]" in found.reason


@pytest.mark.parametrize("revision", [None, "f" * 40, "../../etc"])
def test_a_hub_model_is_looked_for_in_the_cache_only(world: World, tmp_path: Path, monkeypatch, revision):
    run = world.run
    started = run.started
    monkeypatch.setattr(
        type(run),
        "started",
        property(
            lambda _: {**started, "model": {**started["model"], "name": "owner/tiny", "revision": revision}}
        ),
    )
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert not open_sources(run).available
    shutil.copytree(world.model, tmp_path / "models--owner--tiny" / "snapshots" / ("f" * 40))
    assert open_sources(run).available == (revision == "f" * 40)
