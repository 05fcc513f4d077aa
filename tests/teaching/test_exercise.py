"""Exercises: right, wrong for a named reason, unreadable, not answered; the solution is never given away."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyperprune_lab.teaching import exercise, progress


@pytest.fixture
def six():
    return exercise.number(
        "99/six",
        6,
        because="Choose 2 of 4.",
        traps={16: "That is every subset.", 12: "Order counted."},
        otherwise="No.",
    )


def test_a_right_answer_is_told_why(six):
    feedback = six(6)
    assert feedback
    assert feedback.body == "Choose 2 of 4."


@pytest.mark.parametrize("answer", [6.0, np.int64(6), torch.tensor(6), "6", 6.04])
def test_a_number_may_come_in_any_form_and_rounded(six, answer):
    assert six(answer)


def test_a_wrong_answer_meets_the_idea_behind_it(six):
    assert six(16).body == "That is every subset."
    assert six(12).body == "Order counted."
    assert six(7).body == "No."
    assert not six(7)


@pytest.mark.parametrize("answer", [..., None])
def test_no_answer_is_not_a_wrong_one(six, answer):
    assert six(answer).kind == "open"
    assert progress.read() == {}


@pytest.mark.parametrize("answer", ["six", [1, 2], float("nan"), object()])
def test_what_cannot_be_read_says_what_is_expected(six, answer):
    feedback = six(answer)
    assert feedback.kind == "open"
    assert "number" in feedback.body
    assert progress.read() == {}


def test_nothing_shown_before_the_right_answer_contains_it(six):
    for answer in (..., 16, 12, 7, "six"):
        assert "6" not in repr(six(answer)).replace("16", "")
    assert "6" not in repr(six)


def test_choices_have_a_word_for_every_wrong_letter():
    check = exercise.choice("99/letter", "b", because="Yes.", traps={"a": "Confused.", "c": "Reversed."})
    assert check(" B ")
    assert check("a").body == "Confused."
    assert check("c").body == "Reversed."
    assert check("z").kind == "open"


def test_arrays_are_compared_whole():
    mask = np.array([[1, 0, 1, 0]], bool)
    check = exercise.array(
        "99/mask", mask, because="Yes.", traps=[(~mask, "Kept and pruned swapped.")], otherwise="No."
    )
    assert check(mask)
    assert check([[1, 0, 1, 0]])
    assert check(torch.tensor([[True, False, True, False]]))
    assert check(~mask).body == "Kept and pruned swapped."
    assert check([[1, 1, 0, 0]]).body == "No."
    assert check([1, 0, 1, 0]).kind == "open"
    assert "(1, 4)" in check([1, 0, 1, 0]).body


def test_functions_are_tried_and_wrong_ones_recognized():
    cases = [(np.array([1.0, -2.0]),), (np.array([3.0, 0.5]),)]
    check = exercise.function(
        "99/abs",
        np.abs,
        cases=cases,
        because="Yes.",
        traps=[(lambda x: x, "The sign was left in.")],
        otherwise="No.",
    )
    assert check(lambda x: np.sqrt(x**2))
    assert check(lambda x: torch.as_tensor(x).abs())
    assert check(lambda x: x).body == "The sign was left in."
    assert check(lambda x: x**2).body == "No."
    assert check(lambda x: x[:1]).kind == "wrong"
    assert check(lambda x: ...) == check(lambda x: None) == check(...) == exercise.NOT_ANSWERED
    assert "ZeroDivisionError" in check(lambda x: 1 / 0).body
    assert check(3).kind == "open"


def test_attempts_are_counted_and_what_is_solved_stays_solved(six):
    for answer in (16, 6, 7):
        six(answer)
    assert progress.read() == {"99/six": {"attempts": 3, "solved": True}}
