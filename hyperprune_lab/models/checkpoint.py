"""A model's folder on disk, checked before anything is loaded from it.

Knows the files and what they claim to hold; knows nothing about modules.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import CONFIG_MAPPING
from transformers import __version__ as transformers_version
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import weight_files, weights_digest

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose configuration and safetensors files were found sound.

    ``stored_dtype`` is the type of most of the weights: ``float32``, ``bfloat16``, ``float16`` or
    ``float64``.
    """

    folder: Path
    config: dict[str, Any]
    files: tuple[Path, ...]
    stored_dtype: str

    def digest(self) -> tuple[str, str]:
        """SHA-256 of the weights and what it covers: see ``weights_digest``."""
        return weights_digest(self.files)


def read_config(folder: Path, trust_remote_code: bool) -> dict[str, Any]:
    """The model's ``config.json``, if it describes a causal language model that can be pruned.

    Raises:
        UserError: it is missing or no JSON, asks for code of its own without permission, is quantized, or its
            model type is unknown or no causal language model.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"{folder} has no config.json, so it is no model's folder: name the folder that holds it."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): fetch the model again.") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise UserError(f"{path} names no model_type, so nothing says how to build the model.")
    # Checkpoints that carry code from before the library knew their kind run on the library's own code.
    if kind not in CONFIG_MAPPING and not (config.get("auto_map") and trust_remote_code):
        if config.get("auto_map"):
            raise UserError(
                f"{folder} asks to run Python code of its own (auto_map in config.json). If you trust its "
                "author, allow that with trust_remote_code; otherwise choose another model."
            )
        raise UserError(f"{path}: transformers {transformers_version} does not know the model type {kind!r}.")
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        if part.get("quantization_config"):
            method = part["quantization_config"].get("quant_method", "quantized")
            raise UserError(
                f"{folder} holds quantized weights ({method}), which cannot be pruned: "
                "choose the checkpoint in bfloat16, float16 or float32 that it was made from."
            )
    known = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or config.get("auto_map")
    if not known or config.get("is_encoder_decoder"):
        raise UserError(
            f"{folder} is a {kind} model, not a causal language model: only these can be pruned here."
        )
    return config


def read_checkpoint(folder: Path, trust_remote_code: bool = False) -> Checkpoint:
    """Check the folder's configuration and the headers and sizes of its safetensors files.

    Raises:
        UserError: whatever ``read_config`` finds; the weights are missing, pickled, cut short or damaged.
    """
    config = read_config(folder, trust_remote_code)
    files = weight_files(folder)
    elements: Counter[str] = Counter()
    for path in files:
        elements += _elements_by_type(path)
    floating = {name: count for name, count in elements.items() if name in _DTYPES}
    if not floating or max(elements, key=elements.__getitem__) not in floating:
        raise UserError(
            f"{folder} stores its weights as {', '.join(sorted(elements)) or 'nothing'}: "
            "only float32, float16, bfloat16 and float64 can be pruned."
        )
    stored_dtype = _DTYPES[max(floating, key=floating.__getitem__)]
    return Checkpoint(folder, config, files, stored_dtype)


def _elements_by_type(path: Path) -> Counter[str]:
    """How many numbers of each type a safetensors file holds, by its header, which must fit its size."""
    with path.open("rb") as file:
        if file.read(7) == b"version":
            raise UserError(
                f"{path} is a Git LFS pointer, not the weights: run git lfs pull, or fetch the model again."
            )
    elements: Counter[str] = Counter()
    try:
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - the handle is no mapping
                part = tensors.get_slice(name)
                elements[part.get_dtype()] += prod(part.get_shape())
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is cut short or damaged ({error}): fetch the model again.") from None
    return elements
