"""The voice that tells one story: sentences, paragraphs, pronouns, and questions with known answers.

Does not know what the stories are about; genres and scenes decide that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo.lexicon import Kind, Person
from hyperprune_lab.demo.state import Item, State

Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True)
class Quiz:
    """A question in a story: the text up to part `at`, then `lead`, then the answer or a wrong answer."""

    skill: str
    at: int
    lead: str
    answer: str
    wrong: tuple[str, ...]


def joined(items: Sequence[str], last: str = "and") -> str:
    """A list in words: "a rope", "a rope and a lamp", "a rope, a lamp and a map"."""
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def number(value: int) -> str:
    """A number in words up to twenty, in figures above."""
    return words.NUMBERS[value] if value < len(words.NUMBERS) else str(value)


class Narrator:
    """Tells one story from one random source and remembers the state of its world and the questions asked."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random
        self.state = State()
        self.parts: list[str] = []
        self.quizzes: list[Quiz] = []
        self.words = 0
        self._fresh = True
        self._focus: Person | None = None
        self._last: list[Person] = []
        self._now: list[Person] = []
        self._used: set[str] = set()

    # -- chance ---------------------------------------------------------------------------------------------

    def pick(self, options: Sequence[Choice]) -> Choice:
        return options[int(self.random() * len(options))]

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def between(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return low + int(self.random() * (high - low + 1))

    def some(self, options: Sequence[Choice], count: int) -> list[Choice]:
        """`count` different options, in random order."""
        chosen: list[int] = []
        while len(chosen) < count:
            index = int(self.random() * len(options))
            if index not in chosen:
                chosen.append(index)
        return [options[index] for index in chosen]

    def shuffled(self, options: Sequence[Choice]) -> list[Choice]:
        return self.some(options, len(options))

    def person(self, she: bool | None = None) -> Person:
        """Somebody who has not appeared in this story yet."""
        pool = words.PEOPLE if she is None else words.WOMEN if she else words.MEN
        while True:
            person = self.pick(pool)
            if person.name not in self._used:
                self._used.add(person.name)
                return person

    def people(self, count: int) -> list[Person]:
        return [self.person() for _ in range(count)]

    def item(self, kinds: Sequence[Kind] = words.PORTABLE, plain: float = 0.3) -> Item:
        """A thing whose noun has not appeared in this story yet, with up to two adjectives."""
        while True:
            kind = self.pick(kinds)
            if kind.noun not in self._used:
                break
        self._used.add(kind.noun)
        item = Item(kind)
        if self.random() < plain:
            return item
        if kind.colored and self.random() < 0.6:
            item.color = self.pick(words.COLORS)
        elif self.random() < 0.6:
            item.material = self.pick(kind.materials)
        if item.material not in words.SIZES and self.random() < 0.4:
            item.size = self.pick(("small", "large", "little", "big", "old", "new", "tiny", "fine"))
        return item

    # -- sentences ------------------------------------------------------------------------------------------

    def name(self, person: Person) -> str:
        """The person's name, noted as mentioned in the sentence being made."""
        self._now.append(person)
        return person.name

    def subject(self, person: Person) -> str:
        """The name, or the pronoun where only this person can be meant."""
        clear = self._focus is person and not self._now
        clear = clear and all(other is person or other.she != person.she for other in self._last)
        if clear and self.chance(0.6):
            self._now.append(person)
            return person.subject
        return self.name(person)

    def say(self, text: str) -> None:
        """Adds one or more sentences; the first letter is capitalized."""
        first = 1 if text[0] == '"' else 0
        text = text[:first] + text[first].upper() + text[first + 1 :]
        self.parts.append(text if self._fresh else " " + text)
        self.words += text.count(" ") + 1
        self._fresh = False
        self._focus = self._now[0] if self._now else None
        self._last, self._now = self._now, []

    def paragraph(self, separator: str = "\n\n") -> None:
        """Ends the paragraph, or the line when `separator` is one line break."""
        if not self._fresh:
            self.parts.append(separator)
            self._fresh = True
            self._focus = None

    def forget(self) -> None:
        """No pronoun may refer to what was said before."""
        self._focus = None
        self._now = []

    def detail(self) -> None:
        """A sentence of atmosphere that changes no fact and is told once."""
        detail = self.pick(words.DETAILS)
        if detail not in self._used:
            self._used.add(detail)
            self.forget()
            self.say(detail + ".")

    def ask(
        self, skill: str, question: str, opening: str, answer: str, wrong: Sequence[str], closing: str = "."
    ) -> None:
        """A question and its answer, `question opening answer closing`; remembered as a quiz of `skill`."""
        self.forget()
        if question and self.chance(0.12):
            question, opening = f"Question: {question}", f"Answer: {opening}".rstrip()
        lead = f"{question} {opening}".strip()
        if not self._fresh:
            lead = " " + lead
        self.quizzes.append(
            Quiz(
                skill,
                len(self.parts),
                lead,
                " " + answer,
                tuple(dict.fromkeys(" " + other for other in wrong if other != answer)),
            )
        )
        self.parts.append(f"{lead} {answer}{closing}")
        self.words += self.parts[-1].count(" ") + 1
        self._fresh = False
        self._last = []

    def text(self) -> str:
        return "".join(self.parts).strip()

    def prompt(self, quiz: Quiz) -> str:
        """The story up to the answer of `quiz`."""
        return ("".join(self.parts[: quiz.at]) + quiz.lead).lstrip()
