"""Exercises that answer back: right, wrong for a reason that is named, or not answered yet.

Knows nothing about notebooks or about any lesson. A wrong answer is compared with the wrong answers that people
really give, and the feedback talks about the idea behind it; no feedback to a wrong answer contains the solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperprune_lab.teaching import progress
from hyperprune_lab.teaching.feedback import Feedback

NOT_ANSWERED = Feedback(
    "open", "Waiting for your answer", "Replace the dots `...` in this cell, and run it again."
)


class Unreadable(Exception):
    """The answer is of the wrong kind; the message says what is expected."""


class Unanswered(Exception):
    """There is no answer yet: a function that returns nothing."""


@dataclass(frozen=True)
class Trap:
    """A wrong answer that people give, and what to say about the idea behind it."""

    answer: Any
    says: str


class Exercise:
    """One question's check: call it with an answer.

    ``same(given, expected)`` tells whether two answers agree; ``read`` turns what was given into something that can
    be compared, or raises `Unreadable`. ``otherwise`` is said of a wrong answer that is no known trap.
    """

    def __init__(
        self,
        name: str,
        right: Any,
        *,
        because: str,
        traps: Sequence[Trap],
        otherwise: str,
        read: Callable[[Any], Any],
        same: Callable[[Any, Any], bool],
    ) -> None:
        self.name = name
        self.because = because
        self.traps = tuple(traps)
        self.otherwise = otherwise
        self._right = right
        self._read = read
        self._same = same
        progress.ask(name)

    def __call__(self, answer: Any = ...) -> Feedback:
        """Judge an answer, count the attempt, and say what to think about next."""
        feedback = self.judge(answer)
        if feedback.kind in ("right", "wrong"):
            progress.note(self.name, bool(feedback))
        return feedback

    def judge(self, answer: Any) -> Feedback:
        """The feedback alone; nothing is counted."""
        if answer is ... or answer is None:
            return NOT_ANSWERED
        try:
            given = self._read(answer)
        except Unanswered:
            return NOT_ANSWERED
        except Unreadable as unreadable:
            return Feedback("open", "This cannot be read as an answer", str(unreadable))
        if self._same(given, self._read(self._right)):
            return Feedback("right", "Right", self.because)
        for trap in self.traps:
            if self._same(given, self._read(trap.answer)):
                return Feedback("wrong", "Not yet", trap.says)
        return Feedback("wrong", "Not yet", self.otherwise)

    def __repr__(self) -> str:
        return f"check of exercise {self.name}: call it with your answer"


def number(
    name: str,
    right: float,
    *,
    because: str,
    traps: Mapping[float, str],
    otherwise: str,
    tolerance: float = 0.01,
) -> Exercise:
    """The answer is a number, right within ``tolerance`` (relative)."""

    def read(answer: Any) -> float:
        try:
            value = float(answer)
        except (TypeError, ValueError):
            raise Unreadable("A single number is expected, such as `1.5`.") from None
        if not math.isfinite(value):
            raise Unreadable("A finite number is expected.")
        return value

    def same(given: float, expected: float) -> bool:
        return math.isclose(given, expected, rel_tol=tolerance, abs_tol=1e-12)

    listed = [Trap(value, says) for value, says in traps.items()]
    return Exercise(name, right, because=because, traps=listed, otherwise=otherwise, read=read, same=same)


def choice(name: str, right: str, *, because: str, traps: Mapping[str, str]) -> Exercise:
    """The answer is a letter; every wrong letter has its own feedback."""
    letters = sorted({right, *traps})

    def read(answer: Any) -> str:
        letter = str(answer).strip().lower()
        if letter not in letters:
            raise Unreadable(f"A letter is expected, in quotes: one of {', '.join(letters)}.")
        return letter

    listed = [Trap(letter, says) for letter, says in traps.items()]
    return Exercise(
        name, right, because=because, traps=listed, otherwise="", read=read, same=lambda a, b: a == b
    )


def array(
    name: str,
    right: Any,
    *,
    because: str,
    traps: Sequence[tuple[Any, str]],
    otherwise: str,
    tolerance: float = 1e-4,
) -> Exercise:
    """The answer is an array or a list of numbers, or of truth values: a mask, a ranking, a vector of scores."""
    expected = as_array(right)

    def read(answer: Any) -> np.ndarray:
        values = as_array(answer)
        if values.shape != expected.shape:
            raise Unreadable(
                f"An array of shape {expected.shape} is expected; this one has shape {values.shape}."
            )
        return values

    listed = [Trap(value, says) for value, says in traps]
    return Exercise(
        name,
        right,
        because=because,
        traps=listed,
        otherwise=otherwise,
        read=read,
        same=lambda a, b: _close(a, b, tolerance),
    )


def function(
    name: str,
    right: Callable[..., Any],
    *,
    cases: Sequence[tuple[Any, ...]],
    because: str,
    traps: Sequence[tuple[Callable[..., Any], str]],
    otherwise: str,
    tolerance: float = 1e-4,
) -> Exercise:
    """The answer is a function; it is tried on ``cases`` and compared with what other functions give there.

    Every trap is a wrong function: an answer that agrees with it on all cases has its idea.
    """

    def read(answer: Any) -> list[np.ndarray]:
        if not callable(answer):
            raise Unreadable("A function is expected: hand over its name, without parentheses behind it.")
        results = []
        for place, arguments in enumerate(cases, 1):
            try:
                result = answer(*arguments)
            except Exception as error:  # whatever goes wrong in a learner's function is theirs to read
                raise Unreadable(
                    f"On test case {place} your function stopped with {type(error).__name__}: {error}"
                ) from None
            if result is None or result is ...:
                raise Unanswered
            results.append(as_array(result))
        return results

    def same(given: list[np.ndarray], expected: list[np.ndarray]) -> bool:
        return all(
            a.shape == b.shape and _close(a, b, tolerance) for a, b in zip(given, expected, strict=True)
        )

    listed = [Trap(wrong, says) for wrong, says in traps]
    return Exercise(name, right, because=because, traps=listed, otherwise=otherwise, read=read, same=same)


def as_array(value: Any) -> np.ndarray:
    """Numbers or truth values of any kind (lists, numpy, torch) as a float array.

    Raises `Unreadable` for anything else.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        values = np.asarray(value)
        if values.dtype.kind not in "biuf":
            raise ValueError
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise Unreadable("Numbers are expected: a number, a list of numbers, or an array.") from None


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    scale = float(np.abs(b).max(initial=0.0))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * scale))
