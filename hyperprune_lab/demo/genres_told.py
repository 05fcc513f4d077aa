"""Genres that tell of a day: household, market and journey.

Each genre arranges scenes; none decides which seed it gets or how long stories may be.
"""

from __future__ import annotations

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo import scenes_lessons as lessons
from hyperprune_lab.demo import scenes_people as folk
from hyperprune_lab.demo import scenes_things as things
from hyperprune_lab.demo.lexicon import article
from hyperprune_lab.demo.narrator import Narrator, joined, number

_SUNLESS = ("in the evening", "at dawn", "after supper", "late at night")


def opening(n: Narrator, town: str = "") -> None:
    """When the story happens and what the weather is like; in `town` if one is given."""
    weather, clause, seasons = n.pick(words.WEATHER)
    season = n.pick(seasons)
    form = n.between(0, 5)
    if form == 0:
        month = n.pick(words.SEASON_MONTHS[season])
        n.say(f"It was {article(weather + ' ' + n.pick(words.DAYS))} in {month}, and {clause}.")
    elif form == 1:
        n.say(f"One {weather} day in {season}, {n.pick(words.DETAILS)}.")
    elif form == 2:
        n.say(f"On {n.pick(words.DAYS)} {clause}.")
    elif form == 3:
        time = n.pick(words.DAY_TIMES)
        n.say(f"{'at noon' if time in _SUNLESS and weather in ('sunny', 'hot') else time} {clause}.")
    elif form == 4 and town:
        n.say(f"This happened in {town}, where {clause}.")
    else:
        n.detail()


def ending(n: Narrator) -> None:
    """A last sentence: a feeling of the day or a moral."""
    n.forget()
    if n.chance(0.5):
        n.say(n.pick(words.MORALS))
    else:
        n.say(
            n.pick(
                (
                    "After that everybody went home.",
                    "The rest of the day was quiet.",
                    "And so the day ended.",
                    "Nobody spoke of it again until winter.",
                    "They laughed about it for a long time.",
                    "Then the lamps were put out.",
                    "In the evening they told the whole story again.",
                    "From then on they always checked twice.",
                    "That was all, and it was enough.",
                    "By nightfall everything was in order.",
                )
            )
        )


def household(n: Narrator) -> None:
    """A day in a house: things are put away, found and passed on."""
    cast = n.people(3)
    opening(n, n.pick(words.TOWNS))
    n.say(
        n.pick(
            (
                "{} lived in the same house.",
                "{} were at home.",
                "{} shared a small house.",
                "{} were cleaning the house.",
                "{} had come together for the day.",
            )
        ).format(joined([person.name for person in cast]))
    )
    if n.chance(0.4):
        folk.kinship(n, cast[0], cast[1])
    if n.chance(0.6):
        folk.feeling(n, cast[0])
    things.location(n, cast, things=2, moves=n.between(0, 2), asks=n.between(1, 2), pools=(words.INDOORS,))
    n.paragraph()
    things.possession(n, cast, things=2, gifts=n.between(1, 2), asks=n.between(1, 2))
    if n.chance(0.5):
        folk.feeling(n, n.pick(cast))
    if n.chance(0.4):
        folk.pronoun(n, *folk.couple(n, cast))
    elif n.chance(0.4):
        things.colors(n, cast[0])
    elif n.chance(0.5):
        things.materials(n)
    if n.chance(0.6):
        ending(n)


GOODS = (
    "{s} had {c} for sale.",
    "{s} sold {c}.",
    "{s} praised {p} {c}.",
    "{s} stood behind a table full of {c}.",
)


def market(n: Narrator) -> None:
    """Buying and selling: numbers change and goods go from hand to hand."""
    cast = n.people(3)
    town = n.pick(words.TOWNS)
    opening(n, town)
    n.say(f"{n.name(cast[0])} went to the market in {town}.")
    seller = cast[1]
    n.forget()
    n.say(
        n.pick(GOODS).format(
            s=n.name(seller), p=seller.possessive, c=joined([many for _, many in n.some(words.FOODS, 3)])
        )
    )
    fruit = n.pick(words.FOODS)
    things.counting(n, cast[0], seller, fruit, steps=n.between(1, 2))
    n.paragraph()
    price = n.between(2, 9)
    wanted = n.item()
    buyer = n.pick((cast[0], cast[2]))
    n.say(
        n.pick(
            (
                '"How much is {t}?" asked {b}. "{P} coins," said {s}.',
                '"What does {t} cost?" {b} wanted to know. {s} thought for a moment and asked for {p} coins.',
                '{b} looked at {t} for a long time. "{P} coins, not one less," said {s}.',
            )
        ).format(
            t="the " + wanted.full, b=buyer.name, s=seller.name, p=number(price), P=number(price).capitalize()
        )
    )
    n.say(
        n.pick(
            ("{b} paid {p} coins and took {o}.", "{b} put {p} coins on the table, and {o} was sold.")
        ).format(b=buyer.name, p=number(price), o=wanted.the)
    )
    n.state.take(buyer, wanted)
    if n.chance(0.5):
        other = cast[2] if buyer is cast[0] else cast[0]
        things.hand_over(n, buyer, other, wanted)
    things.ask_holder(n, wanted, cast)
    if n.chance(0.5):
        things.colors(n, cast[2], things=n.between(2, 3))
    elif n.chance(0.5):
        folk.cause(n, cast[2])
    else:
        things.counting(n, cast[2], cast[1], n.pick([food for food in words.FOODS if food is not fruit]))
    if n.chance(0.5):
        ending(n)


def journey(n: Narrator) -> None:
    """Travelers, a guide whose name matters at the end, and places in order."""
    cast = n.people(2)
    guide = n.person()
    role = n.pick(("guide", "captain", "ferryman", "driver", "innkeeper", "pilot"))
    others = [cast[0].name, cast[1].name]
    first, goal = n.some(words.TOWNS, 2)
    n.say(
        n.pick(
            (
                "{a} and {b} traveled from {f} to {g}.",
                "{a} and {b} set out for {g}.",
                "Long before dawn {a} and {b} left {f}.",
            )
        ).format(a=cast[0].name, b=cast[1].name, f=first, g=goal)
    )
    n.say(
        n.pick(
            (
                "Their {r} was called {n}.",
                "The {r} was called {n}.",
                "The name of the {r} was {n}.",
                "A {r} named {n} went with them.",
            )
        )
        .format(r=role, n=f"{guide.name} {guide.surname}")
        .replace("A innkeeper", "An innkeeper")
    )
    lessons.packing(n, cast[0], n.between(3, 5))
    n.paragraph()
    opening(n)
    stops = n.some(words.AT_PLACES + words.ON_PLACES, 3)
    n.say(
        n.pick(
            (
                "First they stopped {0}, then {1}, and finally {2}.",
                "They rested {0}. After that they came past a well, "
                "and later they slept {1}. The last stop was {2}.",
                "On the first day they stayed {0}, on the second {1}, and on the third {2}.",
            )
        ).format(*(stop.where for stop in stops))
    )
    folk.feeling(n, n.pick(cast))
    if n.chance(0.6):
        folk.cause(n, n.pick(cast))
    else:
        things.possession(n, cast, things=2, gifts=1, asks=1)
    if n.chance(0.5):
        n.detail()
    if n.chance(0.7):
        lessons.remember(n, role, guide.name, others)
    n.say(
        n.pick(
            (
                "At last they reached {g}.",
                "On the fourth day they saw the roofs of {g}.",
                "When they arrived in {g}, the lamps were burning.",
            )
        ).format(g=goal)
    )
    if n.chance(0.4):
        ending(n)


TOLD = {
    "household": household,
    "market": market,
    "journey": journey,
}
