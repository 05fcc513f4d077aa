"""Folders that are read from beside the code: the project's data, and the weight files of a model.

Knows file names only, neither models nor runs; needs nothing but the standard library, so that a machine without
torch finds them too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import hyperprune_lab
from hyperprune_lab.errors import UserError

EMBEDDED = "demo"
DATA_VARIABLE = "HYPERPRUNE_LAB_DATA"
LARGEST_HASHED_BYTES = 2 << 30

_CHUNK_BYTES = 1 << 22
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def data_folder() -> Path:
    """The checkout's ``data`` folder, or the one that the environment variable HYPERPRUNE_LAB_DATA names.

    Raises:
        UserError: there is none.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = (
        Path(named).expanduser() if named else Path(hyperprune_lab.__file__).resolve().parents[1] / "data"
    )
    if folder.is_dir():
        return folder
    if named:
        raise UserError(
            f"{DATA_VARIABLE} names {named}, which is no folder: let it name the checkout's data folder."
        )
    raise UserError(
        "The project's data folder is not beside the installed package: install from a checkout "
        f"(pip install -e .), or let the environment variable {DATA_VARIABLE} name its data folder."
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that make up the model in ``folder``, in the order of their names.

    Raises:
        UserError: there are none, some are missing, or the index of shards is damaged or leads outside the folder.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if not index.is_file():
        pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
        if pickled:
            raise UserError(
                f"{folder} has its weights only in {pickled[0]}, a pickle, which runs code when it is opened "
                "and is refused. Convert it to safetensors where you trust it (load it with transformers, "
                "then call save_pretrained), or choose a checkpoint that has them."
            )
        raise UserError(
            f"{folder} has no weights: model.safetensors is missing (or its shards with their index)."
        )
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise UserError(f"{index} is damaged: fetch the model again.") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise UserError(f"{index} names a file outside its folder ({name}): do not trust this model.")
        if not (folder / name).is_file():
            raise UserError(f"{folder} lacks {name}, which its index names: fetch the model again.")
    return tuple(folder / name for name in names)


def weights_digest(files: Sequence[Path]) -> tuple[str, str]:
    """SHA-256 over the weight files, one after the other by name, and what it covers.

    For a single file it is what ``sha256sum`` prints. A file over 2 GiB enters with its size and its header
    only (names, types, shapes), which the second value says.
    """
    total = hashlib.sha256()
    large = 0
    for path in files:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > LARGEST_HASHED_BYTES:
                large += 1
                length = file.read(8)
                total.update(str(size).encode() + length + file.read(int.from_bytes(length, "little")))
                continue
            while chunk := file.read(_CHUNK_BYTES):
                total.update(chunk)
    covers = (
        "all bytes" if not large else f"size and header of {large} files over 2 GiB, all bytes of the others"
    )
    return total.hexdigest(), covers
