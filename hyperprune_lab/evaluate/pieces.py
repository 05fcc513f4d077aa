"""The text of every token, so that whoever has no tokenizer can still show which words a model failed at.

Knows nothing about losses. Texts are bytes in UTF-8 and numbers: nothing that a page or a table could take for markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int, Int32, UInt8
from torch import Tensor
from transformers import PreTrainedTokenizerBase

_UNFINISHED = "\ufffd"
_LONGEST_WAIT = 8
"""After so many tokens without a whole character, what is there is shown."""


def token_pieces(
    tokenizer: PreTrainedTokenizerBase, ids: Int[Tensor, "windows window"]
) -> tuple[UInt8[np.ndarray, " bytes"], Int32[np.ndarray, "windows window"]]:
    """The text of all windows as bytes, and where each token's part of it ends.

    A token's part begins where the one before it ends (the first at 0). It is empty where the token only begins a
    character that a later one completes.
    """
    known: dict[tuple[int, ...], str] = {}

    def decoded(some: tuple[int, ...]) -> str:
        if some not in known:
            text = tokenizer.decode(list(some), skip_special_tokens=False, clean_up_tokenization_spaces=False)
            known[some] = str(text)
        return known[some]

    text, ends = bytearray(), np.zeros(tuple(ids.shape), dtype=np.int32)
    for row, window in enumerate(ids.tolist()):
        for column, piece in enumerate(_pieces(window, decoded)):
            text += piece.encode("utf-8", "replace")
            ends[row, column] = len(text)
    return np.frombuffer(bytes(text), dtype=np.uint8), ends


def _pieces(ids: Sequence[int], decoded: Callable[[tuple[int, ...]], str]) -> Iterator[str]:
    """What each token adds to the text. A token is read with those before it: alone it may lose its space, or be
    half a character.
    """
    before, done = 0, 0
    for place in range(len(ids)):
        old, new = decoded(tuple(ids[before:done])), decoded(tuple(ids[before : place + 1]))
        last = place + 1 == len(ids)
        if len(new) > len(old) and (last or place - done >= _LONGEST_WAIT or not new.endswith(_UNFINISHED)):
            yield new[len(old) :]
            before, done = done, place + 1
        else:
            yield ""
