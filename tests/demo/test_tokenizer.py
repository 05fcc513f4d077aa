"""The tokenizer gives every text back and says nothing that was not asked for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hyperprune_lab.demo.tokenizer import END, encode_plain, load_tokenizer, save_tokenizer, train_tokenizer
from hyperprune_lab.demo.world import stories
from hyperprune_lab.errors import UserError


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(stories(0, 400), vocabulary=600)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(encode_plain(tokenizer, text), clean_up_tokenization_spaces=False) == text


def test_default_encoding_adds_no_special_token(tokenizer):
    ids = tokenizer("Anna has two cups.").input_ids
    assert ids == encode_plain(tokenizer, "Anna has two cups.")
    assert tokenizer.eos_token_id not in ids


def test_end_is_token_zero_and_serves_as_every_special_token(tokenizer):
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 0, 0)
    assert encode_plain(tokenizer, f"a{END}b")[1] == 0


def test_digits_stand_alone(tokenizer):
    assert len(encode_plain(tokenizer, "1987")) == 4


def test_saved_tokenizer_opens_as_any_other(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    text = "Where is the cup? It is in the garden."
    for again in (load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(str(tmp_path))):
        assert again(text).input_ids == tokenizer(text).input_ids
        assert again.eos_token == END


def test_the_same_texts_give_the_same_tokenizer(tokenizer):
    again = train_tokenizer(stories(0, 400), vocabulary=600)
    assert again.get_vocab() == tokenizer.get_vocab()


def test_impossible_requests_are_refused(tmp_path):
    with pytest.raises(UserError, match="no room"):
        train_tokenizer(["some text"], vocabulary=100)
    with pytest.raises(UserError, match="more text"):
        train_tokenizer(["some text"], vocabulary=4096)
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
