"""Scenes about people and reasons: pronouns, comparisons, causes, orders of things, and lessons of language.

Each scene changes the narrator's state and may ask about it; none knows in which genre it is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo.lexicon import Person, article
from hyperprune_lab.demo.narrator import Narrator, joined, number

# {a} is the person meant by the pronoun {s} ({p} possessive); {b} has the other pronoun. | question
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


MEASURES = (("taller", "tallest", "shortest", "shorter"), ("older", "oldest", "youngest", "younger"),
            ("faster", "fastest", "slowest", "slower"), ("stronger", "strongest", "weakest", "weaker"),
            ("richer", "richest", "poorest", "poorer"))


def comparison(n: Narrator, people: Sequence[Person]) -> None:
    """A is more than B and B is more than C, told in either direction; then a question that needs both."""
    more, most, least, less = n.pick(MEASURES)
    ranked = n.shuffled(people)
    n.state.rank(more, ranked)
    facts = []
    for left, right in zip(ranked, ranked[1:], strict=False):
        facts.append(f"{left.name} was {more} than {right.name}" if n.chance(0.5)
                     else f"{right.name} was {less} than {left.name}")
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
        n.ask("comparison", f"Who was {more}, {pair[0].name} or {pair[1].name}?", "", answer.name,
              [person.name for person in pair], f" was {more}.")


def cause(n: Narrator, person: Person, asks: int = 1) -> None:
    """Two things happen for two reasons; the reader is asked for one of the reasons."""
    pair = n.some(words.CAUSES, 2)
    n.forget()
    for event in pair:
        form = n.pick(("{e} because {c}.", "{C}, so {e}.", "Because {c}, {e}.", "{e}, for {c}.",
                       "{C}, and that is why {e}.", "{e}. The reason was that {c}."))
        n.say(form.format(e=event.effect, c=event.cause, C=event.cause))
        if n.chance(0.4):
            n.say(f"{n.name(person)} {event.reaction}.")
            n.forget()
    for index in n.some((0, 1), asks):
        event = pair[index]
        subject, verb, rest = _split(event.effect)
        n.ask("cause", f"Why {verb} {subject} {rest}?", f"Because {_opening(event.cause, pair[1 - index].cause)}".strip(),
              _rest(event.cause, pair[1 - index].cause), [_rest(pair[1 - index].cause, event.cause)])


def _split(clause: str) -> tuple[str, str, str]:
    """"the floor was wet" as "the floor", "was", "wet"."""
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
    return " ".join(cause.split()[:_shared(cause, other)])


def _rest(cause: str, other: str) -> str:
    return " ".join(cause.split()[_shared(cause, other):])


def packing(n: Narrator, person: Person, count: int = 4) -> None:
    """A list is told, then told again from the start, so that the next thing on it is known."""
    things = ["the " + n.item(plain=1.0).noun for _ in range(count)]
    n.forget()
    n.say(n.pick(("{s} packed {l}.", "{s} wrote a list: {l}.", "On {s}'s list stood {l}.", "{s} needed {l}.",
                  "The bag of {s} held {l}.")).format(s=person.name, l=joined(things)))
    if n.chance(0.6):
        n.detail()
    known = n.between(1, count - 1)
    lead = n.pick(("Once more {s} read the list:", "{s} checked everything again:", "What was on the list?"))
    opening = ", ".join(things[:known]) + (" and" if known == count - 1 else ",")
    if lead.endswith("?"):
        opening = opening[0].upper() + opening[1:]
    rest = things[known + 1:]
    closing = "" if not rest else f" and {rest[0]}" if len(rest) == 1 else f", {joined(rest)}"
    n.ask("ordering", lead.format(s=person.name), opening, things[known],
          [thing for thing in things if thing != things[known]], closing + ".")


SERIES = (words.DAYS, words.MONTHS, tuple(words.NUMBERS[1:13]), tuple(words.ORDINALS), words.SEASONS * 2)


def series(n: Narrator) -> None:
    """A well-known series is continued: days, months, numbers, ordinals or seasons."""
    row = n.pick(SERIES)
    length = 2 if row[0] == "spring" else 3
    start = n.between(0, len(row) - length - 1)
    known, answer = row[start:start + length], row[start + length]
    wrong = [word for word in n.some(row, 4) if word not in (answer, *known)][:2] + [known[-1]]
    question = n.pick(("What comes next?", "How does the row go on?", "Say them in order."))
    opening = ", ".join(known) + ","
    n.ask("ordering", question, opening[0].upper() + opening[1:], answer, wrong)


def opposites(n: Narrator, pairs: int = 3) -> None:
    """A lesson of opposites; asked without having been told, so that the pairs must be known."""
    chosen = n.some(words.OPPOSITES, pairs + 1)
    n.forget()
    for left, right in (n.shuffled(pair) for pair in chosen[:pairs]):
        n.say(n.pick(("The opposite of {l} is {r}.", "{L} is the opposite of {r}.", "{L} and {r} are opposites.",
                      "Nobody can mix up {l} and {r}, for they are opposites."))
              .format(l=left, r=right, L=left.capitalize()))
    asked, answer = n.shuffled(chosen[pairs])
    wrong = [n.pick(pair) for pair in chosen[:2]]
    n.ask("opposite", n.pick(("What is the opposite of {}?", "And what is the opposite of {}?")).format(asked),
          f"The opposite of {asked} is", answer, wrong)


def plurals(n: Narrator, nouns: Sequence[tuple[str, str]], told: int = 2) -> None:
    """One and many: the reader is asked for the plural after a number, or for the singular after one."""
    chosen = n.some([noun for noun in nouns if noun[0] != noun[1]], told + 1)
    n.forget()
    for one, many in chosen[:told]:
        n.say(n.pick(("One {o}, {c} {m}.", "We say one {o}, but {c} {m}.", "Here is one {o}, and there are {c} {m}."))
              .format(o=one, m=many, c=number(n.between(2, 9))))
    one, many = chosen[told]
    count = number(n.between(2, 9))
    if n.chance(0.5):
        n.ask("plural", n.pick(("How do we say it with more than one?", "And now with many?")),
              f"One {one}, {count}", many, [one])
    else:
        n.ask("plural", n.pick(("How do we say it with only one?", "And now with one?")),
              f"{count.capitalize()} {many}, one", one, [many])


def agreement(n: Narrator, nouns: Sequence[tuple[str, str]]) -> None:
    """A verb that must agree with a noun which is not the nearest one."""
    (one, many), (near, nears) = n.some([noun for noun in nouns if noun[0] != noun[1]], 2)
    singular = n.chance(0.5)
    head = one if singular else many
    close = nears if n.chance(0.5) else near
    link = n.pick(("near", "beside", "behind", "in front of", "next to", "between the wall and"))
    form, tail = n.pick((("is are", n.pick(("old", "new", "small", "clean", "missing", "here"))),
                         ("was were", n.pick(("old", "new", "lost", "gone", "ready", "there"))),
                         ("has have", n.pick(("been moved", "been found", "a number", "a name", "been counted")))))
    right, wrong = form.split() if singular else form.split()[::-1]
    n.ask("agreement", "", f"The {head} {link} the {close}", right, [wrong], f" {tail}.")


def remember(n: Narrator, role: str, name: str, others: Sequence[str]) -> None:
    """Asks for a name that was told long before."""
    question = n.pick(("What was the name of the {}?", "Who was the {}?")).format(role)
    opening = n.pick(("The name of the {} was", "The {} was called")).format(role)
    n.ask("copying", question, opening, name, others)


def kinship(n: Narrator, elder: Person, other: Person) -> None:
    """A family tie said once in one direction and once in the other."""
    ties = [tie for tie in words.KINSHIP if (tie[3] == "she") == elder.she]
    tie, for_she, for_he, _ = n.pick(ties)
    n.forget()
    n.say(n.pick(("{e} was the {t} of {o}, so {o} was the {i} of {e}.", "{e} was {o}'s {t}, and {o} was {e}'s {i}."))
          .format(e=elder.name, o=other.name, t=tie, i=for_she if other.she else for_he))


def feeling(n: Narrator, person: Person) -> None:
    """How somebody feels and why."""
    mood, reason = n.pick(words.FEELINGS)
    reason = reason.format(s=person.subject, p=person.possessive)
    name = n.subject(person)
    n.say(n.pick((f"{name} was {mood} because {reason}.", f"{name} felt {mood}, for {reason}.",
                  f"{name} was {mood}. After all, {reason}.", f"No wonder {name} was {mood}: {reason}.",
                  f"{name} looked {mood} that day, because {reason}.")))


def trade(n: Narrator, person: Person) -> words.Occupation:
    """What somebody does for a living."""
    work = n.pick(words.OCCUPATIONS)
    n.say(n.pick(("{s} was {a}. {A} {d}.", "{s} worked as {a}.", "{s} was {t} {a} who always had enough {k}."))
          .format(s=n.subject(person), a=article(work.noun), A=article(work.noun).capitalize(), d=work.does,
                  k=work.stock, t="").replace("  ", " "))
    return work
