"""A causal language model, opened for pruning: checked, in evaluation mode, without gradients or cache.

Knows nothing about blocks or methods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from hyperprune_lab.errors import UserError
from hyperprune_lab.models.checkpoint import Checkpoint, read_checkpoint, read_config
from hyperprune_lab.models.locate import locate

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_DEVICES = ("cpu", "cuda", "mps", "xpu")
_CHECKED_AT_ONCE = 1 << 24
_CONTEXT_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
)
_CONTEXT_UNSAID = 2048


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A model with its tokenizer, where it came from, and what identifies it.

    ``context`` is the longest sequence in tokens. ``identity`` is plain JSON: ``name``, ``revision`` (the
    hub's commit or None), ``sha256`` of the weights with ``sha256_covers``, ``config_sha256``,
    ``architecture``, ``parameters`` (tied ones once), ``dtype``, ``stored_dtype``, ``attention``,
    ``unused_tensors`` (how many are stored that the architecture has no place for).
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    path: Path
    context: int
    identity: dict[str, Any]


def open_model(
    name: str,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    trust_remote_code: bool = False,
    attention: str | None = None,
) -> OpenModel:
    """Open the model ``name``: ``demo`` (the embedded one), a folder, or ``owner/model`` on the hub.

    ``dtype`` is ``float32``, ``bfloat16``, ``float16`` or ``float64``; None keeps the stored type, except on a
    CPU: float16 products are slower there by orders of magnitude and bfloat16 ones several times unless the
    processor multiplies them itself, so that a half type becomes the widest that is quick (see `quick_type`).
    ``attention`` is a back end of transformers (``eager``, ``sdpa``); None leaves the choice to it. Weights
    are read from safetensors only.

    Raises:
        UserError: there is no such model; its files are missing, damaged, pickled or quantized; weights are
            missing or not finite; it needs code of its own without ``trust_remote_code``; an unknown device,
            data type or attention back end.
    """
    place = _device(device)
    if dtype is not None and dtype not in DTYPES:
        raise UserError(f"There is no data type {dtype!r}: choose {', '.join(DTYPES)}.")
    folder, revision = locate(
        name, with_code=trust_remote_code, look=lambda small: read_config(small, trust_remote_code)
    )
    checkpoint = read_checkpoint(folder, trust_remote_code)
    if dtype is None:
        dtype = quick_type(checkpoint.stored_dtype, place)
    with quietly():
        config = model_config(folder, trust_remote_code)
        tokenizer = model_tokenizer(folder, trust_remote_code)
        model, unused = _model(checkpoint, config, DTYPES[dtype], trust_remote_code, attention)
    _require_finite(model, folder)
    model.config.use_cache = False
    model.eval().requires_grad_(False)
    try:
        model.to(place)  # type: ignore[arg-type]
    except torch.OutOfMemoryError:
        raise UserError(
            f"{name} does not fit into the memory of {device}: open it on the CPU, from where one block at a "
            "time is brought to the device."
        ) from None
    sha256, covers = checkpoint.digest()
    identity = {
        "name": name,
        "revision": revision,
        "sha256": sha256,
        "sha256_covers": covers,
        "config_sha256": hashlib.sha256((folder / "config.json").read_bytes()).hexdigest(),
        "architecture": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": dtype,
        "stored_dtype": checkpoint.stored_dtype,
        "attention": model.config._attn_implementation,
        "unused_tensors": unused,
    }
    return OpenModel(model, tokenizer, name, folder, context_of(model.config, tokenizer), identity)


def quick_type(stored: str, place: torch.device) -> str:
    """The stored type, or what replaces it where that would be slow (see ``open_model``)."""
    if place.type != "cpu" or stored not in ("float16", "bfloat16"):
        return stored
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def _device(name: str) -> torch.device:
    if name.partition(":")[0] not in _DEVICES:
        raise UserError(f"There is no device {name!r}: choose {', '.join(_DEVICES)}.")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = str(error).partition("\n")[0]
        raise UserError(f"The device {name!r} cannot be used here ({cause}): choose cpu.") from None
    return device


def model_config(folder: Path, trust_remote_code: bool) -> PreTrainedConfig:
    """The folder's configuration; raises ``UserError`` where it describes no model."""
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:
        # Whatever an unusual configuration makes the library raise: it is the input that must be mended.
        raise UserError(
            f"{folder / 'config.json'} describes no model ({type(error).__name__}: {_shortened(error)})"
        ) from error


def _model(
    checkpoint: Checkpoint,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    trust_remote_code: bool,
    attention: str | None,
) -> tuple[PreTrainedModel, int]:
    """The model, and how many stored tensors it has no use for."""
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
    except Exception as error:
        # The same boundary as for the configuration.
        raise UserError(
            f"{checkpoint.folder} could not be opened as a causal language model "
            f"({type(error).__name__}: {_shortened(error)})"
        ) from error
    model, report = loaded
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        weight, stored, expected = mismatched[0]
        raise UserError(
            f"{checkpoint.folder} stores {weight} as {list(stored)}, but its config.json asks for "
            f"{list(expected)}: the weights and the configuration do not belong together."
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            f"{checkpoint.folder} lacks {len(missing)} of the weights that its config.json asks for, such as "
            f"{missing[0]}: the weights and the configuration do not belong together, or files are missing."
        )
    return model, len(report["unexpected_keys"])


def model_tokenizer(folder: Path, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The folder's tokenizer; raises ``UserError`` where it has none that can read a text."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
        usable = len(tokenizer("a text")["input_ids"]) > 0
    except Exception as error:
        # The same boundary again.
        raise UserError(
            f"The tokenizer in {folder} could not be opened ({type(error).__name__}: {_shortened(error)})"
        ) from error
    if not usable:
        raise UserError(
            f"{folder} has no tokenizer that can read a text: put its tokenizer.json beside config.json."
        )
    return tokenizer


def _require_finite(model: PreTrainedModel, folder: Path) -> None:
    for name, parameter in model.named_parameters():
        # In pieces: a boolean for each number of a large embedding would double its memory.
        if not all(
            bool(piece.isfinite().all()) for piece in parameter.detach().flatten().split(_CHECKED_AT_ONCE)
        ):
            raise UserError(
                f"{folder}: the weight {name} holds NaN or infinite values, so nothing computed from it "
                "means anything. Fetch the model again; if it was stored like this, it is broken."
            )


def context_of(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest sequence in tokens, as the configuration says, else the tokenizer, else 2048."""
    said = (getattr(config.get_text_config(), name, None) for name in _CONTEXT_NAMES)
    positions = next((value for value in said if isinstance(value, int) and value > 0), None)
    # A tokenizer that knows no limit says so with an astronomical number.
    limit = tokenizer.model_max_length
    return positions or (int(limit) if 0 < limit < 1 << 24 else _CONTEXT_UNSAID)


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:297]}..."


@contextmanager
def quietly() -> Iterator[None]:
    """Keep the library's progress bars and reports off the screen: what matters is said in our own words."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
