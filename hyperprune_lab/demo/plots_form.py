"""The form of a plot: beats with several wordings each, questions with slots for answers.

Slots: {A} and {B} are a woman and a man (either way round, so pronouns are clear), {C} is a third person; {he_a},
{him_a}, {his_a} are the pronouns of A (capitalized {He_a}); {x}, {y} are things, {ax}, {ay} the same with article and
adjectives; {p}, {q}, {r} are places of one kind ("cellar"), {in_p} is "in the cellar"; {t}, {u} are towns; {job} and
{jobs} are two occupations; {many} and {one} are a food; {n}, {m} are numbers.
Does not know the plots themselves, nor who fills the slots.
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
    """Beats in order, each with its wordings, the questions that may follow, and who has the thing {x} in the end."""

    beats: tuple[tuple[str, ...], ...]
    questions: tuple[Question, ...]
    owner: str = ""


def who(text: str, answer: str, wrong: tuple[str, ...], skill: str = "reading") -> Question:
    """A question whose whole answer is a name."""
    return Question(skill, text, "", answer, wrong)
