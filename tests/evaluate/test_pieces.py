"""The text of every token: together the text that was read, cut where the tokens are."""

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from hyperprune_lab.evaluate.pieces import token_pieces
from tests.architectures import tiny_tokenizer

HOSTILE = "<script>alert(1)</script> costs 5 $ & “more”"


def cut(tokenizer, *texts):
    rows = [tokenizer(text)["input_ids"] for text in texts]
    shortest = min(map(len, rows))
    ids = torch.tensor([row[:shortest] for row in rows])
    text, ends = token_pieces(tokenizer, ids)
    flat, starts = ends.ravel().tolist(), [0, *ends.ravel().tolist()[:-1]]
    whole = text.tobytes()
    pieces = [whole[start:end].decode() for start, end in zip(starts, flat, strict=True)]
    return ids, whole.decode(), [pieces[at : at + shortest] for at in range(0, len(pieces), shortest)]


@pytest.mark.parametrize(
    "text", ["Anna's 3 red kites flew.\n\nOver\tthe hill", HOSTILE, "café Ω 日本 🙂🙂 end"]
)
def test_pieces_joined_are_the_text_that_was_read(text):
    tokenizer = tiny_tokenizer()
    ids, whole, ((*pieces,),) = cut(tokenizer, text)
    decoded = tokenizer.decode(ids[0].tolist(), clean_up_tokenization_spaces=False)
    assert "".join(pieces) == whole == decoded
    assert len(pieces) == ids.shape[1]


def test_every_window_is_cut_by_itself():
    tokenizer = tiny_tokenizer()
    one, other = "The last stars were fading over the hill", "A lighthouse is a tower with a strong lamp"
    _, _, (first, second) = cut(tokenizer, one, other)
    assert one.startswith("".join(first))
    assert other.startswith("".join(second))
    alone = cut(tokenizer, other)[2][0]
    assert second == alone[: len(second)]


def test_a_character_of_several_tokens_stands_with_the_one_that_completes_it():
    class Halves(PreTrainedTokenizerBase):
        """Two ids make one character; a third never becomes one."""

        def __init__(self):
            pass

        def decode(self, ids, **_):
            return bytes({0: 0xC3, 1: 0xA9, 2: 0x41, 3: 0xFF}[token] for token in ids).decode(
                "utf-8", "replace"
            )

    text, ends = token_pieces(Halves(), torch.tensor([[2, 0, 1, 2], [2, 3, 3, 3]]))
    assert ends[0].tolist() == [1, 1, 3, 4]
    assert text.tobytes()[:4].decode() == "AéA"
    assert ends[1, -1] == len(text) == 4 + 1 + 3 * len("\ufffd".encode())
