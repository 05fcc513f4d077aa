"""The embedded model's tokenizer: byte-level BPE, 4096 tokens, one special token.

Knows nothing about where its training text comes from or which model reads its tokens.

Choices: the only special token is ``<|end|>``; it ends every document and serves as BOS, EOS and padding.
Encoding adds no special tokens by default (as GPT-2 does), so a text's tokens are the same wherever it
stands in a stream; who wants the "start of a document" context puts ``<|end|>`` in front. Digits are single
tokens, so that counting is spelled the same way for every number. Any text round-trips: there is no
normalization and no unknown token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hyperprune_lab.errors import UserError

END = "<|end|>"
VOCABULARY = 4096
_BYTES = 256


def train_tokenizer(
    texts: Iterable[str], vocabulary: int = VOCABULARY, context: int = 256
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on ``texts``; ``<|end|>`` is token 0, and the vocabulary holds all 256 bytes.

    ``context`` is the model's window in tokens, kept in the tokenizer's configuration. The same texts in the
    same order give the same tokenizer. Raises ``UserError`` if ``vocabulary`` has no room for the bytes, or
    if the texts are too few to fill it.
    """
    if vocabulary <= _BYTES + 1:
        raise UserError(
            f"a vocabulary of {vocabulary} has no room for {_BYTES} bytes and {END}; ask for more"
        )
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    if core.get_vocab_size() != vocabulary:
        raise UserError(
            f"the texts gave {core.get_vocab_size()} tokens instead of {vocabulary}; "
            "give more text or ask for fewer tokens"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: str | Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` into ``folder``."""
    path = Path(folder)
    tokenizer.save_pretrained(str(path))
    config = path / "tokenizer_config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    # The name that every transformers release with fast tokenizers knows.
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer saved in ``folder``; raises ``UserError`` where there is none."""
    path = Path(folder)
    if not (path / "tokenizer.json").is_file():
        raise UserError(
            f"{path} holds no tokenizer.json; make one with `python -m hyperprune_lab.demo.corpus`"
        )
    return PreTrainedTokenizerFast.from_pretrained(str(path))


def encode_plain(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Token ids of ``text`` without any special token around it."""
    # The core, since the wrapper warns about every text that is longer than the model's window.
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
