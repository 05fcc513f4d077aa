"""Bit-packed masks: one file for a block's modules, and one digest for a whole run's.

Knows nothing about who decided the masks, or when.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern, pack, unpack
from hyperprune_lab.record.layout import escape, unescape
from hyperprune_lab.record.tensors import Written, read_tensors, write_tensors

_METADATA_KEY = "masks"


@dataclass(frozen=True)
class PackedMask:
    """A mask as it lies on disk: eight weights a byte, ``packed[out, ceil(in / 8)]``."""

    pattern: NMPattern
    in_features: int
    packed: UInt8[np.ndarray, "out bytes"]

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "out in"], pattern: str) -> PackedMask:
        return cls(NMPattern.parse(pattern), mask.shape[1], pack(mask))

    @property
    def shape(self) -> tuple[int, int]:
        """``(out, in)`` of the mask."""
        return self.packed.shape[0], self.in_features

    def unpack(self) -> Bool[np.ndarray, "out in"]:
        """The mask, true where a weight is kept.

        Raises:
            UserError: the bytes do not fit the shape.
        """
        return unpack(self.packed, self.in_features)


def write_masks(path: Path, masks: Mapping[str, PackedMask]) -> Written:
    """Write masks by module name; pattern and shape of each stand in the file's metadata."""
    described = {
        escape(name): {"pattern": str(mask.pattern), "shape": list(mask.shape)}
        for name, mask in masks.items()
    }
    arrays = {escape(name): mask.packed for name, mask in masks.items()}
    return write_tensors(path, arrays, {_METADATA_KEY: json.dumps(described, sort_keys=True)})


def read_masks(path: Path, module: str | None = None) -> dict[str, PackedMask]:
    """The masks in a file by module name, or only ``module``'s.

    Raises:
        UserError: the file is no mask file, or its description does not fit its arrays.
    """
    prefix = "" if module is None else escape(module)
    arrays, metadata = read_tensors(path, prefix)
    masks = {}
    try:
        described = json.loads(metadata[_METADATA_KEY])
        for key, packed in arrays.items():
            if module is not None and key != prefix:
                continue
            rows, in_features = described[key]["shape"]
            pattern = NMPattern.parse(described[key]["pattern"])
            pattern.require(in_features, unescape(key), rows)
            if packed.dtype != np.uint8 or packed.shape != (rows, -(-in_features // 8)):
                raise ValueError(f"{unescape(key)} does not have the shape it claims")
            if in_features % 8 and (packed[:, -1] >> (in_features % 8)).any():
                raise ValueError(f"{unescape(key)} has bits set beyond its width")
            masks[unescape(key)] = PackedMask(pattern, in_features, packed)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, UserError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return masks


def masks_digest(masks: Iterable[tuple[str, PackedMask]]) -> str:
    """SHA-256 of all masks, sorted by module name; each adds name, pattern, shape and packed bytes.

    Two runs have the same digest exactly if they decided the same masks for the same modules.
    """
    digest = hashlib.sha256()
    for name, mask in sorted(masks, key=lambda item: item[0]):
        rows, in_features = mask.shape
        # The description is JSON on a line of its own, so that no name can imitate another field.
        digest.update(json.dumps([name, str(mask.pattern), rows, in_features]).encode("ascii") + b"\n")
        digest.update(np.ascontiguousarray(mask.packed).tobytes())
    return digest.hexdigest()
