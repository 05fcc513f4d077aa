"""Where a model's name leads: the embedded model, a folder, or a download from the Hugging Face Hub.

Knows nothing about what is inside the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import EMBEDDED, data_folder, weight_files

_DESCRIPTION_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
_WEIGHT_FILES = ["model.safetensors", "model-*-of-*.safetensors"]
_PATIENCE_SECONDS = 10.0


def locate(name: str, with_code: bool, look: Callable[[Path], object]) -> tuple[Path, str | None]:
    """The folder that holds the model ``name``, and its commit if it comes from the hub.

    ``name`` is ``demo``, a folder, or ``owner/model`` on the hub. Of a hub model the small files come first,
    and ``look`` may refuse them before the weights are downloaded; Python files come only ``with_code``.

    Raises:
        UserError: no such model, or the hub cannot be reached and has left no copy here.
    """
    folder = _here(name)
    if folder is not None:
        return folder, None
    small = _DESCRIPTION_FILES + (["*.py"] if with_code else [])
    look(_fetch(name, small))
    folder = _fetch(name, small + _WEIGHT_FILES)
    return folder, folder.name


def locate_description(name: str, with_code: bool) -> tuple[Path, bool]:
    """The folder with what describes the model ``name``, and whether its weights lie there too.

    Of a hub model only the small files are downloaded. Raises ``UserError`` as :func:`locate` does.
    """
    folder = _here(name)
    if folder is not None:
        return folder, True
    folder = _fetch(name, _DESCRIPTION_FILES + (["*.py"] if with_code else []))
    try:
        return folder, bool(weight_files(folder))
    except UserError:
        return folder, False  # not yet downloaded, or not yet whole


def _here(name: str) -> Path | None:
    """The folder of a model that needs no download; None for the name of a hub model."""
    if name == EMBEDDED:
        folder = data_folder() / "models" / EMBEDDED
        if not folder.is_dir():
            raise UserError(
                f"The embedded model is not in {folder}: train it with python -m hyperprune_lab.demo.train, "
                "or name another model."
            )
        return folder
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    ways_out = (
        f"name a folder that holds config.json and safetensors, a hub model as owner/name, or {EMBEDDED!r}, "
        "the embedded one"
    )
    if folder.is_file():
        raise UserError(f"{name} is a file, not a model's folder: {ways_out}.")
    # Nothing else can be a hub name, so there is no reason to ask the network and wait.
    if name.count("/") != 1 or name.startswith((".", "~", "/")) or name.endswith("/") or "\\" in name:
        raise UserError(f"There is no model {name!r}, for there is no such folder: {ways_out}.")
    return None


def _fetch(name: str, patterns: Sequence[str]) -> Path:
    """The local copy of a hub model's files that match; what is in the cache is not loaded again."""
    try:
        return Path(
            snapshot_download(
                name, allow_patterns=list(patterns), ignore_patterns=["*/*"], etag_timeout=_PATIENCE_SECONDS
            )
        )
    except GatedRepoError:
        raise UserError(
            f"{name} is gated: accept its license on https://huggingface.co/{name}, then log in with "
            "hf auth login."
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise UserError(
            f"There is no model {name!r}: there is no such folder, and the hub knows none of this name "
            "(or it is private: hf auth login)."
        ) from None
    except LocalEntryNotFoundError:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        cause = "HF_HUB_OFFLINE forbids asking the hub" if offline else "the hub cannot be reached"
        way_out = "unset HF_HUB_OFFLINE" if offline else "connect to the network"
        raise UserError(
            f"There is no model {name!r} here: there is no such folder, {cause}, and no earlier download is "
            f"kept. {way_out[0].upper()}{way_out[1:]}, or download the model elsewhere and name its folder."
        ) from None
    except Exception as error:
        # The client's transport errors have no common base that it makes public.
        raise UserError(
            f"{name} could not be downloaded ({type(error).__name__}: {error}). "
            "Try again: what has arrived is kept."
        ) from error
