"""Packing is deterministic and honest about what is held out; a short run learns and leaves a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from hyperprune_lab.demo import corpus
from hyperprune_lab.demo.tokenizer import encode_plain, save_tokenizer, train_tokenizer
from hyperprune_lab.demo.train import (
    ModelShape,
    TokenSampler,
    TrainConfig,
    block_gains,
    build_model,
    make_loss,
    rate_at,
    train,
)
from hyperprune_lab.demo.world import stories
from hyperprune_lab.errors import UserError

SHAPE = ModelShape(vocabulary=512, hidden=32, layers=2, heads=2, intermediate=48, context=32)


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(stories(0, 300), vocabulary=512, context=32), folder)
    return folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory, tokenizer_dir):
    out = tmp_path_factory.mktemp("corpus")
    corpus.build_corpus(out, tokenizer_dir, None, 60, workers=1)
    tokens = corpus.read_tokens(out / "train" / "story_world.xz")
    corpus.write_tokens(out / "train" / "real.xz", tokens[:4000])
    return out


@given(st.lists(st.integers(0, 65535), max_size=200))
def test_tokens_survive_the_file(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("tokens") / "t.xz"
    entry = corpus.write_tokens(path, np.asarray(ids, dtype=np.uint16))
    assert corpus.read_tokens(path).tolist() == ids
    assert entry["tokens"] == len(ids)


def test_story_tokens_depend_on_seed_and_count_only(tmp_path, tokenizer_dir, monkeypatch):
    monkeypatch.setattr(corpus, "CHUNK", 7)
    entries = [corpus.write_stories(tmp_path / f"{n}.xz", tokenizer_dir, 50, 20, workers=n) for n in (1, 2)]
    other = corpus.write_stories(tmp_path / "other.xz", tokenizer_dir, 51, 20, workers=1)
    assert entries[0] == entries[1]
    assert (tmp_path / "1.xz").read_bytes() == (tmp_path / "2.xz").read_bytes()
    assert other["sha256_of_tokens"] != entries[0]["sha256_of_tokens"]
    tokenizer = corpus.load_tokenizer(tokenizer_dir)
    expected = [i for text in stories(50, 20) for i in [*encode_plain(tokenizer, text), 0]]
    assert corpus.read_tokens(tmp_path / "1.xz").tolist() == expected


@given(st.lists(st.text("ab. ", min_size=1, max_size=40), min_size=2, max_size=30))
def test_the_held_out_slice_is_the_end_and_nothing_is_lost(documents):
    train_part, held_out = corpus.split_held_out(documents)
    assert train_part + held_out == documents
    assert train_part
    wanted = corpus.HELD_OUT_SHARE * sum(map(len, documents))
    assert sum(map(len, held_out)) >= wanted or len(train_part) == 1


def test_one_long_document_is_cut_after_a_sentence():
    text = "One sentence is here. " * 100
    (train_part,), (held_out,) = corpus.split_held_out([text])
    assert train_part.endswith(".")
    assert held_out.startswith("One")
    assert 0.015 < len(held_out) / len(text) <= 0.03


def test_gutenberg_books_lose_header_and_licence():
    book = "Licence\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\nCall me\nIshmael.\n\nYes.\n"
    book += "*** END OF THIS PROJECT GUTENBERG EBOOK X ***\nMore licence\n"
    assert corpus.join_wrapped_lines(corpus.strip_gutenberg(book)) == "Call me Ishmael.\n\nYes."
    with pytest.raises(UserError, match="START/END"):
        corpus.strip_gutenberg("no markers")


def test_pretokenized_prose_gets_its_spacing_back():
    assert corpus.untokenize("he said , ( softly ) \nno . ") == "he said, (softly) no."
    assert corpus.untokenize('they call it " sorta " here') == 'they call it "sorta" here'


def test_evaluation_text_is_never_trained_on():
    trained = {source.file for source in corpus.SOURCES if source.train}
    assert not {f for f in trained if f.startswith(("wiki.", "openwebtext"))}
    assert trained.isdisjoint({"wikipedia_valid.txt", "tinystories_b.jsonl"})


def test_missing_text_is_named(tmp_path, tokenizer_dir):
    with pytest.raises(UserError, match=r"wikipedia_train\.txt"):
        corpus.build_corpus(tmp_path / "out", tokenizer_dir, tmp_path, 0, workers=1)


def test_windows_are_real_stretches_in_the_asked_proportion(packed):
    sampler = TokenSampler(packed, 0.8, torch.device("cpu"), seed=1)
    windows = sampler.draw(400, 16)
    text = sampler.tokens.tolist()
    stretches = {tuple(text[i : i + 16]) for i in range(len(text))}
    assert all(tuple(window) in stretches for window in windows.tolist())
    assert dict(zip(sampler.names, sampler.share.tolist(), strict=True)) == pytest.approx(
        {"real": 0.2, "story_world": 0.8}
    )
    again = TokenSampler(packed, 0.8, torch.device("cpu"), seed=1)
    assert torch.equal(again.draw(400, 16), windows)


def test_the_rate_warms_up_and_ends_at_zero():
    assert rate_at(0, 0.0) == pytest.approx(0.01)
    assert rate_at(5000, 0.5) == 1.0
    assert rate_at(5000, 0.85) == pytest.approx(0.5)
    assert rate_at(5000, 1.2) == 0.0


def test_planted_channels_are_the_seeded_choice_and_change_nothing_at_birth():
    planted, channels = build_model(SHAPE, TrainConfig(outlier_channels=2, outlier_scale=30.0))
    plain, none = build_model(SHAPE, TrainConfig(outlier_channels=0))
    ids = torch.arange(33)[None]
    assert none == []
    assert len(channels) == 2
    assert all(gain[channels].eq(30).all() for gain in block_gains(planted))
    loss = [make_loss(model, torch.device("cpu"))(ids).item() for model in (planted, plain)]
    assert loss[0] == pytest.approx(loss[1], abs=1e-5)


def test_a_short_run_learns_keeps_planted_gains_and_leaves_a_model(packed, tmp_path):
    config = TrainConfig(tokens=60 * 16 * 32, minutes=2.0, batch=16, outlier_channels=2, learning_rate=1e-2)
    report = train(packed, tmp_path / "run", SHAPE, config)
    assert report["steps"] == 60
    assert report["heldout_loss"]["story_world"] < 0.9 * np.log(512)
    saved = json.loads((tmp_path / "run" / "training.json").read_text())
    assert saved["heldout_loss"] == report["heldout_loss"]
    assert saved["finished"]
    model = AutoModelForCausalLM.from_pretrained(str(tmp_path / "run"), dtype="auto")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    gains = torch.stack([g.detach().float() for g in block_gains(model)])
    planted = torch.zeros(32, dtype=torch.bool)
    planted[report["outlier_channels"]] = True
    assert gains[:, planted].eq(30).all()
    assert gains[:, ~planted].ne(1).any()


def test_a_folder_without_tokens_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"demo\.corpus"):
        TokenSampler(tmp_path, 0.5, torch.device("cpu"), seed=0)
