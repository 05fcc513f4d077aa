"""Scenes about people and reasons: pronouns, comparisons, causes, family, feelings and trades.

Each scene changes the narrator's state and may ask about it; none knows in which genre it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo.lexicon import Person, article
from hyperprune_lab.demo.narrator import Narrator

# {a} is the person meant by the pronoun {s}; {b} has the other pronoun. Then the question.
PRONOUNS = (
    ("{a} waved to {b} because {s} was leaving.", "Who was leaving?"),
    ("{a} thanked {b} when {s} had eaten.", "Who had eaten?"),
    ("{b} waited for {a} because {s} was late.", "Who was late?"),
    ("{b} helped {a} because {s} was tired.", "Who was tired?"),
    ("{a} called {b} because {s} needed help.", "Who needed help?"),
    ("{b} listened to {a} while {s} was singing.", "Who was singing?"),
    ("{a} met {b} at the gate, and {s} was smiling.", "Who was smiling?"),
    ("{b} saw {a} by the well, and {s} looked worried.", "Who looked worried?"),
    ("{a} asked {b} a question because {s} was curious.", "Who was curious?"),
    ("{b} gave {a} a blanket because {s} was cold.", "Who was cold?"),
    ("{a} sat beside {b}, and {s} was reading.", "Who was reading?"),
    ("{b} looked for {a}, but {s} was hiding.", "Who was hiding?"),
    ("{a} spoke with {b} before {s} went to sleep.", "Who went to sleep?"),
    ("{b} wrote to {a} although {s} was far away.", "Who was far away?"),
    ("{a} walked with {b} until {s} was tired.", "Who was tired?"),
    ("When {a} visited {b}, {s} was very happy.", "Who was very happy?"),
    ("When {b} came to see {a}, {s} was very busy.", "Who was very busy?"),
    ("{a} played chess with {b}, and {s} won.", "Who won?"),
    ("{b} raced against {a}, and {s} won.", "Who won?"),
    ("{b} talked to {a} because {s} seemed sad.", "Who seemed sad?"),
)


def couple(n: Narrator, cast: Sequence[Person]) -> tuple[Person, Person]:
    """A woman and a man, from `cast` where it has both; newcomers fill the gap."""
    women = [person for person in cast if person.she]
    men = [person for person in cast if not person.she]
    return n.pick(women) if women else n.person(True), n.pick(men) if men else n.person(False)


def pronoun(n: Narrator, woman: Person, man: Person) -> None:
    """A pronoun that only one of a woman and a man can bear, and the question whom it means."""
    meant, other = (woman, man) if n.chance(0.5) else (man, woman)
    sentence, question = n.pick(PRONOUNS)
    n.forget()
    n.say(sentence.format(a=meant.name, b=other.name, s=meant.subject))
    if n.chance(0.3):
        n.detail()
    closing = "." if question.startswith("Who won") else f" {question[4:-1]}."
    n.ask("pronoun", question, "", meant.name, [woman.name, man.name], closing if n.chance(0.6) else ".")


MEASURES = (
    ("taller", "tallest", "shortest", "shorter"),
    ("older", "oldest", "youngest", "younger"),
    ("faster", "fastest", "slowest", "slower"),
    ("stronger", "strongest", "weakest", "weaker"),
    ("richer", "richest", "poorest", "poorer"),
)


def comparison(n: Narrator, people: Sequence[Person]) -> None:
    """A is more than B and B is more than C, told in either direction; then a question that needs both."""
    more, most, least, less = n.pick(MEASURES)
    ranked = n.shuffled(people)
    n.state.rank(more, ranked)
    facts = []
    for left, right in pairwise(ranked):
        facts.append(
            f"{left.name} was {more} than {right.name}"
            if n.chance(0.5)
            else f"{right.name} was {less} than {left.name}"
        )
    facts = n.shuffled(facts)
    n.forget()
    if len(facts) == 2 and n.chance(0.5):
        n.say(f"{facts[0]}, and {facts[1]}.")
    else:
        for fact in facts:
            n.say(fact + ".")
    # The one in the middle is named twice and is never the answer, so it would only help a reader who counts.
    wrong = [ranked[0].name, ranked[-1].name]
    form = n.between(0, 2)
    if form == 0:
        n.ask("comparison", f"Who was the {most}?", "", ranked[0].name, wrong, f" was the {most}.")
    elif form == 1:
        n.ask("comparison", f"Who was the {least}?", "", ranked[-1].name, wrong, f" was the {least}.")
    else:
        pair = n.shuffled((ranked[0], ranked[-1]))
        answer = pair[0] if n.state.exceeds(more, *pair) else pair[1]
        n.ask(
            "comparison",
            f"Who was {more}, {pair[0].name} or {pair[1].name}?",
            "",
            answer.name,
            [person.name for person in pair],
            f" was {more}.",
        )


def cause(n: Narrator, person: Person, asks: int = 1) -> None:
    """Two things happen for two reasons; the reader is asked for one of the reasons."""
    pair = n.some(words.CAUSES, 2)
    n.forget()
    for event in pair:
        form = n.pick(
            (
                "{e} because {c}.",
                "{C}, so {e}.",
                "Because {c}, {e}.",
                "{e}, for {c}.",
                "{C}, and that is why {e}.",
                "{e}. The reason was that {c}.",
            )
        )
        n.say(form.format(e=event.effect, c=event.cause, C=event.cause))
        if n.chance(0.4):
            n.say(f"{n.name(person)} {event.reaction}.")
            n.forget()
    for index in n.some((0, 1), asks):
        event = pair[index]
        subject, verb, rest = _split(event.effect)
        n.ask(
            "cause",
            f"Why {verb} {subject} {rest}?",
            f"Because {_opening(event.cause, pair[1 - index].cause)}".strip(),
            _rest(event.cause, pair[1 - index].cause),
            [_rest(pair[1 - index].cause, event.cause)],
        )


def _split(clause: str) -> tuple[str, str, str]:
    """ "the floor was wet" as "the floor", "was", "wet"."""
    for verb in (" was ", " were "):
        if verb in clause:
            subject, rest = clause.split(verb, 1)
            return subject, verb.strip(), rest
    raise ValueError(clause)


def _shared(left: str, right: str) -> int:
    """How many words two clauses share at their beginning."""
    count = 0
    for first, second in zip(left.split(), right.split(), strict=False):
        if first != second:
            break
        count += 1
    return count


def _opening(cause: str, other: str) -> str:
    return " ".join(cause.split()[: _shared(cause, other)])


def _rest(cause: str, other: str) -> str:
    return " ".join(cause.split()[_shared(cause, other) :])


def kinship(n: Narrator, elder: Person, other: Person) -> None:
    """A family tie said once in one direction and once in the other."""
    ties = [tie for tie in words.KINSHIP if (tie[3] == "she") == elder.she]
    tie, for_she, for_he, _ = n.pick(ties)
    n.forget()
    n.say(
        n.pick(
            (
                "{e} was the {t} of {o}, so {o} was the {i} of {e}.",
                "{e} was {o}'s {t}, and {o} was {e}'s {i}.",
            )
        ).format(e=elder.name, o=other.name, t=tie, i=for_she if other.she else for_he)
    )


def feeling(n: Narrator, person: Person) -> None:
    """How somebody feels and why."""
    mood, reason = n.pick(words.FEELINGS)
    reason = reason.format(s=person.subject, p=person.possessive)
    name = n.subject(person)
    n.say(
        n.pick(
            (
                f"{name} was {mood} because {reason}.",
                f"{name} felt {mood}, for {reason}.",
                f"{name} was {mood}. After all, {reason}.",
                f"No wonder {name} was {mood}: {reason}.",
                f"{name} looked {mood} that day, because {reason}.",
            )
        )
    )


def trade(n: Narrator, person: Person) -> words.Occupation:
    """What somebody does for a living."""
    work = n.pick(words.OCCUPATIONS)
    n.say(
        n.pick(("{s} was {a}. {A} {d}.", "{s} worked as {a}.", "{s} was {t} {a} who always had enough {k}."))
        .format(
            s=n.subject(person),
            a=article(work.noun),
            A=article(work.noun).capitalize(),
            d=work.does,
            k=work.stock,
            t="",
        )
        .replace("  ", " ")
    )
    return work
