"""Token losses that two states share: brute force over every token, and where two continuations part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.analysis import tokenloss
from hyperprune_lab.analysis.tokenloss import (
    SAME_NATS,
    Shared,
    common_start,
    difference,
    extremes,
    losses_of,
    shared_text,
    texts_of,
)
from hyperprune_lab.intervals import paired_interval
from tests.widgets import readrun
from tests.widgets.readrun import Read

HELD = Read(name="held", seed=1)
OTHER = Read(name="other", seed=2, shift=0.2, method="hyperprune")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("read")


@pytest.fixture(scope="module")
def held(folder):
    return readrun.write(folder, HELD)


@pytest.fixture(scope="module")
def other(folder):
    return readrun.write(folder, OTHER)


def test_losses_are_the_recorded_ones_and_none_before_they_were(held):
    found = losses_of(held, "mask-only")
    for domain in HELD.domains:
        np.testing.assert_array_equal(
            found.domains[domain], HELD.losses("mask-only")[f"token_losses/{domain}"]
        )
    assert losses_of(held, "mask-only", as_of=5) is None
    assert losses_of(held, "dense", as_of=5) is not None
    assert losses_of(held, "nobody") is None


def test_pieces_join_to_the_text_and_stand_in_their_context(folder):
    read = Read(name="words", words=readrun.HOSTILE_WORDS)
    texts = texts_of(readrun.write(folder, read))["story"]
    for window, pieces in enumerate(read.pieces()):
        for position, piece in enumerate(pieces):
            assert texts.piece(window, position) == piece
            before, after = texts.around(window, position)
            assert before == "".join(pieces[:position])[-len(before) :] if before else position == 0
            assert "".join(pieces[position + 1 :]).startswith(after)


def test_places_outside_the_text_are_no_words():
    ends = np.array([[3, 9]], np.int32)
    text = np.frombuffer(b"abcdef", np.uint8)
    assert tokenloss._texts({"token_ends/a": ends, "token_text/a": text}) == {}
    falling = np.array([[5, 3]], np.int32)
    assert tokenloss._texts({"token_ends/a": falling, "token_text/a": text}) == {}


def test_the_difference_is_counted_token_by_token(held, other):
    shared = shared_text(other, "mask-only", held, "mask-only")
    assert (shared.problem, shared.partly) == ("", "")
    ours, theirs = OTHER.losses("mask-only"), HELD.losses("mask-only")
    every = np.concatenate([(ours[name] - theirs[name]).ravel() for name in sorted(ours)])
    found = difference(shared.domains)
    assert found.nats == pytest.approx(every.astype(float).mean(), abs=1e-6)
    assert found.tokens == every.size
    assert found.worse == pytest.approx(np.mean([value > SAME_NATS for value in every]))
    assert found.better == pytest.approx(np.mean([value < -SAME_NATS for value in every]))
    assert found.same + found.worse + found.better == pytest.approx(1)
    per_window = np.concatenate([(ours[name] - theirs[name]).astype(float).mean(1) for name in sorted(ours)])
    assert (found.nats, found.low, found.high) == paired_interval(per_window)


@settings(max_examples=40)
@given(seed=st.integers(0, 999), count=st.integers(1, 9), missing=st.booleans(), better=st.booleans())
def test_the_worst_tokens_are_those_of_a_plain_search(seed, count, missing, better):
    rng = np.random.default_rng(seed)
    shared = []
    for name in ("a", "b"):
        ours, theirs = rng.gamma(2, 1, (3, 5)), rng.gamma(2, 1, (3, 5))
        if missing:
            ours[0, 2] = np.nan
        shared.append(Shared(name, ours, theirs, None))
    sign = -1 if better else 1
    every = [
        (sign * float(one.ours[w, p] - one.theirs[w, p]), one.domain, w, p + 1)
        for one in shared
        for w in range(3)
        for p in range(5)
    ]
    right = sorted((e for e in every if e[0] > SAME_NATS), key=lambda e: -e[0])[:count]
    found = extremes(shared, count, better)
    assert [(t.domain, t.window, t.position) for t in found] == [e[1:] for e in right]
    assert [sign * t.difference for t in found] == pytest.approx([e[0] for e in right])


@settings(max_examples=200)
@given(start=st.text("ab \n", max_size=8), one=st.text("ab ", max_size=6), other=st.text("ab ", max_size=6))
def test_continuations_part_at_the_word_that_holds_the_first_other_letter(start, one, other):
    first, second = start + one, start + other
    place = common_start(first, second)
    assert first[:place] == second[:place]
    if first == second:
        assert place == len(first)
        return
    letters = enumerate(zip(first, second, strict=False))
    parted = next((n for n, (a, b) in letters if a != b), min(len(first), len(second)))
    assert place <= parted
    assert not any(letter.isspace() for letter in first[place:parted])
    assert place == 0 or place == parted or first[place - 1].isspace()


@pytest.mark.parametrize(
    ("unlike", "words"),
    [
        ({"window": 6}, "windows of 8 against 6"),
        ({"text": "other"}, "did not read the same text"),
        ({"evaluated": False, "finished": False}, "holds no token losses of its mask-only model"),
    ],
)
def test_what_was_not_read_by_both_is_not_compared(held, tmp_path, unlike, words):
    run = readrun.write(tmp_path, Read(name="unlike", **unlike))
    shared = shared_text(held, "mask-only", run, "mask-only")
    assert shared.domains == ()
    assert words in shared.problem


def test_of_other_domains_and_fewer_windows_the_common_part_is(held, tmp_path):
    fewer = readrun.write(tmp_path, Read(name="fewer", windows=2))
    shared = shared_text(held, "mask-only", fewer, "mask-only")
    assert [len(one.ours) for one in shared.domains] == [2, 2]
    assert "first 4 windows" in shared.partly
    one = readrun.write(tmp_path, Read(name="one", domains=("story",)))
    shared = shared_text(held, "mask-only", one, "mask-only")
    assert [part.domain for part in shared.domains] == ["story"]
    assert shared.partly == "only story was read by both"


def test_a_run_that_was_not_compensated_says_so(held, tmp_path):
    run = readrun.write(tmp_path, Read(name="plain", compensation="none"))
    assert shared_text(run, "compensated", held, "compensated").problem == "plain was not compensated."
