"""Questions with exact answers that show what a small model can and cannot do, taken from held-out stories.

Does not know any model; it gives a prompt, some continuations and the index of the right one.

A probe is a question of a held-out story, cut off right before its answer. The set is balanced. The right
answer stands at every index equally often; picking the longest candidate, or always the same word, gains
nothing. Where the answer has been mentioned in the prompt, picking what was mentioned first, last or most
often scores as chance does; in the other skills these rules score at most chance, since there the answer
is often new.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from hyperprune_lab.demo.lexicon import NOUNS, OPPOSITES
from hyperprune_lab.demo.narrator import Narrator, Quiz
from hyperprune_lab.demo.world import HELD_OUT, tell
from hyperprune_lab.errors import UserError

SKILLS = (
    "possession",
    "location",
    "counting",
    "agreement",
    "opposite",
    "copying",
    "pronoun",
    "comparison",
    "cause",
    "attribute",
    "ordering",
    "plural",
)
MOST_WORDS = 180
# Skills whose answer has been mentioned in the prompt, so that position or frequency might give it away.
_MENTIONED = ("possession", "location", "copying", "pronoun", "comparison", "cause", "attribute")
# A rule may gain at most this many probes over chance in one skill.
_SLACK = 1.5
_COPY_WORDS = (50, 150)
_OPPOSED = tuple(word for pair in OPPOSITES for word in pair)
# "right" is the opposite of "wrong" and of "left": words like it would allow two right answers.
_TWO_OPPOSITES = tuple(sorted({word for word in _OPPOSED if _OPPOSED.count(word) > 1}))
_ONE, _MANY = (tuple(sorted({noun[index] for noun in NOUNS if noun[0] != noun[1]})) for index in (0, 1))
# Probes live in a range of their own above the held-out stories used as evaluation text.
_FIRST_SEED = HELD_OUT + 2**39


@dataclass(frozen=True, slots=True)
class Probe:
    """`prompt` followed by one of `answers` (each starts with a space); `answers[correct]` is right."""

    skill: str
    prompt: str
    answers: tuple[str, ...]
    correct: int


def mentions(prompt: str, answer: str) -> list[int]:
    """Character positions in `prompt` where `answer` occurs as whole words."""
    return [
        match.start() for match in re.finditer(rf"\b{re.escape(answer.strip())}\b", prompt, re.IGNORECASE)
    ]


def hints(probe: Probe) -> dict[str, float]:
    """How much better than chance each shallow rule does on this probe.

    The rules pick the candidate that the prompt names first, last or most often, or the longest. Ties are
    shared, so zero is chance and `1 - 1/candidates` is certainty.
    """
    places = [mentions(probe.prompt, answer) for answer in probe.answers]
    nowhere = len(probe.prompt)
    chance = 1 / len(probe.answers)
    rules = {
        "first": [-(found[0] if found else nowhere) for found in places],
        "last": [found[-1] if found else -1 for found in places],
        "often": [len(found) for found in places],
        "longest": [len(answer) for answer in probe.answers],
    }
    gains = {}
    for rule, scores in rules.items():
        best = max(scores)
        winners = [index for index, score in enumerate(scores) if score == best]
        gains[rule] = (probe.correct in winners) / len(winners) - chance
    return gains


def probes(seed: int, per_skill: int) -> list[Probe]:
    """`per_skill` probes of each of `SKILLS`, from held-out stories; the same list for the same arguments.

    Raises
    ------
    UserError
        If `per_skill` is less than one or `seed` is negative.
    """
    if per_skill < 1 or seed < 0:
        raise UserError(f"probes need per_skill >= 1 and seed >= 0, not {per_skill} and {seed}")
    random = Random(seed)
    chosen: dict[str, list[Probe]] = {skill: [] for skill in SKILLS}
    leaning: dict[str, dict[str, float]] = {skill: defaultdict(float) for skill in SKILLS}
    told = _FIRST_SEED + seed * 2**20
    while any(len(found) < per_skill for found in chosen.values()):
        narrator = tell(told)
        told += 1
        for quiz in narrator.quizzes:
            found = chosen.get(quiz.skill)
            if found is None or len(found) == per_skill:
                continue
            probe = _probe(narrator, quiz, len(found), random)
            if probe is not None and _balances(probe, leaning[quiz.skill]):
                found.append(probe)
                break  # one probe a story, so that no two share their prompt
    return [probe for skill in SKILLS for probe in chosen[skill]]


def _probe(narrator: Narrator, quiz: Quiz, position: int, random: Random) -> Probe | None:
    """The quiz as a probe, right at index `position` modulo the number of answers; None if unsuitable."""
    prompt = narrator.prompt(quiz)
    if prompt.count(" ") + prompt.count("\n") >= MOST_WORDS:
        return None
    wrong = list(quiz.wrong)
    if quiz.skill in _MENTIONED:
        wrong = [other for other in wrong if mentions(prompt, other)]
        if not mentions(prompt, quiz.answer):
            return None
    if not wrong:
        return None
    if quiz.skill == "opposite":
        if any(mentions(quiz.lead + quiz.answer, word) for word in _TWO_OPPOSITES):
            return None
        wrong = _unmentioned(prompt, quiz.answer, 2, _OPPOSED, random)
    elif quiz.skill == "plural":
        # A third noun in the number asked for: then the one form that is new in the prompt need not be right.
        number = _MANY if quiz.answer.strip() in _MANY else _ONE
        wrong += _unmentioned(prompt, quiz.answer, 1, number, random)
    if quiz.skill == "copying":
        distance = prompt[mentions(prompt, quiz.answer)[-1] :].count(" ")
        if not _COPY_WORDS[0] <= distance <= _COPY_WORDS[1]:
            return None
    random.shuffle(wrong)
    # Against one other name at a time, an early or a late mention is as often wrong as right.
    wrong = wrong[:1] if quiz.skill == "copying" else wrong[:4]
    correct = position % (len(wrong) + 1)
    answers = (*wrong[:correct], quiz.answer, *wrong[correct:])
    return Probe(quiz.skill, prompt, answers, correct)


def _unmentioned(prompt: str, answer: str, count: int, pool: Sequence[str], random: Random) -> list[str]:
    """`count` words of `pool` that the prompt does not mention; like the right answer, they are new."""
    wrong: list[str] = []
    while len(wrong) < count:
        word = " " + random.choice(pool)
        if word != answer and word not in wrong and not mentions(prompt, word):
            wrong.append(word)
    return wrong


def _balances(probe: Probe, leaning: dict[str, float]) -> bool:
    """Takes the probe into `leaning` if that keeps every shallow rule within `_SLACK` probes of chance."""
    gains = hints(probe)
    for index, answer in enumerate(probe.answers):
        gains[answer] = (index == probe.correct) - 1 / len(probe.answers)
    for rule, gain in gains.items():
        after = leaning[rule] + gain
        # Where the answer need not have been mentioned, a rule may do worse than chance, never better.
        size, before = (
            (abs(after), abs(leaning[rule])) if probe.skill in _MENTIONED else (after, leaning[rule])
        )
        if size > _SLACK and size > before:
            return False
    for rule, gain in gains.items():
        leaning[rule] += gain
    return True
