"""Named arrays in one safetensors file, written atomically and read with suspicion.

Knows nothing about what the arrays mean.

Writing streams array by array and hashes on the way: a block's weights are never held twice. The format
is that of safetensors: eight bytes of header length, a JSON header, the bytes of every array. Reading
goes through the safetensors library, after the file's size and digest were compared with what the
record says.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from hyperprune_lab.errors import UserError

_CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}
_LARGEST_AXIS = 1 << 40
_MOST_AXES = 16


@dataclass(frozen=True)
class Written:
    """Digest and size of a file as it was written."""

    sha256: str
    bytes: int


def write_tensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Written:
    """Write ``arrays`` to ``path`` so that the file is there whole or not at all, even if power fails.

    Raises:
        TypeError: an array is of a type that safetensors cannot hold.
        OSError: the disk is full, or the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    digest, size = hashlib.sha256(), 0
    try:
        with open(temporary, "wb") as file:
            for chunk in _chunks(arrays, metadata):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return Written(digest.hexdigest(), size)


def check_file(path: Path, sha256: str, size: int) -> None:
    """Compare a file with what the record says of it.

    Raises:
        UserError: it has another size or digest.
    """
    try:
        actual = path.stat().st_size
        if actual != size:
            raise UserError(f"{path} is damaged: it has {actual} bytes, the record says {size}.")
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if found != sha256:
        raise UserError(f"{path} is damaged: its digest is not the one in the record.")


def read_tensors(path: Path, prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays whose key begins with ``prefix``, and the file's metadata.

    Raises:
        UserError: not a valid safetensors file, or one with absurd shapes.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {}
            for key in file.keys():  # noqa: SIM118 - not a mapping
                shape = file.get_slice(key).get_shape()
                if len(shape) > _MOST_AXES or any(axis > _LARGEST_AXIS for axis in shape):
                    raise UserError(f"{path} is damaged: an array has the absurd shape {str(shape)[:80]}.")
                if key.startswith(prefix):
                    arrays[key] = file.get_tensor(key)
            return arrays, file.metadata() or {}
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise UserError(f"{path} is damaged: it is no valid safetensors file ({error}).") from error


def _chunks(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    # Wide types first, so that every array starts at a multiple of its own item size.
    keys = sorted(arrays, key=lambda key: (-np.asarray(arrays[key]).itemsize, key))
    offset = 0
    for key in keys:
        array = np.asarray(arrays[key])
        if array.dtype.name not in _CODES:
            raise TypeError(f"array {key!r} has type {array.dtype}, which cannot be recorded")
        header[key] = {
            "dtype": _CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for key in keys:
        array = np.asarray(arrays[key])
        little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        yield little_endian.reshape(-1).view(np.uint8).data


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; some file systems cannot, and then it is as durable as they are."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
