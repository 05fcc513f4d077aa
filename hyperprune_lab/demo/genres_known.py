"""Genres that explain and list: lesson, ledger, portrait, riddle, recipe and explanation.

Each genre arranges scenes; none decides which seed it gets or how long stories may be.
"""

from __future__ import annotations

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo import scenes_lessons as lessons
from hyperprune_lab.demo import scenes_people as folk
from hyperprune_lab.demo import scenes_things as things
from hyperprune_lab.demo.genres_told import ending, opening
from hyperprune_lab.demo.lexicon import article
from hyperprune_lab.demo.narrator import Narrator, joined, number

_FOR_SALE = tuple((kind.noun, kind.plural) for kind in words.PORTABLE) + words.FOODS


def lesson(n: Narrator) -> None:
    """A lesson at school: opposites, plurals, verbs that agree, rows that go on."""
    teacher = n.person()
    pupils = n.people(3)
    n.say(
        n.pick(
            (
                "{t} was teaching the class.",
                "The lesson began, and {t} wrote on the board.",
                "In the school of {w} the teacher was called {t}.",
                "{t} rang the bell, and the pupils sat down.",
            )
        ).format(t=teacher.name, w=n.pick(words.TOWNS))
    )
    n.say(
        n.pick(("{} sat in the first row.", "{} were listening.", "{} had opened their notebooks.")).format(
            joined([pupil.name for pupil in pupils])
        )
    )
    parts = n.some((0, 1, 2, 3, 4, 5), 4)
    for part in parts:
        if n.chance(0.4):
            n.say(
                n.pick(
                    (
                        '"Now listen," said {t}.',
                        '"Next question," said {t}.',
                        '"Who knows the answer?" asked {t}.',
                        '"{p}, pay attention," said {t}.',
                        "{t} walked between the desks.",
                        "{p} raised a hand.",
                    )
                ).format(t=teacher.name, p=n.pick(pupils).name)
            )
        if part == 0:
            lessons.opposites(n, n.between(2, 3))
        elif part == 1:
            lessons.plurals(n, words.NOUNS, n.between(1, 3))
        elif part == 2:
            for _ in range(n.between(1, 3)):
                lessons.agreement(n, words.NOUNS)
        elif part == 3:
            lessons.series(n)
        elif part == 4:
            folk.comparison(n, pupils)
        else:
            things.counting(n, pupils[0], pupils[1], ("pencil", "pencils"))
        if n.chance(0.3):
            n.paragraph()
    if n.chance(0.6):
        lessons.remember(n, "teacher", teacher.name, [pupil.name for pupil in pupils])
    elif n.chance(0.5):
        ending(n)


def ledger(n: Narrator) -> None:
    """A record of goods: entries, sums and a closing check."""
    keeper, other = n.people(2)
    goods = n.some(_FOR_SALE, 5)
    day = n.pick(words.DAYS)
    n.say(
        n.pick(
            (
                "{k} kept the records of the {p} in {t}.",
                "This is the ledger of {k}, who ran the {p} in {t}.",
                "Every {d} {k} counted everything in the {p} of {t}.",
            )
        ).format(
            k=keeper.name,
            p=n.pick(("store", "warehouse", "shop", "storehouse")),
            t=n.pick(words.TOWNS),
            d=day,
        )
    )
    n.paragraph("\n")
    n.say(f"{day}, {n.between(1, 28)} {n.pick(words.MONTHS)}.")
    for _, many in goods[:3]:
        n.say(
            n.pick(
                ("{m}: {c}.", "{m} on the shelf: {c}.", "Received: {c} {l}.", "Delivered by {o}: {c} {l}.")
            ).format(m=many.capitalize(), c=n.between(11, 90), l=many, o=other.name)
        )
    n.paragraph("\n")
    for good in goods[3 : 3 + n.between(1, 2)]:
        things.counting(n, keeper, other, good, steps=1)
        n.paragraph("\n")
    if n.chance(0.6):
        lessons.agreement(n, goods)
    if n.chance(0.5):
        lessons.series(n)
    if n.chance(0.5):
        things.materials(n)
    if n.chance(0.5):
        lessons.packing(n, other, n.between(3, 4))
    else:
        things.location(n, (keeper, other), things=2, moves=1, asks=1)
    if n.chance(0.4):
        n.say(
            n.pick(
                (
                    "{} signed the page and closed the book.",
                    "Everything was correct, and {} put the pen away.",
                    "{} added the numbers twice.",
                )
            ).format(keeper.name)
        )


def portrait(n: Narrator) -> None:
    """A person or a town described."""
    person, friend, third = n.people(3)
    if n.chance(0.3):
        opening(n)
        n.forget()
    folk.trade(n, person)
    traits = n.some(words.TRAITS, 3)
    if n.chance(0.3):
        word = article(traits[2] + " word")
        n.say(
            f"{n.subject(person)} was {traits[0]} and {traits[1]}, but sometimes {word} was enough to make "
            f"{person.object} blush."
        )
    else:
        n.say(f"{n.subject(person)} was {traits[0]}, {traits[1]} and {traits[2]}.")
    habits = n.some(words.HABITS, 2)
    subject, hair = n.subject(person), n.pick(words.HAIR)
    n.say(f"{subject} had {hair} hair and {n.pick(('blue', 'brown', 'green', 'gray'))} eyes.")
    n.say(
        n.pick(
            ("{s} {a} and {b}.", "{s} {a}. Besides, {x} {b}.", "Every neighbor knew that {s} {a} and {b}.")
        ).format(s=n.subject(person), x=person.subject, a=habits[0][1], b=habits[1][1])
    )
    things.colors(n, person, things=n.between(2, 3), asks=n.between(1, 2))
    n.paragraph()
    folk.kinship(n, friend, person)
    folk.comparison(n, (person, friend, third))
    folk.feeling(n, friend)
    if n.chance(0.5):
        folk.pronoun(n, *folk.couple(n, (person, friend, third)))
    else:
        things.possession(n, (person, friend, third), things=2, gifts=1, asks=1)
    if n.chance(0.4):
        ending(n)


def riddle(n: Narrator) -> None:
    """Riddles about animals and opposites, asked by one person and answered by another."""
    asker, other = n.people(2)
    n.say(
        n.pick(
            (
                "{a} knew many riddles.",
                "{a} asked {b} some riddles.",
                "On long evenings {a} and {b} told riddles.",
            )
        ).format(a=asker.name, b=other.name)
    )
    animals = n.some(words.ANIMALS, 3)
    n.paragraph("\n")
    for animal in animals:
        n.say(
            n.pick(
                (
                    "It lives {h}, it {s}, and it {d}. What is it? It is {a}.",
                    "What animal {s} and {d}? {A} does.",
                    "Question: Which animal {d}? Answer: {A}.",
                    "It {d}. You find it {h}. What is it? It is {a}.",
                )
            ).format(
                h=animal.home,
                s=animal.sound,
                d=animal.habit,
                a=article(animal.noun),
                A=article(animal.noun).capitalize(),
            )
        )
        n.paragraph("\n")
    lessons.opposites(n, 2)
    n.paragraph("\n")
    lessons.plurals(n, tuple((animal.noun, animal.plural) for animal in words.ANIMALS), n.between(1, 2))
    if n.chance(0.5):
        lessons.series(n)
    if n.chance(0.5):
        things.materials(n)
    if n.chance(0.5):
        folk.comparison(n, n.people(3))
    n.say(
        n.pick(
            (
                '"That was too easy," said {b}.',
                '"Now it is your turn," said {a}.',
                "{b} had guessed every riddle.",
                "Nobody could guess the last one, and {a} laughed.",
            )
        ).format(a=asker.name, b=other.name)
    )


def recipe(n: Narrator) -> None:
    """Instructions in order, and what came of them."""
    cook, eater = n.people(2)
    dish = n.pick(("soup", "bread", "cake", "stew", "pie", "porridge", "salad", "pudding"))
    (main, measure), (second, other_measure) = n.some(words.MASS_FOODS, 2)
    one, many = n.pick(words.RAW_FOODS)
    steps = (
        f"Wash {number(n.between(2, 9))} {many} and cut them into pieces",
        f"Mix {number(n.between(2, 6))} {measure} of {main} with "
        f"{number(n.between(2, 6))} {other_measure} of {second}",
        f"Heat the {n.pick(('pot', 'pan', 'kettle'))} over "
        f"a {n.pick(('small', 'low', 'strong', 'good'))} fire",
        f"Stir {n.pick(words.MANNERS[:4])} until "
        f"the mixture is {n.pick(('smooth', 'thick', 'warm', 'golden'))}",
        f"Wait for {number(n.between(5, 20))} minutes",
        f"Add the rest of the {main}",
    )
    n.say(
        n.pick(
            (
                "This is how {c} makes {d}.",
                "{c} wrote down the recipe for {d}.",
                "To make {d} like {c}, do this.",
            )
        ).format(c=cook.name, d=f"{n.pick(('good', 'plain', 'sweet', 'simple'))} {dish}")
    )
    n.paragraph()
    order = (
        ("First", "Second", "Third", "After that", "Then", "Finally")
        if n.chance(0.5)
        else ("Step one:", "Step two:", "Step three:", "Step four:", "Step five:", "Step six:")
    )
    for position, step in enumerate(steps):
        word = order[position]
        text = step[0].lower() + step[1:]
        n.say(f"{word} {text}." if word.endswith(":") else f"{word}, {text}.")
    n.paragraph()
    lessons.packing(n, cook, n.between(3, 4))
    n.forget()
    n.say(
        n.pick(
            ("{e} tasted the {d} and was {f}.", "When {e} came home, the {d} was ready, and {e} was {f}.")
        ).format(e=eater.name, d=dish, f=n.pick(("delighted", "surprised", "content", "pleased")))
    )
    if n.chance(0.5):
        things.counting(n, eater, cook, (one, many))
    else:
        things.location(n, (cook, eater), things=2, moves=1, asks=1)
    if n.chance(0.5):
        folk.cause(n, cook)


def explanation(n: Narrator) -> None:
    """How things work, with questions that check the reading."""
    teacher, pupil = n.people(2)
    chosen = n.some(words.WORKINGS, 2)
    if n.chance(0.4):
        n.say(
            n.pick(
                (
                    "{p} wanted to know how things work, and {t} explained it.",
                    "{t} explained the world to {p}.",
                    '"Explain it to me," said {p}. So {t} began.',
                )
            ).format(t=teacher.name, p=pupil.name)
        )
    for working in chosen:
        n.say(
            n.pick(("How does {a} work?", "This is how {a} works.", "Think of {a}.")).format(
                a=article(working.thing)
            )
            if working.thing not in ("rain", "echo")
            else f"Where does {working.thing} come from?"
            if working.thing == "rain"
            else "What is an echo?"
        )
        n.say(working.explanation)
        n.ask("explanation", working.question, working.opening, working.answer, working.wrong)
        if n.chance(0.5):
            n.paragraph()
    folk.cause(n, pupil, asks=n.between(1, 2))
    if n.chance(0.5):
        things.materials(n)
    if n.chance(0.4):
        lessons.agreement(n, words.NOUNS)
    if n.chance(0.4):
        lessons.opposites(n, 2)


KNOWN = {
    "lesson": lesson,
    "ledger": ledger,
    "portrait": portrait,
    "riddle": riddle,
    "recipe": recipe,
    "explanation": explanation,
}
