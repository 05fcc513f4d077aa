"""Scenes about things: who has them, where they are, what they look like and how many there are.

Each scene changes the narrator's state and may ask about it; none knows in which genre it is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo.lexicon import Person, Place, article
from hyperprune_lab.demo.narrator import Narrator, number
from hyperprune_lab.demo.state import Item

TAKE = (
    "{s} took {o}.",
    "{s} picked up {o}.",
    "{s} found {a} in the corner and kept it.",
    "{o} was given to {n}.",
    "{s} had {a}.",
    "{s} bought {a} from a trader.",
    "{s} received {a} as a present.",
    "{s} was carrying {a}.",
    "{a} was handed to {n}.",
    "{s} held {a} under one arm.",
    "{s} had borrowed {a} from a neighbor.",
    "{s} brought {a} from home.",
    "{s} owned {a}, which came from {t}.",
    "{s} had inherited {a}.",
)
GIVE = (
    "{s} gave {o} to {r}.",
    "{s} handed {o} to {r}.",
    "{s} lent {o} to {r}, who needed it.",
    "{r} took {o} from {s}.",
    "{o} was passed from {s} to {r}.",
    "{s} sold {o} to {r} for a fair price.",
    "{r} asked for {o}, and {s} gave it away.",
    "Then {s} offered {o} to {r}, and {r} accepted it.",
    "Because {s} did not need {o}, {r} got it.",
    "A little later {r} received {o} from {s}.",
    "{s} let {r} have {o}.",
    '"Please take {o}," said {s}, and {r} took it.',
    '"May I have {o}?" asked {r}. {s} nodded and gave it away.',
    "{o} went from {s} to {r}.",
)
PUT = (
    "{s} put {o} {w}.",
    "{s} left {o} {w}.",
    "{s} carried {o} {to} and left it there.",
    "{s} hid {o} {w}.",
    "{o} was placed {w} by {n}.",
    "{s} forgot {o} {w}.",
    "{s} went {to} and put {o} down.",
    "{s} stored {o} {w}.",
    "Then {s} set {o} down {w}.",
    "As always {s} kept {o} {w}.",
)
MOVE = (
    "Later {s} moved {o} {to}.",
    "{s} took {o} {to}.",
    "{s} brought {o} {to}, where it was dry.",
    "After a while {o} was moved {to}.",
    "But {o} was in the way, so {s} carried it {to}.",
    "In the end {s} decided to bring {o} {to}.",
    '"{O} should not stay here," said {s}, and carried it {to}.',
)
REASONS = (
    "it was getting dark",
    "there was work to do",
    "the others were waiting",
    "it might be useful",
    "it looked valuable",
    "nobody else wanted it",
    "the weather could change",
    "it had to be repaired",
    "guests were coming",
)


def introduce(n: Narrator, person: Person, item: Item) -> None:
    """`person` comes to have `item`."""
    subject = n.subject(person)
    n.say(
        n.pick(TAKE).format(
            s=subject, n=person.name, o="the " + item.full, a=article(item.full), t=n.pick(words.TOWNS)
        )
    )
    n.state.take(person, item)


def hand_over(n: Narrator, giver: Person, receiver: Person, item: Item) -> None:
    """`item` goes from one person to another."""
    sentence = n.pick(GIVE)
    n.say(sentence.format(s=n.name(giver), r=n.name(receiver), o=item.the))
    n.forget()
    n.state.take(receiver, item)


def ask_holder(n: Narrator, item: Item, cast: Sequence[Person]) -> None:
    holder = n.state.holder[item.noun]
    wrong = [person.name for person in cast]
    form = n.pick(
        (
            ("Who has {}?", "", " has {}."),
            ("Who has {} now?", "", " has {}."),
            ("Who has {}?", "It is with", "."),
            ("Who has {} now?", "Now it belongs to", "."),
        )
    )
    n.ask("possession", form[0].format(item.the), form[1], holder.name, wrong, form[2].format(item.the))


def possession(
    n: Narrator,
    cast: Sequence[Person],
    things: int = 2,
    gifts: int = 2,
    asks: int = 2,
    kinds: Sequence[words.Kind] = words.PORTABLE,
) -> list[Item]:
    """Each of some people gets a thing; some things change hands; the reader is asked who has what."""
    owners = n.some(cast, things) if things <= len(cast) else [n.pick(cast) for _ in range(things)]
    items = [n.item(kinds) for _ in owners]
    for owner, item in zip(owners, items, strict=True):
        introduce(n, owner, item)
    if n.chance(0.4):
        n.detail()
    for _ in range(gifts):
        item = n.pick(items)
        giver = n.state.holder[item.noun]
        hand_over(n, giver, n.pick([person for person in cast if person is not giver]), item)
    for item in n.some(items, min(asks, things)):
        ask_holder(n, item, cast)
    return items


def put_away(n: Narrator, person: Person, item: Item, place: Place) -> None:
    sentence = n.pick(PUT)
    by_name = "{n}" in sentence
    n.say(
        sentence.format(
            s="" if by_name else n.subject(person), n=person.name, o=item.the, w=place.where, to=place.to
        )
    )
    n.state.put(item, place)


def move(n: Narrator, person: Person, item: Item, place: Place) -> None:
    n.forget()
    sentence = n.pick(MOVE)
    subject = n.name(person) if "{s}" in sentence else ""
    n.say(sentence.format(s=subject, o=item.the, O=item.the.capitalize(), to=place.to))
    n.state.put(item, place)


def ask_place(n: Narrator, item: Item, places: Sequence[Place]) -> None:
    place = n.state.place[item.noun]
    form = n.pick(
        (
            ("Where is {}?", "{} is {} the"),
            ("Where was {}?", "{} was {} the"),
            ("Where can {} be found?", "{} is {} the"),
            ("Where did {} end up?", "It ended up {1} the"),
        )
    )
    n.ask(
        "location",
        form[0].format(item.the),
        form[1].format(item.the.capitalize(), place.preposition),
        place.noun,
        [other.noun for other in places],
    )


def location(
    n: Narrator,
    cast: Sequence[Person],
    things: int = 2,
    moves: int = 1,
    asks: int = 2,
    pools: Sequence[Sequence[Place]] = (words.INDOORS, words.YARDS, words.AT_PLACES, words.ON_PLACES),
) -> None:
    """Things are put in places of one kind, some are moved, and the reader is asked where they are."""
    places = n.some(n.pick(pools), things + 1)
    items = [n.item() for _ in range(things)]
    for item, place in zip(items, places, strict=False):
        put_away(n, n.pick(cast), item, place)
    for _ in range(moves):
        item = n.pick(items)
        now = n.state.place[item.noun]
        move(n, n.pick(cast), item, n.pick([place for place in places if place is not now]))
    for item in n.some(items, asks):
        ask_place(n, item, places)


START = (
    "{s} had {c} {p}.",
    "{s} counted {c} {p} on the table.",
    "There were {c} {p} in {g} basket, and {n} was proud of them.",
    "At first {s} had {c} {p}.",
    "{s} began the day with {c} {p}.",
    "{s} owned {c} {p}.",
    "In the morning {s} had {c} {p}.",
)
MORE = (
    "Then {s} bought {c} more.",
    "{o} gave {n} {c} more.",
    "{s} found {c} more.",
    "Another {c} {p} came in the afternoon.",
    "Then {n} got {c} more from {o}.",
    "A friend brought {c} more {p} for {n}.",
    "{s} earned {c} more by helping {o}.",
)
FEWER = (
    "Then {s} gave {c} of them to {o}.",
    "{s} sold {c} of them to {o}.",
    "{s} lost {c} of them on the way.",
    "{c} of the {p} were taken by {o}.",
    "{o} needed {c} {p}, so {n} gave them away.",
    "{s} threw {c} of them away.",
)


def counting(n: Narrator, person: Person, other: Person, noun: tuple[str, str], steps: int = 1) -> None:
    """Somebody has a number of things, gets more or loses some, and the reader is asked how many are left."""
    singular, many = noun
    start = n.state.add(person, singular, n.between(3, 9))
    n.forget()
    template = n.pick(START)
    subject = n.name(person) if "{s}" in template else ""
    n.say(template.format(s=subject, n=person.name, g=f"{person.name}'s", c=number(start), p=many))
    shown = [start]
    for _ in range(steps):
        now = n.state.count[person.name, singular]
        change = n.between(2, 5)
        more = now - change < 2 or (now + change <= 14 and n.chance(0.5))
        template = n.pick(MORE if more else FEWER)
        n.forget()
        n.say(template.format(s=person.name, n=person.name, o=other.name, c=number(change), p=many))
        shown += [change, n.state.add(person, singular, change if more else -change)]
    total = shown[-1]
    wrong = [number(value) for value in dict.fromkeys((start, total + 1, total - 1, shown[1])) if value > 1]
    form = n.pick(
        (
            ("How many {p} does {n} have now?", "{n} has"),
            ("How many {p} are left in the end?", "There are"),
            ("How many {p} does {n} have?", "{n} has"),
            ("How many {p} does that make?", "That makes"),
        )
        if total < start
        else (
            ("How many {p} does {n} have now?", "{n} has"),
            ("How many {p} does {n} have?", "{n} has"),
            ("How many {p} does that make?", "That makes"),
        )
    )
    n.ask(
        "counting",
        form[0].format(p=many, n=person.name),
        form[1].format(n=person.name),
        number(total),
        wrong,
        f" {many}.",
    )


LOOKS = (
    "{o} was {c}.",
    "The color of {o} was {c}.",
    "{o} was {c} and rather old.",
    "Everybody noticed {o}, because it was {c}.",
    "{o} was bright {c}.",
    "{n} had painted {o} {c}.",
    "On the wall hung a picture of {o}, which was {c}.",
)


def colors(n: Narrator, person: Person, things: int = 3, asks: int = 1) -> None:
    """Things have different colors, and the reader is asked for one."""
    items = [n.item(words.COLORED, plain=1.0) for _ in range(things)]
    hues = n.some(words.COLORS, things)
    for item, hue in zip(items, hues, strict=True):
        item.color = hue
    n.forget()
    if n.chance(0.5):
        shown = [f"{item.the} was {item.color}" for item in items]
        n.say(f"{', '.join(shown[:-1])}{' and ' if len(shown) == 2 else ', and '}{shown[-1]}.")
    else:
        for item in items:
            n.say(n.pick(LOOKS).format(o=item.the, c=item.color, n=person.name))
    for item in n.some(items, asks):
        n.ask("attribute", f"What color was {item.the}?", f"{item.the.capitalize()} was", item.color, hues)


def materials(n: Narrator, asks: int = 1) -> None:
    """Things are made of different stuff, and the reader is asked of what."""
    while True:
        items = [n.item(words.PORTABLE, plain=1.0) for _ in range(2)]
        stuffs = [
            n.pick([stuff for stuff in item.kind.materials if stuff in _STUFF] or ("",)) for item in items
        ]
        if all(stuffs) and stuffs[0] != stuffs[1]:
            break
    names = [_STUFF[stuff] for stuff in stuffs]
    n.forget()
    n.say(
        n.pick(
            (
                "{0} was made of {1}, and {2} was made of {3}.",
                "{0} was made of {1}, but somebody had made {2} of {3}.",
                "{0}, which was made of {1}, lay beside {2}, which was made of {3}.",
            )
        ).format(items[0].the, names[0], items[1].the, names[1])
    )
    index = n.between(0, 1)
    for chosen in (index, 1 - index)[:asks]:
        n.ask("attribute", f"What was {items[chosen].the} made of?", "It was made of", names[chosen], names)


_STUFF = {
    "tin": "tin",
    "copper": "copper",
    "wooden": "wood",
    "silver": "silver",
    "clay": "clay",
    "glass": "glass",
    "iron": "iron",
    "steel": "steel",
    "leather": "leather",
    "brass": "brass",
    "cotton": "cotton",
    "linen": "linen",
    "woolen": "wool",
    "gold": "gold",
    "paper": "paper",
    "cloth": "cloth",
}
