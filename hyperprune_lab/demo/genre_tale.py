"""The tale: a small plot whose slots are filled with people, things and numbers.

Does not know the plots; it fills whatever `plots` offers.
"""

from __future__ import annotations

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo import scenes_people as folk
from hyperprune_lab.demo.genres_told import ending
from hyperprune_lab.demo.lexicon import article
from hyperprune_lab.demo.narrator import Narrator, number
from hyperprune_lab.demo.plots import PLOTS


def tale(n: Narrator) -> None:
    """A small plot with a beginning, a difficulty and an end, and questions about it."""
    a, b = n.person(True), n.person(False)
    if n.chance(0.5):
        a, b = b, a
    third = n.person()
    plot = n.pick(PLOTS)
    slots = {"A": a.name, "B": b.name, "C": third.name}
    for key, person in (("a", a), ("b", b)):
        slots |= {
            f"he_{key}": person.subject,
            f"him_{key}": person.object,
            f"his_{key}": person.possessive,
            f"He_{key}": person.subject.capitalize(),
        }
    x, y = n.item(plain=0.0), n.item(words.FURNITURE, plain=0.0)
    places = n.some(n.pick((words.INDOORS, words.YARDS, words.AT_PLACES)), 3)
    for key, place in zip("pqr", places, strict=True):
        slots |= {key: place.noun, f"in_{key}": place.where}
    numbers = n.some(range(3, 13), 3)
    numbers[:2] = sorted(numbers[:2], reverse=True)
    jobs, foods, towns = n.some(words.OCCUPATIONS, 2), n.some(words.FOODS, 3), n.some(words.TOWNS, 2)
    animals, tunes = n.some(words.TAME, 3), n.some(words.INSTRUMENTS, 3)
    hues = n.some(words.COLORS, 2)
    slots |= {
        "a_job": article(jobs[0].noun),
        "x": x.noun,
        "ax": article(x.full),
        "ax_plain": article(x.noun),
        "y": y.noun,
        "ay": article(y.full),
        "prep": places[0].preposition,
        "n": number(numbers[0]),
        "m": number(numbers[1]),
        "k": number(numbers[2]),
        "job": jobs[0].noun,
        "jobs": jobs[1].noun,
        "one": foods[0][0],
        "many": foods[0][1],
        "food2": foods[1][1],
        "food3": foods[2][1],
        "t": towns[0],
        "u": towns[1],
        "animal": animals[0].noun,
        "an_animal": article(animals[0].noun),
        "animal2": animals[1].noun,
        "animal3": animals[2].noun,
        "day": n.pick(words.DAYS),
        "a_wrong": article(n.item().full),
        "fruit": n.pick(("cherry", "peach", "plum")),
        "color": hues[0],
        "Color": hues[0].capitalize(),
        "color2": hues[1],
        "tune": tunes[0].noun,
        "a_tune": article(tunes[0].noun),
        "tune2": tunes[1].noun,
        "tune3": tunes[2].noun,
    }
    if n.chance(0.5):
        n.detail()
    for index, beat in enumerate(plot.beats):
        n.say(n.pick(beat).format_map(slots))
        if index == len(plot.beats) // 2 and n.chance(0.5):
            n.paragraph()
    if n.chance(0.5):
        n.paragraph()
    if any(question.skill == "location" for question in plot.questions):
        n.state.put(x, places[2])
    if plot.owner:
        n.state.take({"A": a, "B": b, "C": third}[plot.owner], x)
    for question in n.some(plot.questions, min(len(plot.questions), n.between(1, 3))):
        n.ask(
            question.skill,
            question.text.format_map(slots),
            question.opening.format_map(slots),
            slots[question.answer],
            [slots[wrong] for wrong in question.wrong],
            question.closing.format_map(slots),
        )
    if n.chance(0.4):
        folk.pronoun(n, *((a, b) if a.she else (b, a)))
    elif n.chance(0.4):
        folk.comparison(n, n.shuffled((a, b, third)))
    if n.chance(0.4):
        ending(n)
