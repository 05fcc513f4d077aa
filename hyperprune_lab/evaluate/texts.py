"""Evaluation texts by domain, and their windows in the field's protocol.

Knows nothing about models: texts and token ids only.

The embedded texts lie in ``data/eval`` of the checkout, one file a domain. Protocol: the whole text is
tokenized once, with the special tokens that the tokenizer adds by default, cut into windows that do not
overlap, and the tail is dropped (GPTQ, SparseGPT and Wanda measure so).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import hyperprune_lab
from hyperprune_lab.calibration.sources import c4_rows, file_pieces, text_file, wikitext_rows
from hyperprune_lab.calibration.tokens import encode, ids_digest, text_digest, tokenizer_identity
from hyperprune_lab.errors import UserError

# Which embedded domains are close to what the embedded model and its calibration text are made of.
IN_DOMAIN = ("story", "dialogue", "ledger")
OUT_OF_DOMAIN = ("encyclopedia", "narrative")

C4_DOCUMENTS, C4_WINDOWS = 1100, 256


@dataclass(frozen=True, eq=False)
class EvaluationWindows:
    """The windows of one domain, and what identifies them (plain JSON)."""

    domain: str
    ids: Int[Tensor, "windows window"]
    identity: dict[str, Any]

    def first(self, windows: int) -> EvaluationWindows:
        """The first ``windows`` of them, identified as such; all of them where there are no more."""
        ids = self.ids[:windows]
        own = {"windows": len(ids), "tokens": ids.numel(), "ids_sha256": ids_digest(ids)}
        return EvaluationWindows(self.domain, ids, self.identity | own)


def evaluation_texts(text: str | None = None) -> dict[str, str]:
    """Texts by domain.

    None: the embedded ones. ``"wikitext2"``: the test split, rows joined by two line ends; ``"c4"``: the
    first 1100 documents of the first validation shard, joined by a space. Else a file, one domain named by
    its stem; the documents of a ``.jsonl`` are joined by two line ends. Raises UserError where nothing is
    found.
    """
    if text is None:
        return embedded_texts()
    if text == "wikitext2":
        return {text: "\n\n".join(wikitext_rows("test"))}
    if text == "c4":
        return {text: " ".join(islice(c4_rows("validation"), C4_DOCUMENTS))}
    path = text_file(text)
    pieces = file_pieces(path)
    return {path.stem: "".join(piece + "\n\n" * ends for piece, ends in pieces).removesuffix("\n\n")}


def embedded_texts(folder: Path | None = None) -> dict[str, str]:
    """The texts of ``data/eval``, by file stem in alphabetical order; UserError where there are none."""
    folder = folder or Path(hyperprune_lab.__file__).parents[1] / "data" / "eval"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}
    if not texts:
        raise UserError(
            "the embedded evaluation texts (data/eval/*.txt) are not here: they come with a checkout of the "
            "project. Install it from one with pip install -e, or name a text of your own with --eval-text."
        )
    return texts


def evaluation_windows(
    texts: Mapping[str, str], tokenizer: PreTrainedTokenizerBase, window: int
) -> tuple[EvaluationWindows, ...]:
    """Each domain's text in windows of ``window`` tokens.

    Raises UserError where a text is shorter than one window, or ``window`` has no position to predict.
    """
    if window < 2:
        raise UserError(f"an evaluation window of {window} tokens: at least 2 are needed.")
    return tuple(_cut(domain, text, tokenizer, window) for domain, text in texts.items())


def _cut(domain: str, text: str, tokenizer: PreTrainedTokenizerBase, window: int) -> EvaluationWindows:
    ids = encode(tokenizer, text, special_tokens=True)
    windows = len(ids) // window
    if not windows:
        raise UserError(
            f"the evaluation text {domain} has {len(ids)} tokens, shorter than one window of {window}. Give "
            "a longer text, or ask for a shorter window."
        )
    if domain == "c4":
        windows = min(windows, C4_WINDOWS)
    cut = torch.tensor(ids[: windows * window], dtype=torch.long).view(windows, window)
    identity = {
        "text": domain,
        "text_sha256": text_digest(text),
        "window": window,
        "windows": windows,
        "tokens": cut.numel(),
        "dropped_tokens": len(ids) - cut.numel(),
        "bos": tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id,
        "tokenizer": tokenizer_identity(tokenizer),
        "ids_sha256": ids_digest(cut),
    }
    return EvaluationWindows(domain, cut, identity)
