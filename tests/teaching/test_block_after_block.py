"""The small shared network of a lesson: what is asked when, and what holding on can and cannot touch."""

from __future__ import annotations

import numpy as np
import pytest

from hyperprune_lab.teaching.block_after_block import small_blocks, train_in_turn


@pytest.fixture(scope="module")
def blocks():
    return small_blocks(2, ("self_attn.q_proj",))


@pytest.fixture(scope="module")
def free(blocks):
    return train_in_turn(blocks, steps=6)


def test_a_block_is_asked_from_its_own_turn_on(free):
    assert np.isnan(free.changed[0, 1])
    assert np.isnan(free.error[0, 1])
    assert np.isfinite(free.changed[np.tril_indices(2)]).all()


def test_at_its_own_turn_nothing_is_forgotten(free):
    assert (np.diag(free.changed) == 0).all()
    assert np.diag(free.error) == pytest.approx(free.at_decision)


def test_holding_on_begins_with_the_second_block(blocks, free):
    held = train_in_turn(blocks, continual_weight=10.0, steps=6)
    assert held.at_decision[0] == free.at_decision[0]
    assert held.changed[1, 0] < free.changed[1, 0]


def test_the_same_seed_gives_the_same_answers(blocks, free):
    again = train_in_turn(blocks, steps=6)
    assert np.array_equal(again.changed, free.changed, equal_nan=True)
