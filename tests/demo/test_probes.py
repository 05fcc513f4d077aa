"""Probes: exact answers, balanced so that no shallow rule finds them, and the generated evaluation texts.

Knows nothing of the model that answers them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from hyperprune_lab.demo import lexicon
from hyperprune_lab.demo.probes import MOST_WORDS, SKILLS, Probe, hints, mentions, probes
from hyperprune_lab.demo.texts import DOMAINS, evaluation_text
from hyperprune_lab.demo.world import stories
from hyperprune_lab.errors import UserError

EVALUATION = Path(__file__).parents[2] / "data" / "eval"
PER_SKILL = 40
# Where the answer has been told before, so that its place in the prompt could betray it.
TOLD_BEFORE = ("possession", "location", "copying", "pronoun", "comparison", "cause", "attribute")
# In a sum of 40 probes, no rule may gain more than about two probes on chance.
NEAR_CHANCE = 2.0


@pytest.fixture(scope="module")
def some() -> list[Probe]:
    return probes(0, PER_SKILL)


def of(skill: str, some: list[Probe]) -> list[Probe]:
    return [probe for probe in some if probe.skill == skill]


def test_the_same_arguments_give_the_same_probes(some: list[Probe]) -> None:
    assert probes(0, PER_SKILL) == some
    assert {probe.prompt for probe in probes(1, 3)}.isdisjoint({probe.prompt for probe in some})


def test_every_skill_has_its_number(some: list[Probe]) -> None:
    assert len(SKILLS) >= 10
    assert Counter(probe.skill for probe in some) == dict.fromkeys(SKILLS, PER_SKILL)
    assert len({probe.prompt for probe in some}) == len(some)


def test_form(some: list[Probe]) -> None:
    for probe in some:
        assert 2 <= len(probe.answers) <= 5
        assert len(set(probe.answers)) == len(probe.answers)
        assert all(answer.startswith(" ") and answer.strip() for answer in probe.answers)
        assert len({answer.split()[0] for answer in probe.answers}) > 1 or probe.skill in (
            "ordering",
            "cause",
        )
        assert not any(
            left != right and right.startswith(left + " ")
            for left in probe.answers
            for right in probe.answers
        )
        assert len(probe.prompt.split()) <= MOST_WORDS
        assert probe.prompt[-1] not in " \n"


@pytest.mark.parametrize("skill", SKILLS)
def test_no_shallow_rule_beats_chance(skill: str, some: list[Probe]) -> None:
    gained: dict[str, float] = defaultdict(float)
    for probe in of(skill, some):
        for rule, gain in hints(probe).items():
            gained[rule] += gain
    for rule, gain in gained.items():
        assert gain < NEAR_CHANCE, rule
        if skill in TOLD_BEFORE:
            assert gain > -NEAR_CHANCE, rule


@pytest.mark.parametrize("skill", SKILLS)
def test_no_position_is_favored(skill: str, some: list[Probe]) -> None:
    found = of(skill, some)
    for index in range(5):
        offered = [probe for probe in found if len(probe.answers) > index]
        expected = sum(1 / len(probe.answers) for probe in offered)
        assert abs(sum(probe.correct == index for probe in offered) - expected) <= 0.15 * PER_SKILL


@pytest.mark.parametrize("skill", SKILLS)
def test_no_word_is_right_by_itself(skill: str, some: list[Probe]) -> None:
    gained: dict[str, float] = defaultdict(float)
    for probe in of(skill, some):
        for index, answer in enumerate(probe.answers):
            gained[answer] += (index == probe.correct) - 1 / len(probe.answers)
    assert max(gained.values()) < NEAR_CHANCE


def test_hints_share_ties_and_know_chance() -> None:
    probe = Probe("possession", "Ada met Tom. Tom met Ada. Tom sang.", (" Ada", " Tom"), 1)
    assert hints(probe) == {"first": -0.5, "last": 0.5, "often": 0.5, "longest": 0.0}
    assert mentions("Tomas and tom saw Tom.", " Tom") == [10, 18]


def test_copied_names_stand_50_to_150_words_back(some: list[Probe]) -> None:
    for probe in of("copying", some):
        last = mentions(probe.prompt, probe.answers[probe.correct])[-1]
        assert 45 <= len(probe.prompt[last:].split()) <= 155


def test_told_answers_are_told_and_new_ones_are_not(some: list[Probe]) -> None:
    for probe in some:
        told = [bool(mentions(probe.prompt, answer)) for answer in probe.answers]
        if probe.skill in TOLD_BEFORE:
            assert all(told), probe.prompt
        if probe.skill == "opposite":
            assert not any(told), probe.prompt


def test_grammar_answers_follow_the_lexicon(some: list[Probe]) -> None:
    many = {noun[1] for noun in lexicon.NOUNS} | {animal.plural for animal in lexicon.ANIMALS}
    one = {noun[0] for noun in lexicon.NOUNS} | {animal.noun for animal in lexicon.ANIMALS}
    for probe in of("agreement", some):
        head = probe.prompt.split("The ")[-1].split()[0].lower()
        right = probe.answers[probe.correct].strip()
        assert right in (("is", "was", "has") if head in one else ("are", "were", "have"))
        assert head in one | many
    opposed = Counter(word for pair in lexicon.OPPOSITES for word in pair)
    pairs = {word: other for pair in lexicon.OPPOSITES for word, other in (pair, pair[::-1])}
    for probe in of("opposite", some):
        asked = probe.prompt.rsplit("The opposite of ", 1)[1].split()[0]
        assert opposed[asked] == 1
        assert [pairs[asked] == answer.strip() for answer in probe.answers].index(True) == probe.correct
    for probe in of("plural", some):
        right, number = probe.answers[probe.correct].strip(), probe.prompt.split()[-1]
        assert right in (one if number == "one" else many)


def test_the_answer_completes_the_story_it_was_cut_from() -> None:
    """A prompt with its right answer is the beginning of a story; with a wrong one it is not."""
    from hyperprune_lab.demo import probes as module

    first = module._FIRST_SEED
    beginnings = list(stories(first, 300))
    found = 0
    for probe in probes(0, 5):
        for index, answer in enumerate(probe.answers):
            whole = re.compile(re.escape(probe.prompt + answer) + r"\b")
            matching = any(whole.match(text) for text in beginnings)
            assert not matching or index == probe.correct
            found += matching
    assert found > 30


def test_bad_numbers_are_refused() -> None:
    for arguments in ((0, 0), (-1, 3)):
        with pytest.raises(UserError, match="per_skill"):
            probes(*arguments)


@pytest.mark.parametrize("domain", DOMAINS)
def test_evaluation_files_are_what_the_world_writes(domain: str) -> None:
    assert (EVALUATION / f"{domain}.txt").read_text(encoding="ascii") == evaluation_text(domain)


@pytest.mark.parametrize("domain", ["story", "dialogue", "ledger", "encyclopedia", "narrative"])
def test_evaluation_texts_are_long_plain_paragraphs(domain: str) -> None:
    text = (EVALUATION / f"{domain}.txt").read_text(encoding="ascii")
    assert len(text.split()) >= 3000
    assert text.count("\n\n") > 30
    assert "  " not in text
    assert "\t" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(UserError, match="poetry"):
        evaluation_text("poetry")
