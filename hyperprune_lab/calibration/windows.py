"""Calibration windows: tokenized documents joined with EOS, cut to one length, chosen by seed.

Knows nothing about models beyond the length of their context.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperprune_lab.calibration.config import CalibrationConfig
from hyperprune_lab.calibration.sources import Source, open_source
from hyperprune_lab.calibration.tokens import encode, ids_digest, pieces, tokenizer_identity
from hyperprune_lab.errors import UserError

DEFAULT_WINDOW = 2048
# A fixed text is read up to this many times the tokens needed, so that seeds have different windows to
# choose from.
POOL = 4


@dataclass(frozen=True, eq=False)
class Calibration:
    """Windows to fit on, windows held out, and what identifies them: source, choice, digests (plain JSON)."""

    fit: Int[Tensor, "fit window"]
    heldout: Int[Tensor, "heldout window"]
    identity: dict[str, Any]

    @property
    def notice(self) -> str | None:
        """What a person should know: the text had fewer windows than were asked for."""
        asked, found = self.identity["samples"], self.identity["samples_found"]
        if found >= asked:
            return None
        return (
            f"{self.identity['source']} has only {found} windows of {self.identity['window']} tokens; "
            f"{asked} were asked for."
        )


def choose_window(window: int | None, context: int) -> int:
    """The asked window, or the smaller of 2048 and the context; UserError where it exceeds the context."""
    if window is None:
        return min(DEFAULT_WINDOW, context)
    if window > context:
        raise UserError(
            f"a window of {window} tokens exceeds the model's context of {context}; ask for less."
        )
    return window


def load_calibration(
    config: CalibrationConfig, tokenizer: PreTrainedTokenizerBase, context: int, seed: int
) -> Calibration:
    """Read no more text than needed, and choose ``config.samples`` windows of it by ``seed``.

    A fixed text is read up to `POOL` times the tokens needed, from its beginning; the project's own text
    exactly as far as needed. Documents are tokenized without special tokens and joined with EOS (with
    nothing where the tokenizer has none); windows do not overlap and the tail is dropped. Raises UserError where the
    window exceeds the context or the text has not one window; fewer windows than asked for are accepted and
    show in ``notice``.
    """
    window = choose_window(config.window, context)
    source = open_source(config.text, seed)
    needed = config.samples * window
    ids, read = _read(source, tokenizer, needed if source.seeded else POOL * needed)
    available = len(ids) // window
    if not available:
        raise UserError(
            f"{source.name} has {len(ids)} tokens, shorter than one window of {window}. Give a longer text, "
            "or ask for a shorter window."
        )
    windows = torch.tensor(ids[: available * window], dtype=torch.long).view(available, window)
    order = torch.randperm(available, generator=torch.Generator().manual_seed(seed))
    chosen = windows[order[: config.samples]]
    found = len(chosen)
    heldout = _heldout_windows(found, config.holdout)
    identity = {
        "source": source.name,
        **source.details,
        **read,
        "seed": seed,
        "samples": config.samples,
        "samples_found": found,
        "heldout": heldout,
        "window": window,
        "tokens": chosen.numel(),
        "separator": tokenizer.eos_token_id,
        "tokenizer": tokenizer_identity(tokenizer),
        "ids_sha256": ids_digest(chosen),
    }
    return Calibration(fit=chosen[heldout:], heldout=chosen[:heldout], identity=identity)


def _heldout_windows(windows: int, share: float) -> int:
    """At least one where there are two windows, never all of them, none where the share is 0."""
    return min(max(1, round(windows * share)), windows - 1) if share > 0 else 0


def _read(source: Source, tokenizer: PreTrainedTokenizerBase, limit: int) -> tuple[list[int], dict[str, Any]]:
    """Token ids from the source's beginning, at least ``limit`` if it has so many, and what was read."""
    ids: list[int] = []
    digest, characters, documents = hashlib.sha256(), 0, 0
    for text, ends_document in source.open():
        for piece in pieces(text):
            ids += encode(tokenizer, piece)
            digest.update(piece.encode())
            characters += len(piece)
            if len(ids) >= limit:
                break
        else:
            if ends_document:
                documents += 1
                digest.update(b"\0")
                if tokenizer.eos_token_id is not None:
                    ids.append(tokenizer.eos_token_id)
        if len(ids) >= limit:
            break
    return ids, {"text_sha256": digest.hexdigest(), "characters": characters, "documents": documents}
