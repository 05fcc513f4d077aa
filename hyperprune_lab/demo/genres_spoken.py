"""Genres in which people speak for themselves: dialogue and letter.

Each genre arranges scenes; none decides which seed it gets or how long stories may be.
"""

from __future__ import annotations

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo import scenes_lessons as lessons
from hyperprune_lab.demo import scenes_people as folk
from hyperprune_lab.demo import scenes_things as things
from hyperprune_lab.demo.genres_told import ending, opening
from hyperprune_lab.demo.lexicon import article
from hyperprune_lab.demo.narrator import Narrator

GREETINGS = (
    ('"Good morning, {b}," said {a}.', '"Good morning, {a}. You are up early," said {b}.'),
    ('"Have you slept well?" asked {a}.', '"Not really," {b} answered. "The wind kept me awake."'),
    ('"Do you have a moment?" asked {a}.', '"Of course," said {b}. "Sit down."'),
    ('"What are you doing?" {a} wanted to know.', '"I am thinking," said {b}, "and that takes time."'),
    ('"Look who is here!" cried {a}.', '"I could not stay away," said {b} with a smile.'),
    ('"You look tired," said {a}.', '"I have been working since dawn," {b} replied.'),
)
REMARKS = (
    ('"{T} is dangerous," said {a}. "Somebody should repair it."', '"I will do it tomorrow," {b} promised.'),
    ('"Did you hear the news?" asked {a}. "{w}."', '"That explains a lot," said {b}.'),
    (
        '"I dreamed of {t} last night," said {a}.',
        '"Dreams are strange," {b} murmured. "I dreamed of nothing."',
    ),
    ('"Would you trade your {i} for mine?" asked {a}.', '"Never," laughed {b}. "Mine is better."'),
    ('"If it rains, we stay here," said {a}.', '"And if it does not rain?" asked {b}. "Then we go."'),
    ('"My grandmother always said that {m}," said {a}.', '"She was right," {b} agreed.'),
    (
        '"Tell me the truth," said {a}. "Did you lose {t}?"',
        '"I did not lose it," said {b}. "I only forgot where it is."',
    ),
    ('"How far is it to {x}?" asked {a}.', '"Two days on foot," said {b}, "or one day on a good horse."'),
    ('"Can you keep a secret?" whispered {a}.', '"I have already forgotten it," said {b}.'),
)


def dialogue(n: Narrator) -> None:
    """Two people talk; the reader must follow who has, needs and knows what."""
    a, b = n.person(True), n.person(False)
    if n.chance(0.5):
        a, b = b, a
    place = n.pick(words.PLACES)
    n.say(
        n.pick(("{a} met {b} {w}.", "{a} and {b} were sitting {w}.", "{w} {a} was waiting for {b}.")).format(
            a=a.name, b=b.name, w=place.where
        )
    )
    if n.chance(0.5):
        n.detail()
    n.paragraph("\n")
    lines = [n.pick(GREETINGS), *n.some(REMARKS, 2)]
    for line in lines:
        speaker, partner = (a, b) if n.chance(0.5) else (b, a)
        thing = n.item()
        town = n.pick(words.TOWNS)
        moral = n.pick(words.MORALS)
        news = n.pick(words.CAUSES).cause
        for sentence in line:
            n.say(
                sentence.format(
                    a=speaker.name,
                    b=partner.name,
                    t=thing.the,
                    T=thing.the.capitalize(),
                    i=thing.noun,
                    x=town,
                    m=moral[0].lower() + moral[1:-1],
                    w=news[0].upper() + news[1:],
                )
            )
        n.paragraph("\n")
    wish = n.item()
    holder = n.pick((a, b))
    asker = b if holder is a else a
    n.say(f'"I am looking for {wish.the}," said {asker.name}. "Have you seen it?"')
    n.say(f'"I have {wish.the} here," said {holder.name}.')
    n.state.take(holder, wish)
    if n.chance(0.5):
        n.say(
            n.pick(
                (
                    '"Please give it to me," said {r}, and {h} handed over {o}.',
                    '"Take it," said {h}. So {o} was given to {r}.',
                )
            ).format(r=asker.name, h=holder.name, o=wish.the)
        )
        n.state.take(asker, wish)
    else:
        n.say(
            n.pick(
                (
                    '"May I have it?" asked {r}. "Not today," said {h}.',
                    '"Keep it," said {r}. "I only wanted to know."',
                )
            ).format(r=asker.name, h=holder.name)
        )
    n.paragraph()
    things.ask_holder(n, wish, (a, b))
    if n.chance(0.7):
        woman, man = (a, b) if a.she else (b, a)
        folk.pronoun(n, woman, man)
    if n.chance(0.4):
        folk.comparison(n, (a, b, n.person()))
    if n.chance(0.4):
        ending(n)


def letter(n: Narrator) -> None:
    """A letter from one person to another, with a name to keep in mind."""
    writer, reader = n.people(2)
    friend = n.person()
    relation = n.pick(("neighbor", "teacher", "doctor", "baker", "landlord", "cousin"))
    town = n.pick(words.TOWNS)
    n.say(n.pick(("Dear {},", "My dear {},", "Good day, {},")).format(reader.name))
    n.paragraph()
    n.say(
        n.pick(
            (
                "I hope that you are well.",
                "Thank you for your letter.",
                "It is a long time since I wrote to you.",
                "You asked me for news, and here it is.",
                "I am writing to you from my new room.",
            )
        )
    )
    n.say(
        n.pick(("I live in {} now.", "The journey to {} was long.", "{} is smaller than I thought.")).format(
            town
        )
    )
    n.say(
        n.pick(
            ("My {r} is called {n}.", "My {r}, whose name is {n}, is very kind.", "{n} is my {r} here.")
        ).format(r=relation, n=f"{friend.name} {friend.surname}")
    )
    opening(n)
    event = n.pick(words.CAUSES)
    n.say(
        n.pick(("Yesterday {e} because {c}.", "Imagine: {c}, so {e}.", "This week {e}, for {c}.")).format(
            e=event.effect, c=event.cause
        )
    )
    if n.chance(0.6):
        n.detail()
    gift = n.item()
    n.say(
        n.pick(("I am sending you {a}.", "With this letter comes {a}.", "Please keep {a} for me.")).format(
            a=article(gift.full)
        )
    )
    helper = n.person()
    things.counting(n, helper, friend, n.pick(words.FOODS))
    n.paragraph()
    n.say(
        n.pick(
            (
                "Write soon and tell me everything.",
                "Greet everybody at home.",
                "Do not forget to water the plants.",
                "I miss our long walks.",
                f"Come and visit me in the {n.pick(words.SEASONS)}.",
            )
        )
    )
    n.paragraph()
    n.say(f"{n.pick(('Your friend', 'With love', 'Yours', 'Many greetings'))}, {writer.name}")
    n.paragraph()
    if n.chance(0.8):
        lessons.remember(n, relation, friend.name, (helper.name, reader.name, writer.name))
    if n.chance(0.5):
        n.ask(
            "copying",
            "Who wrote the letter?",
            "The letter was written by",
            writer.name,
            (reader.name, friend.name, helper.name),
        )
    if n.chance(0.4):
        n.ask(
            "copying",
            "Who got the letter?",
            "The letter was for",
            reader.name,
            (writer.name, friend.name, helper.name),
        )


SPOKEN = {"dialogue": dialogue, "letter": letter}
