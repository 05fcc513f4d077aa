"""Calibration windows against hand-packed tokens, and the messages for texts that cannot be used."""

import json
import sys
import threading
import types

import pytest
import torch

from hyperprune_lab.calibration import CalibrationConfig, load_calibration, sources, tokens
from hyperprune_lab.calibration.sources import file_pieces, open_source
from hyperprune_lab.calibration.windows import POOL
from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import data_folder
from tests.architectures import EOS_ID, tiny_tokenizer

PROSE = data_folder() / "calibration" / "prose.jsonl"


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture
def world(monkeypatch):
    """A story world that counts what is asked of it."""
    told = []

    def stories(seed, count):
        for offset in range(count):
            told.append(seed + offset)
            yield f"story {seed + offset} " + "and so on " * 5

    module = types.ModuleType("hyperprune_lab.demo.world")
    module.stories = stories
    monkeypatch.setitem(sys.modules, "hyperprune_lab.demo.world", module)
    return told


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def lines(*texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def windows_of(calibration):
    return {tuple(row) for row in torch.cat([calibration.fit, calibration.heldout]).tolist()}


def test_documents_are_joined_with_eos_and_cut_without_overlap(tmp_path, tokenizer):
    documents = ["one two three", "four", "five six seven eight nine"]
    packed = [i for text in documents for i in [*tokens.encode(tokenizer, text), EOS_ID]]
    config = CalibrationConfig(
        samples=50, window=8, text=write(tmp_path / "a.jsonl", "\n" + lines(*documents))
    )
    found = load_calibration(config, tokenizer, context=64, seed=0)
    expected = {tuple(packed[i : i + 8]) for i in range(0, len(packed) - 7, 8)}
    assert windows_of(found) == expected
    assert found.identity["samples_found"] == len(expected) == len(packed) // 8
    assert found.identity["documents"] == 3
    assert f"only {len(expected)} windows" in found.notice
    assert not {tuple(row) for row in found.fit.tolist()} & {tuple(row) for row in found.heldout.tolist()}


def test_plain_text_is_one_document_whatever_its_blank_lines(tmp_path, tokenizer):
    text = "one\n\n\n\ntwo\n\nthree"
    config = CalibrationConfig(samples=1, window=len(text) + 1, text=write(tmp_path / "a.txt", text))
    found = load_calibration(config, tokenizer, context=64, seed=0)
    assert found.fit.tolist() == [[*tokens.encode(tokenizer, text), EOS_ID]]


def test_large_texts_are_read_and_tokenized_in_pieces(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(sources, "PIECE_CHARACTERS", 16)
    monkeypatch.setattr(tokens, "PIECE_CHARACTERS", 16)
    text = "".join(f"{n} green bottles\n" * (n % 3) for n in range(40))
    path = write(tmp_path / "a.txt", text)
    read = list(sources.file_pieces(sources.text_file(path)))
    assert "".join(piece.text for piece in read) == text
    assert [piece.ends_document for piece in read] == [False] * (len(read) - 1) + [True]
    whole = load_calibration(CalibrationConfig(samples=9, window=64, text=path), tokenizer, 64, seed=3)
    monkeypatch.undo()
    again = load_calibration(CalibrationConfig(samples=9, window=64, text=path), tokenizer, 64, seed=3)
    assert whole.identity["ids_sha256"] == again.identity["ids_sha256"]


@pytest.mark.parametrize("text", ["", "short", "a b c d e f g h i j k l", "line\nline\nline\n", "x" * 23])
def test_pieces_join_to_the_text(text):
    cut = list(tokens.pieces(text, 5))
    assert "".join(cut) == text
    assert all(len(piece) <= 5 for piece in cut)


def test_the_seed_chooses_the_windows(tmp_path, tokenizer):
    text = write(tmp_path / "a.txt", " ".join(map(str, range(2000))))
    config = CalibrationConfig(samples=10, window=16, text=text)
    first, same, other = (load_calibration(config, tokenizer, 64, seed) for seed in (0, 0, 1))
    assert torch.equal(first.fit, same.fit)
    assert first.identity == same.identity
    assert windows_of(first) != windows_of(other)
    assert first.identity["text_sha256"] == other.identity["text_sha256"]
    assert first.identity["ids_sha256"] != other.identity["ids_sha256"]
    assert first.notice is None


def test_no_more_text_is_read_than_needed(tmp_path, tokenizer):
    text = write(tmp_path / "a.jsonl", lines(*["x" * 99] * 1000) + "this line is never reached")
    config = CalibrationConfig(samples=10, window=16, text=text)
    found = load_calibration(config, tokenizer, 64, seed=0)
    assert POOL * 160 <= 100 * found.identity["documents"] + 100 <= POOL * 160 + 200


def test_the_story_world_is_told_just_far_enough_and_differs_by_seed(tokenizer, world):
    config = CalibrationConfig(samples=4, window=32, text="stories")
    first = load_calibration(config, tokenizer, 64, seed=0)
    assert len(world) <= 3
    assert first.identity["source"] == "story world"
    second = load_calibration(config, tokenizer, 64, seed=1)
    assert windows_of(first) != windows_of(second)
    assert min(world) > 2_100_000_000
    far = load_calibration(config, tokenizer, 64, seed=2**40 + 12345)
    assert far.fit.shape == (3, 32)
    assert max(world) < 2**40


def told_by(seed, characters):
    pieces, read = [], 0
    for piece in open_source(None, seed).open():
        pieces.append(piece)
        read += len(piece.text)
        if read > characters:
            return pieces
    raise AssertionError("the text came to an end")


def test_the_default_text_is_half_stories_and_half_prose_while_there_is_prose(world):
    prose = {piece.text for piece in file_pieces(PROSE)}
    pieces = told_by(0, 50_000)
    written = sum(len(piece.text) for piece in pieces if piece.text in prose)
    assert abs(2 * written - sum(len(piece.text) for piece in pieces)) < 4 * max(map(len, prose))
    assert all(piece.ends_document for piece in pieces)
    assert pieces == told_by(0, 50_000) != told_by(1, 50_000)
    longer = [piece.text for piece in told_by(0, 3 * sum(map(len, prose)))]
    assert {text for text in longer if text in prose} == prose
    assert sorted(longer) == sorted(set(longer))


@pytest.mark.parametrize(
    ("samples", "holdout", "fit", "heldout"),
    [(1, 0.1, 1, 0), (2, 0.1, 1, 1), (10, 0.1, 9, 1), (20, 0.1, 18, 2), (2, 0.9, 1, 1), (8, 0.0, 8, 0)],
)
def test_the_held_out_share(tokenizer, world, samples, holdout, fit, heldout):
    config = CalibrationConfig(samples=samples, window=8, holdout=holdout)
    found = load_calibration(config, tokenizer, 64, seed=0)
    assert (found.fit.shape, found.heldout.shape) == ((fit, 8), (heldout, 8))
    assert found.identity["heldout"] == heldout
    json.dumps(found.identity)


def test_the_default_window_is_bounded_whatever_the_context(tokenizer, world):
    one = CalibrationConfig(samples=1)
    assert load_calibration(one, tokenizer, context=131_072, seed=0).fit.shape == (1, 2048)
    assert load_calibration(one, tokenizer, context=40, seed=0).fit.shape == (1, 40)


def test_identity_follows_text_tokenizer_and_ids(tmp_path, tokenizer):
    paths = [write(tmp_path / name, text) for name, text in (("a.txt", "abcdefgh"), ("b.txt", "abcdefgi"))]
    a, b = (
        load_calibration(CalibrationConfig(samples=1, window=4, text=path), tokenizer, 64, 0).identity
        for path in paths
    )
    assert a["text_sha256"] != b["text_sha256"]
    assert a["tokenizer"] == b["tokenizer"]
    ids = torch.arange(12).view(3, 4)
    assert tokens.ids_digest(ids) == tokens.ids_digest(ids.int())
    assert tokens.ids_digest(ids) != tokens.ids_digest(ids.view(4, 3))
    other = tiny_tokenizer()
    other.add_tokens(["new"])
    assert tokens.tokenizer_identity(other) != tokens.tokenizer_identity(tokenizer)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"too short", "a.txt has 10 tokens, shorter than one window of 32"),
        ("a.txt", b"", "a.txt has 0 tokens, shorter than one window"),
        ("a.txt", b"caf\xe9 " * 50, "a.txt is not UTF-8"),
        ("a.jsonl", b"\xff\xfe" * 50, "a.jsonl is not UTF-8"),
        ("a.jsonl", b'{"text": "fine"}\n{"txt": "x", "id": 1}\n', r"line 2: no string.*\['txt', 'id'\]"),
        ("a.jsonl", b'{"text": 3}', "line 1: no string under the key"),
        ("a.jsonl", b"[1]", "line 1: no string.*found list"),
        ("a.jsonl", b'{"text": "x"}\n\n{"text": ', "line 3: not a JSON object"),
        ("a.jsonl", b'{"text": "\\ud800"}', "line 1: half of a surrogate pair"),
    ],
)
def test_unusable_files(tmp_path, tokenizer, name, content, message):
    (tmp_path / name).write_bytes(content)
    config = CalibrationConfig(samples=2, window=32, text=str(tmp_path / name))
    with pytest.raises(UserError, match=message):
        load_calibration(config, tokenizer, context=64, seed=0)


def test_files_that_are_not_there(tmp_path, tokenizer):
    with pytest.raises(UserError, match=r"no text file wikitext-2.*wikitext2, c4"):
        load_calibration(CalibrationConfig(text="wikitext-2"), tokenizer, 64, 0)
    with pytest.raises(UserError, match="is a directory"):
        load_calibration(CalibrationConfig(text=str(tmp_path)), tokenizer, 64, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "0 calibration samples"),
        ({"window": 1}, "window of 1 tokens"),
        ({"holdout": 1.0}, r"holdout 1\.0"),
        ({"holdout": -0.1}, r"holdout -0\.1"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(UserError, match=message):
        CalibrationConfig(**settings)


def test_window_beyond_the_context(tokenizer):
    with pytest.raises(UserError, match="window of 128 tokens exceeds the model's context of 64"):
        load_calibration(CalibrationConfig(window=128), tokenizer, context=64, seed=0)


class TestHub:
    """The public data sets, with a stand-in for the library and the network."""

    @pytest.fixture
    def library(self, monkeypatch):
        module = types.ModuleType("datasets")
        monkeypatch.setitem(sys.modules, "datasets", module)
        return module

    def test_wikitext_has_a_document_per_article_at_a_pinned_revision(self, library, tokenizer):
        asked = {}

        def load_dataset(*arguments, **options):
            asked.update(options, arguments=arguments)
            rows = [
                "",
                " = First = \n",
                "",
                " Text one . \n",
                " = = Part = = \n",
                " Two . \n",
                " = Next = \n",
                " x",
            ]
            return [{"text": row} for row in rows]

        library.load_dataset = load_dataset
        found = load_calibration(CalibrationConfig(text="wikitext2", window=4), tokenizer, 64, 0)
        assert found.identity["documents"] == 2
        assert asked["arguments"] == ("Salesforce/wikitext", "wikitext-2-raw-v1")
        assert len(asked["revision"]) == 40
        assert found.identity["revision"] == asked["revision"]
        assert asked["split"] == "train"

    def test_c4_is_streamed_from_one_shard(self, library, tokenizer):
        asked = {}

        def load_dataset(*arguments, **options):
            asked.update(options)
            return ({"text": f"page {n}"} for n in range(10**9))

        library.load_dataset = load_dataset
        load_calibration(CalibrationConfig(text="c4", samples=4, window=8), tokenizer, 64, 0)
        assert asked["streaming"]
        assert asked["data_files"] == {"train": "en/c4-train.00000-of-01024.json.gz"}

    def test_missing_library(self, monkeypatch, tokenizer):
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(UserError, match=r"hub extra.*project's own"):
            load_calibration(CalibrationConfig(text="c4"), tokenizer, 64, 0)

    def test_no_network(self, library, tokenizer):
        def load_dataset(*arguments, **options):
            raise ConnectionError("Couldn't reach the Hub")

        library.load_dataset = load_dataset
        with pytest.raises(UserError, match=r"wikitext cannot be read: Couldn't reach.*\.txt or \.jsonl"):
            load_calibration(CalibrationConfig(text="wikitext2"), tokenizer, 64, 0)

    def test_a_silent_network_does_not_hang(self, library, tokenizer, monkeypatch):
        release = threading.Event()
        library.load_dataset = lambda *arguments, **options: release.wait(60)
        monkeypatch.setattr(sources, "HUB_SECONDS", 0.05)
        try:
            with pytest.raises(UserError, match="no answer within"):
                load_calibration(CalibrationConfig(text="wikitext2"), tokenizer, 64, 0)
        finally:
            release.set()

    def test_a_connection_that_breaks_off(self, library, tokenizer):
        def rows():
            yield {"text": "page"}
            raise OSError("connection reset")

        library.load_dataset = lambda *arguments, **options: rows()
        with pytest.raises(UserError, match="c4 broke off: connection reset"):
            load_calibration(CalibrationConfig(text="c4"), tokenizer, 64, 0)
