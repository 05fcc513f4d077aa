"""The words of the story world as typed tables: people, things, places and pairs, with their inflections.

Knows nothing of events or stories; it only says which words there are and how they bend.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hyperprune_lab.demo import words_people, words_things, words_world

_AN_EXCEPTIONS = {
    "hour": True,
    "honest": True,
    "heir": True,
    "useful": False,
    "one": False,
    "usual": False,
    "unicorn": False,
    "uniform": False,
    "ewe": False,
}


@cache
def article(phrase: str) -> str:
    """`phrase` with "a" or "an" in front, by the sound of its first word."""
    first = phrase.split(" ", 1)[0].lower()
    vowel = _AN_EXCEPTIONS.get(first, first[0] in "aeiou")
    return f"an {phrase}" if vowel else f"a {phrase}"


@cache
def plural(noun: str) -> str:
    """Regular plural of `noun`, or the irregular one when the word lists give it."""
    known = _IRREGULAR.get(noun)
    if known:
        return known
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


@dataclass(frozen=True, slots=True)
class Person:
    """A name with the pronouns that go with it."""

    name: str
    she: bool
    subject: str
    object: str
    possessive: str
    surname: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing: noun, plural, category, weight class 1 (light) to 5, and what it may be made of."""

    noun: str
    plural: str
    category: str
    weight: int
    materials: tuple[str, ...]
    colored: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A place with its preposition: `where` is "in the kitchen", `the` is "the kitchen"."""

    noun: str
    group: str
    preposition: str
    the: str
    where: str
    to: str


@dataclass(frozen=True, slots=True)
class Occupation:
    """A line of work: "baker", "bakes bread", "flour"."""

    noun: str
    does: str
    stock: str


@dataclass(frozen=True, slots=True)
class Animal:
    """An animal with its sound, its home ("in the yard") and one habit ("guards the house")."""

    noun: str
    plural: str
    sound: str
    home: str
    habit: str


@dataclass(frozen=True, slots=True)
class Cause:
    """An effect clause, its cause clause, the cause's key word and what a person then did."""

    effect: str
    cause: str
    key: str
    reaction: str


@dataclass(frozen=True, slots=True)
class Working:
    """How a thing works: an explanation, a question with the answer's opening, the answer and wrong ones."""

    thing: str
    explanation: str
    question: str
    opening: str
    answer: str
    wrong: tuple[str, ...]


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split(";")] for line in text.strip().splitlines()]


def _items(text: str) -> tuple[str, ...]:
    """Items separated by semicolons, in lines that may break anywhere."""
    return tuple(item for part in " ".join(text.split()).split(";") if (item := part.strip()))


def _pair(word: str) -> tuple[str, str]:
    singular, _, given = word.partition("/")
    if given:
        _IRREGULAR[singular] = given
    return singular, plural(singular)


_IRREGULAR: dict[str, str] = {}


def _people() -> tuple[Person, ...]:
    surnames = words_people.SURNAMES.split()
    people = []
    for she, names in ((True, words_people.SHE_NAMES), (False, words_people.HE_NAMES)):
        for index, name in enumerate(names.split()):
            pronouns = ("she", "her", "her") if she else ("he", "him", "his")
            people.append(Person(name, she, *pronouns, surnames[(index * 7 + she) % len(surnames)]))
    return tuple(people)


def _kinds() -> tuple[Kind, ...]:
    kinds: list[Kind] = []
    for line in words_things.OBJECTS.strip().splitlines():
        category, weight, materials, colored, nouns = (cell.strip() for cell in line.split("|"))
        made_of, may_be_colored = tuple(materials.split()), colored == "y"
        kinds += [
            Kind(*_pair(word), category, int(weight), made_of, may_be_colored) for word in nouns.split()
        ]
    return tuple(kinds)


def _places() -> tuple[Place, ...]:
    places = []
    for line in words_world.PLACES.strip().splitlines():
        group, preposition, nouns = line.split("|")
        for noun in nouns.replace("post office", "post_office").split():
            noun = noun.replace("_", " ")
            into = "into" if group == "room" else "to"
            places.append(
                Place(
                    noun, group, preposition, f"the {noun}", f"{preposition} the {noun}", f"{into} the {noun}"
                )
            )
    return tuple(places)


def _animals() -> tuple[Animal, ...]:
    animals = []
    for word, sound, home, habit in _rows(words_things.ANIMALS):
        animals.append(
            Animal(*_pair(word), sound, home if home.startswith("on ") else f"in the {home}", habit)
        )
    return tuple(animals)


def _workings() -> tuple[Working, ...]:
    workings = []
    for thing, explanation, question, answer, wrong in _rows(words_world.WORKINGS):
        asked, _, opening = question.partition("? ")
        workings.append(Working(thing, explanation, asked + "?", opening, answer, tuple(wrong.split(","))))
    return tuple(workings)


PEOPLE = _people()
WOMEN = tuple(person for person in PEOPLE if person.she)
MEN = tuple(person for person in PEOPLE if not person.she)
KINDS = _kinds()
PORTABLE = tuple(kind for kind in KINDS if kind.weight <= 2)
COLORED = tuple(kind for kind in KINDS if kind.colored and kind.weight <= 2)
FURNITURE = tuple(kind for kind in KINDS if kind.category in ("furniture", "garden thing", "toy", "vehicle"))
INSTRUMENTS = tuple(kind for kind in KINDS if kind.category == "instrument")
PLACES = _places()
INDOORS = tuple(place for place in PLACES if place.group == "room")
YARDS = tuple(place for place in PLACES if place.group == "yard")
IN_PLACES = tuple(place for place in PLACES if place.preposition == "in")
AT_PLACES = tuple(place for place in PLACES if place.preposition == "at")
ON_PLACES = tuple(place for place in PLACES if place.preposition == "on")
TOWNS = tuple(words_world.TOWNS.split())
OCCUPATIONS = tuple(Occupation(*row) for row in _rows(words_people.OCCUPATIONS))
KINSHIP = tuple(tuple(row.split()) for row in words_people.KINSHIP.strip().splitlines())
FEELINGS = tuple((feeling, reason) for feeling, reason in _rows(words_people.FEELINGS))
MANNERS = tuple(words_people.MANNERS.split())
TRAITS = tuple(words_people.TRAITS.split())
HABITS = tuple((now, past) for now, past in _rows(words_people.HABITS))
HAIR = tuple(words_people.HAIR.split())
SIZES = tuple(words_things.SIZES.split())
CONDITIONS = tuple(words_things.CONDITIONS.split())
COLORS = tuple(words_things.COLORS.split())
FOODS = tuple(_pair(word) for word in words_things.FOODS.split())
MASS_FOODS = tuple(tuple(item.split(";")) for item in words_things.MASS_FOODS.split())
RAW_FOODS = tuple(food for food in FOODS if food[0] in words_things.RAW_FOODS.split())
ANIMALS = _animals()
TAME = tuple(animal for animal in ANIMALS if animal.noun in words_things.SMALL_ANIMALS.split())
TRICKY = tuple(_pair(word) for word in words_things.TRICKY_PLURALS.split())
NOUNS = TRICKY + tuple((kind.noun, kind.plural) for kind in KINDS) + FOODS
WEATHER = tuple(
    (name, clause, tuple(seasons.split())) for name, clause, seasons in _rows(words_world.WEATHER)
)
SEASONS = tuple(words_world.SEASONS.split())
DAYS = tuple(words_world.DAYS.split())
MONTHS = tuple(words_world.MONTHS.split())
SEASON_MONTHS = {
    "winter": ("December", "January", "February"),
    "spring": ("March", "April", "May"),
    "summer": ("June", "July", "August"),
    "autumn": ("September", "October", "November"),
}
DAY_TIMES = _items(words_world.DAY_TIMES)
OPPOSITES = tuple(tuple(pair.split()) for pair in _items(words_world.OPPOSITES))
CAUSES = tuple(Cause(*row) for row in _rows(words_world.CAUSES))
WORKINGS = _workings()
DETAILS = _items(words_world.DETAILS)
MORALS = _items(words_world.MORALS)
NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]
