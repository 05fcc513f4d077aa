"""The form of a plot: beats with several wordings each, questions with slots for answers.

Slots: {A} and {B} are a woman and a man, either way round, so that pronouns are clear; {C} is a third
person. {he_a}, {him_a}, {his_a} are the pronouns of A ({He_a} begins a sentence). {x} and {y} are things;
{ax}, {ay} are the same with article and adjectives. {p}, {q}, {r} are places of one kind ("cellar");
{in_p} is "in the cellar". {t} and {u} are towns, {job} and {jobs} occupations, {n}, {m}, {k} numbers,
{many} and {one} a food. A name with 2 or 3 behind it is another one of its kind, for wrong answers. Does
not know the plots themselves, nor who fills the slots.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a plot; `answer` and `wrong` name slots."""

    skill: str
    text: str
    opening: str
    answer: str
    wrong: tuple[str, ...]
    closing: str = "."


@dataclass(frozen=True, slots=True)
class Plot:
    """Beats in order, each with its wordings; questions that may follow; who has {x} in the end."""

    beats: tuple[tuple[str, ...], ...]
    questions: tuple[Question, ...]
    owner: str = ""


def who(text: str, answer: str, wrong: tuple[str, ...], skill: str = "reading") -> Question:
    """A question whose whole answer is a name."""
    return Question(skill, text, "", answer, wrong)
