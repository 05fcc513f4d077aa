"""The dense weights that a run started from, read row by row from the model's own safetensors files.

Needs no torch: bfloat16, which numpy does not have, is decoded here. Knows nothing about masks.

A run holds no weights of the dense model, so its folder has to be found: beside the project (the embedded
model), where it was when the run was made, in the Hugging Face cache, or where a person says. What is found is
compared with the record: shapes always, bytes where there are few enough to hash at once.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import EMBEDDED, data_folder, weight_files, weights_digest
from hyperprune_lab.record.reader import Run

HASHED_AT_ONCE_BYTES = 256 << 20

_ITEM_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_LARGEST_HEADER = 100_000_000
Index = slice | np.ndarray | int


@dataclass(frozen=True)
class StoredTensor:
    """Where a matrix lies: ``shape`` as stored, ``dtype`` as safetensors names it, ``offset`` in bytes."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, eq=False)
class Sources:
    """The weights behind a run's masks, or the reason why they are not here.

    ``folder`` is None in mask-only mode, and ``reason`` then says why and how to mend it. ``identity`` says how sure
    it is that these are the run's weights: ``same bytes``, ``same shapes`` (too large to hash unasked), or empty.
    """

    folder: Path | None
    reason: str
    identity: str
    stored: dict[str, StoredTensor]
    transposed: bool

    @property
    def available(self) -> bool:
        """False in mask-only mode."""
        return self.folder is not None

    def has(self, module: str) -> bool:
        """Whether this linear's weight can be read."""
        return module in self.stored

    def weight(
        self, module: str, rows: Index = slice(None), columns: Index = slice(None)
    ) -> Float[np.ndarray, "*window"]:
        """``W[rows, columns]`` in fp32; only the pages of the file that hold it are read.

        ``rows`` and ``columns`` index as in numpy, but an array may stand in only one of them.

        Raises:
            UserError: mask-only mode, or the files do not have this weight.
        """
        found = self.stored.get(module)
        if found is None:
            raise UserError(self.reason or f"{self.folder} stores no weight of {module[:120]!r}.")
        shape = found.shape
        raw = np.memmap(found.file, _ITEM_TYPES[found.dtype], "r", found.offset, shape)
        window = (raw.T if self.transposed else raw)[rows, columns]
        return decoded(np.asarray(window), found.dtype)

    def compare_bytes(self, run: Run) -> bool:
        """Whether the files are byte for byte those that the run was made from; reads all of them.

        Raises:
            UserError: mask-only mode.
        """
        if self.folder is None:
            raise UserError(self.reason)
        return weights_digest(weight_files(self.folder))[0] == run.started.get("model", {}).get("sha256")


def open_sources(run: Run, folder: Path | str | None = None) -> Sources:
    """Find the weights of the model that ``run`` pruned; ``folder`` says where they are now.

    Never fails: without weights, or with those of another model, the answer is in mask-only mode with the reason.
    """
    model = run.started.get("model", {})
    try:
        here = Path(folder).expanduser() if folder is not None else _folder_of(model)
        files = weight_files(here)
        stored, transposed = _linears_in(run, here, files)
        identity = _identity(here, files, model)
    except (UserError, OSError) as error:
        name = str(model.get("name", "unknown"))
        wanted = f"Without the weights of {name!r} only masks can be shown"
        return Sources(None, f"{wanted}. {error} Or say which folder holds them now.", "", {}, False)
    return Sources(here, "", identity, stored, transposed)


def decoded(raw: np.ndarray, dtype: str) -> Float[np.ndarray, "*shape"]:
    """Stored numbers as fp32; ``BF16`` comes as the 16 bits that are the upper half of a float32."""
    if dtype == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)


def _folder_of(model: dict[str, object]) -> Path:
    name = str(model.get("name") or "")
    if name == EMBEDDED:
        return data_folder() / "models" / EMBEDDED
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder
    revision = model.get("revision")
    if name.count("/") == 1 and isinstance(revision, str) and revision.isalnum():
        cached = _hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots" / revision
        if cached.is_dir():
            return cached
        raise UserError(f"This machine has no copy of {name} at commit {revision[:12]}.")
    raise UserError("The folder that the run names is not on this machine.")


def _hub_cache() -> Path:
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()


def _identity(folder: Path, files: tuple[Path, ...], model: dict[str, object]) -> str:
    if sum(path.stat().st_size for path in files) > HASHED_AT_ONCE_BYTES:
        return "same shapes"
    if weights_digest(files)[0] != model.get("sha256"):
        raise UserError(
            f"{folder} holds other weights than those that the run pruned (their digest differs)."
        )
    return "same bytes"


def _linears_in(run: Run, folder: Path, files: tuple[Path, ...]) -> tuple[dict[str, StoredTensor], bool]:
    """Every linear's stored matrix, and whether they are stored ``[in, out]``, as GPT-2's are."""
    tensors = {tensor.name: tensor for path in files for tensor in _header(path)}
    wanted = linears(run)
    stored: dict[str, StoredTensor] = {}
    ways: Counter[str] = Counter()
    for module, rows, columns in zip(
        wanted["module"], wanted["out_features"], wanted["in_features"], strict=True
    ):
        tensor = _named(tensors, module)
        if tensor is None or tensor.dtype not in _ITEM_TYPES:
            continue  # Some architectures fuse or rename weights while they are loaded.
        if tensor.shape not in ((rows, columns), (columns, rows)):
            raise UserError(
                f"{folder} is another model: {tensor.name} is {list(tensor.shape)} there, "
                f"the run pruned {module} as [{rows}, {columns}]."
            )
        stored[module] = tensor
        if rows != columns:
            ways["straight" if tensor.shape == (rows, columns) else "transposed"] += 1
    if not stored or len(ways) > 1:
        raise UserError(f"{folder} stores none of the weights that the run pruned under their names.")
    # Square matrices do not tell, but a model stores all of its linears the same way.
    return stored, "transposed" in ways


def _named(tensors: dict[str, StoredTensor], module: str) -> StoredTensor | None:
    """The module's weight; checkpoints of a base model lack the first parts of the name."""
    parts = module.split(".")
    numbered = next((place for place, part in enumerate(parts) if part.isdigit()), 0)
    for start in range(numbered + 1):
        found = tensors.get(".".join([*parts[start:], "weight"]))
        if found is not None:
            return found
    return None


def _header(path: Path) -> list[StoredTensor]:
    """The two-dimensional tensors of a safetensors file, checked against its size.

    Raises:
        UserError: it is none, or cut short.
    """
    tensors = []
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                raise ValueError("no header")
            header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__" or len(entry["shape"]) != 2:
                continue
            begin, end = entry["data_offsets"]
            rows, columns = entry["shape"]
            kind = entry["dtype"]
            item = np.dtype(_ITEM_TYPES[kind]).itemsize if kind in _ITEM_TYPES else None
            if not 0 <= begin <= end <= size - 8 - length or (item and rows * columns * item != end - begin):
                raise ValueError(f"{name} does not fit into the file")
            tensors.append(StoredTensor(path, name, kind, (rows, columns), 8 + length + begin))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is cut short or damaged ({str(error)[:200]}): fetch the model again."
        ) from None
    return tensors
