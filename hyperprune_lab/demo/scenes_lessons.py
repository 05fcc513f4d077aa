"""Scenes of learning by heart: lists, rows, opposites, one and many, verbs that agree, names to remember.

Each scene may ask about what it told; none knows in which genre it is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo.lexicon import Person
from hyperprune_lab.demo.narrator import Narrator, joined, number


def packing(n: Narrator, person: Person, count: int = 4) -> None:
    """A list is told, then told again from the start, so that the next thing on it is known."""
    things = ["the " + n.item(plain=1.0).noun for _ in range(count)]
    n.forget()
    n.say(
        n.pick(
            (
                "{s} packed {l}.",
                "{s} wrote a list: {l}.",
                "On {s}'s list stood {l}.",
                "{s} needed {l}.",
                "The bag of {s} held {l}.",
            )
        ).format(s=person.name, l=joined(things))
    )
    if n.chance(0.6):
        n.detail()
    known = n.between(1, count - 1)
    lead = n.pick(("Once more {s} read the list:", "{s} checked everything again:", "What was on the list?"))
    opening = ", ".join(things[:known]) + (" and" if known == count - 1 else ",")
    if lead.endswith("?"):
        opening = opening[0].upper() + opening[1:]
    rest = things[known + 1 :]
    closing = "" if not rest else f" and {rest[0]}" if len(rest) == 1 else f", {joined(rest)}"
    n.ask(
        "ordering",
        lead.format(s=person.name),
        opening,
        things[known],
        [thing for thing in things if thing != things[known]],
        closing + ".",
    )


SERIES = (words.DAYS, words.MONTHS, tuple(words.NUMBERS[1:13]), tuple(words.ORDINALS), words.SEASONS * 2)


def series(n: Narrator) -> None:
    """A well-known series is continued: days, months, numbers, ordinals or seasons."""
    row = n.pick(SERIES)
    length = 2 if row[0] == "spring" else 3
    start = n.between(0, len(row) - length - 1)
    known, answer = row[start : start + length], row[start + length]
    others = [word for word in n.some(row, 4) if word not in (answer, *known)]
    wrong = [*others[:2], known[-1]]
    question = n.pick(("What comes next?", "How does the row go on?", "Say them in order."))
    opening = ", ".join(known) + ","
    n.ask("ordering", question, opening[0].upper() + opening[1:], answer, wrong)


def opposites(n: Narrator, pairs: int = 3) -> None:
    """A lesson of opposites; asked without having been told, so that the pairs must be known."""
    chosen = n.some(words.OPPOSITES, pairs + 1)
    n.forget()
    for left, right in (n.shuffled(pair) for pair in chosen[:pairs]):
        n.say(
            n.pick(
                (
                    "The opposite of {l} is {r}.",
                    "{L} is the opposite of {r}.",
                    "{L} and {r} are opposites.",
                    "Nobody can mix up {l} and {r}, for they are opposites.",
                )
            ).format(l=left, r=right, L=left.capitalize())
        )
    asked, answer = n.shuffled(chosen[pairs])
    wrong = [n.pick(pair) for pair in chosen[:2]]
    n.ask(
        "opposite",
        n.pick(("What is the opposite of {}?", "And what is the opposite of {}?")).format(asked),
        f"The opposite of {asked} is",
        answer,
        wrong,
    )


def plurals(n: Narrator, nouns: Sequence[tuple[str, str]], told: int = 2) -> None:
    """One and many: the reader is asked for the plural after a number, or for the singular after one."""
    chosen = n.some([noun for noun in nouns if noun[0] != noun[1]], told + 1)
    n.forget()
    for one, many in chosen[:told]:
        n.say(
            n.pick(
                (
                    "One {o}, {c} {m}.",
                    "We say one {o}, but {c} {m}.",
                    "Here is one {o}, and there are {c} {m}.",
                )
            ).format(o=one, m=many, c=number(n.between(2, 9)))
        )
    one, many = chosen[told]
    count = number(n.between(2, 9))
    if n.chance(0.5):
        n.ask(
            "plural",
            n.pick(("How do we say it with more than one?", "And now with many?")),
            f"One {one}, {count}",
            many,
            [one],
        )
    else:
        n.ask(
            "plural",
            n.pick(("How do we say it with only one?", "And now with one?")),
            f"{count.capitalize()} {many}, one",
            one,
            [many],
        )


def agreement(n: Narrator, nouns: Sequence[tuple[str, str]]) -> None:
    """A verb that must agree with a noun which is not the nearest one."""
    (one, many), (near, nears) = n.some([noun for noun in nouns if noun[0] != noun[1]], 2)
    singular = n.chance(0.5)
    head = one if singular else many
    close = nears if n.chance(0.5) else near
    link = n.pick(("near", "beside", "behind", "in front of", "next to", "between the wall and"))
    form, tail = n.pick(
        (
            ("is are", n.pick(("old", "new", "small", "clean", "missing", "here"))),
            ("was were", n.pick(("old", "new", "lost", "gone", "ready", "there"))),
            ("has have", n.pick(("been moved", "been found", "a number", "a name", "been counted"))),
        )
    )
    right, wrong = form.split() if singular else form.split()[::-1]
    n.ask("agreement", "", f"The {head} {link} the {close}", right, [wrong], f" {tail}.")


def remember(n: Narrator, role: str, name: str, others: Sequence[str]) -> None:
    """Asks for a name that was told long before."""
    question = n.pick(("What was the name of the {}?", "Who was the {}?")).format(role)
    opening = n.pick(("The name of the {} was", "The {} was called")).format(role)
    n.ask("copying", question, opening, name, others)
