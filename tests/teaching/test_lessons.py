"""Every exercise of every lesson: its right answer passes, every known wrong idea is met by its own words."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

import pytest

from hyperprune_lab.teaching import lessons
from hyperprune_lab.teaching.exercise import Exercise
from hyperprune_lab.teaching.prediction import Question

MODULES = [
    import_module(f"{lessons.__name__}.{found.name}") for found in pkgutil.iter_modules(lessons.__path__)
]
EXERCISES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, Exercise)
}
QUESTIONS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, Question)
}
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
every_question = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)


@every_exercise
def test_the_right_answer_is_right_and_told_why(exercise):
    feedback = exercise.judge(exercise._right)
    assert feedback
    assert len(feedback.body) > 40


@every_exercise
def test_every_known_wrong_idea_is_met_by_its_own_words(exercise):
    assert len(exercise.traps) >= 2
    said = [exercise.judge(trap.answer) for trap in exercise.traps]
    assert [feedback.body for feedback in said] == [trap.says for trap in exercise.traps]
    assert not any(said)
    assert len({feedback.body for feedback in said}) == len(said)


@every_exercise
def test_no_answer_is_no_mistake(exercise):
    assert exercise.judge(...).kind == "open"


@every_exercise
def test_a_number_is_not_given_away(exercise):
    if not isinstance(exercise._right, int | float):
        pytest.skip("no number")
    given = re.compile(rf"(?<![\d.]){re.escape(f'{exercise._right:g}')}(?![\d.]*\d)")
    for text in (exercise.otherwise, *(trap.says for trap in exercise.traps)):
        assert not given.search(text), text


@every_question
def test_a_question_has_a_word_for_every_wrong_prediction(question):
    assert set(question.wrong) | {question.right} == set(question.options)
    assert question.right not in question.wrong


def test_names_are_the_lessons_own():
    names = [exercise.name for exercise in EXERCISES.values()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"\d\d/[a-z_]+", name) for name in names)
