"""Genres that tell of a day: household, market, journey, dialogue and letter.

Each genre arranges scenes; none decides which seed it gets or how long stories may be.
"""

from __future__ import annotations

from hyperprune_lab.demo import lexicon as words
from hyperprune_lab.demo import scenes_people as folk
from hyperprune_lab.demo import scenes_things as things
from hyperprune_lab.demo.lexicon import article
from hyperprune_lab.demo.narrator import Narrator, joined, number
from hyperprune_lab.demo.plots import PLOTS


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
        n.say(n.pick(("After that everybody went home.", "The rest of the day was quiet.", "And so the day ended.",
                      "Nobody spoke of it again until winter.", "They laughed about it for a long time.",
                      "Then the lamps were put out.", "In the evening they told the whole story again.",
                      "From then on they always checked twice.", "That was all, and it was enough.",
                      "By nightfall everything was in order.")))


def household(n: Narrator) -> None:
    """A day in a house: things are put away, found and passed on."""
    cast = n.people(3)
    opening(n, n.pick(words.TOWNS))
    n.say(n.pick(("{} lived in the same house.", "{} were at home.", "{} shared a small house.",
                  "{} were cleaning the house.", "{} had come together for the day."))
          .format(joined([person.name for person in cast])))
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


GOODS = ("{s} had {c} for sale.", "{s} sold {c}.", "{s} praised {p} {c}.", "{s} stood behind a table full of {c}.")


def market(n: Narrator) -> None:
    """Buying and selling: numbers change and goods go from hand to hand."""
    cast = n.people(3)
    town = n.pick(words.TOWNS)
    opening(n, town)
    n.say(f"{n.name(cast[0])} went to the market in {town}.")
    seller = cast[1]
    n.forget()
    n.say(n.pick(GOODS).format(s=n.name(seller), p=seller.possessive, c=joined([many for _, many in n.some(words.FOODS, 3)])))
    fruit = n.pick(words.FOODS)
    things.counting(n, cast[0], seller, fruit, steps=n.between(1, 2))
    n.paragraph()
    price = n.between(2, 9)
    wanted = n.item()
    buyer = n.pick((cast[0], cast[2]))
    n.say(n.pick(('"How much is {t}?" asked {b}. "{P} coins," said {s}.',
                  '"What does {t} cost?" {b} wanted to know. {s} thought for a moment and asked for {p} coins.',
                  '{b} looked at {t} for a long time. "{P} coins, not one less," said {s}.'))
          .format(t="the " + wanted.full, b=buyer.name, s=seller.name, p=number(price),
                  P=number(price).capitalize()))
    n.say(n.pick(("{b} paid {p} coins and took {o}.", "{b} put {p} coins on the table, and {o} was sold."))
          .format(b=buyer.name, p=number(price), o=wanted.the))
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
    n.say(n.pick(("{a} and {b} traveled from {f} to {g}.", "{a} and {b} set out for {g}.",
                  "Long before dawn {a} and {b} left {f}.")).format(a=cast[0].name, b=cast[1].name, f=first, g=goal))
    n.say(n.pick(("Their {r} was called {n}.", "The {r} was called {n}.", "The name of the {r} was {n}.",
                  "A {r} named {n} went with them.")).format(r=role, n=f"{guide.name} {guide.surname}")
          .replace("A innkeeper", "An innkeeper"))
    folk.packing(n, cast[0], n.between(3, 5))
    n.paragraph()
    opening(n)
    stops = n.some(words.AT_PLACES + words.ON_PLACES, 3)
    n.say(n.pick(("First they stopped {0}, then {1}, and finally {2}.", "They rested {0}. After that they came past a well, "
                  "and later they slept {1}. The last stop was {2}.", "On the first day they stayed {0}, on the second "
                  "{1}, and on the third {2}.")).format(*(stop.where for stop in stops)))
    folk.feeling(n, n.pick(cast))
    if n.chance(0.6):
        folk.cause(n, n.pick(cast))
    else:
        things.possession(n, cast, things=2, gifts=1, asks=1)
    if n.chance(0.5):
        n.detail()
    if n.chance(0.7):
        folk.remember(n, role, guide.name, others)
    n.say(n.pick(("At last they reached {g}.", "On the fourth day they saw the roofs of {g}.",
                  "When they arrived in {g}, the lamps were burning.")).format(g=goal))
    if n.chance(0.4):
        ending(n)


GREETINGS = (('"Good morning, {b}," said {a}.', '"Good morning, {a}. You are up early," said {b}.'),
             ('"Have you slept well?" asked {a}.', '"Not really," {b} answered. "The wind kept me awake."'),
             ('"Do you have a moment?" asked {a}.', '"Of course," said {b}. "Sit down."'),
             ('"What are you doing?" {a} wanted to know.', '"I am thinking," said {b}, "and that takes time."'),
             ('"Look who is here!" cried {a}.', '"I could not stay away," said {b} with a smile.'),
             ('"You look tired," said {a}.', '"I have been working since dawn," {b} replied.'))
REMARKS = (('"{T} is dangerous," said {a}. "Somebody should repair it."', '"I will do it tomorrow," {b} promised.'),
           ('"Did you hear the news?" asked {a}. "{w}."', '"That explains a lot," said {b}.'),
           ('"I dreamed of {t} last night," said {a}.', '"Dreams are strange," {b} murmured. "I dreamed of nothing."'),
           ('"Would you trade your {i} for mine?" asked {a}.', '"Never," laughed {b}. "Mine is better."'),
           ('"If it rains, we stay here," said {a}.', '"And if it does not rain?" asked {b}. "Then we go."'),
           ('"My grandmother always said that {m}," said {a}.', '"She was right," {b} agreed.'),
           ('"Tell me the truth," said {a}. "Did you lose {t}?"', '"I did not lose it," said {b}. "I only forgot where it is."'),
           ('"How far is it to {x}?" asked {a}.', '"Two days on foot," said {b}, "or one day on a good horse."'),
           ('"Can you keep a secret?" whispered {a}.', '"I have already forgotten it," said {b}.'))


def dialogue(n: Narrator) -> None:
    """Two people talk; the reader must follow who has, needs and knows what."""
    a, b = n.person(True), n.person(False)
    if n.chance(0.5):
        a, b = b, a
    place = n.pick(words.PLACES)
    n.say(n.pick(("{a} met {b} {w}.", "{a} and {b} were sitting {w}.", "{w} {a} was waiting for {b}."))
          .format(a=a.name, b=b.name, w=place.where))
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
            n.say(sentence.format(a=speaker.name, b=partner.name, t=thing.the, T=thing.the.capitalize(), i=thing.noun,
                                  x=town, m=moral[0].lower() + moral[1:-1], w=news[0].upper() + news[1:]))
        n.paragraph("\n")
    wish = n.item()
    holder = n.pick((a, b))
    asker = b if holder is a else a
    n.say(f'"I am looking for {wish.the}," said {asker.name}. "Have you seen it?"')
    n.say(f'"I have {wish.the} here," said {holder.name}.')
    n.state.take(holder, wish)
    if n.chance(0.5):
        n.say(n.pick(('"Please give it to me," said {r}, and {h} handed over {o}.',
                      '"Take it," said {h}. So {o} was given to {r}.')).format(r=asker.name, h=holder.name, o=wish.the))
        n.state.take(asker, wish)
    else:
        n.say(n.pick(('"May I have it?" asked {r}. "Not today," said {h}.',
                      '"Keep it," said {r}. "I only wanted to know."')).format(r=asker.name, h=holder.name))
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
    n.say(n.pick(("I hope that you are well.", "Thank you for your letter.", "It is a long time since I wrote to you.",
                  "You asked me for news, and here it is.", "I am writing to you from my new room.")))
    n.say(n.pick(("I live in {} now.", "The journey to {} was long.", "{} is smaller than I thought.")).format(town))
    n.say(n.pick(("My {r} is called {n}.", "My {r}, whose name is {n}, is very kind.", "{n} is my {r} here."))
          .format(r=relation, n=f"{friend.name} {friend.surname}"))
    opening(n)
    event = n.pick(words.CAUSES)
    n.say(n.pick(("Yesterday {e} because {c}.", "Imagine: {c}, so {e}.", "This week {e}, for {c}."))
          .format(e=event.effect, c=event.cause))
    if n.chance(0.6):
        n.detail()
    gift = n.item()
    n.say(n.pick(("I am sending you {a}.", "With this letter comes {a}.", "Please keep {a} for me.")).format(a=article(gift.full)))
    helper = n.person()
    things.counting(n, helper, friend, n.pick(words.FOODS))
    n.paragraph()
    n.say(n.pick(("Write soon and tell me everything.", "Greet everybody at home.", "Do not forget to water the plants.",
                  "I miss our long walks.", f"Come and visit me in the {n.pick(words.SEASONS)}.")))
    n.paragraph()
    n.say(f"{n.pick(('Your friend', 'With love', 'Yours', 'Many greetings'))}, {writer.name}")
    n.paragraph()
    if n.chance(0.8):
        folk.remember(n, relation, friend.name, (helper.name, reader.name, writer.name))
    if n.chance(0.5):
        n.ask("copying", "Who wrote the letter?", "The letter was written by", writer.name,
              (reader.name, friend.name, helper.name))
    if n.chance(0.4):
        n.ask("copying", "Who got the letter?", "The letter was for", reader.name, (writer.name, friend.name, helper.name))


def tale(n: Narrator) -> None:
    """A small plot with a beginning, a difficulty and an end, and questions about it."""
    a, b = n.person(True), n.person(False)
    if n.chance(0.5):
        a, b = b, a
    third = n.person()
    plot = n.pick(PLOTS)
    slots = {"A": a.name, "B": b.name, "C": third.name}
    for key, person in (("a", a), ("b", b)):
        slots |= {f"he_{key}": person.subject, f"him_{key}": person.object, f"his_{key}": person.possessive,
                  f"He_{key}": person.subject.capitalize()}
    x, y = n.item(plain=0.0), n.item(words.FURNITURE, plain=0.0)
    places = n.some(n.pick((words.INDOORS, words.YARDS, words.AT_PLACES)), 3)
    for key, place in zip("pqr", places, strict=True):
        slots |= {key: place.noun, f"in_{key}": place.where}
    numbers = n.some(range(3, 13), 3)
    numbers[:2] = sorted(numbers[:2], reverse=True)
    jobs, foods, towns = n.some(words.OCCUPATIONS, 2), n.some(words.FOODS, 3), n.some(words.TOWNS, 2)
    animals, tunes = n.some(words.TAME, 3), n.some(words.INSTRUMENTS, 3)
    hues = n.some(words.COLORS, 2)
    slots |= {"a_job": article(jobs[0].noun), "x": x.noun, "ax": article(x.full), "ax_plain": article(x.noun), "y": y.noun, "ay": article(y.full),
              "prep": places[0].preposition, "n": number(numbers[0]), "m": number(numbers[1]), "k": number(numbers[2]),
              "job": jobs[0].noun, "jobs": jobs[1].noun, "one": foods[0][0], "many": foods[0][1],
              "food2": foods[1][1], "food3": foods[2][1], "t": towns[0], "u": towns[1], "animal": animals[0].noun, "an_animal": article(animals[0].noun),
              "animal2": animals[1].noun, "animal3": animals[2].noun, "day": n.pick(words.DAYS),
              "a_wrong": article(n.item().full),
              "fruit": n.pick(("cherry", "peach", "plum")), "color": hues[0], "Color": hues[0].capitalize(),
              "color2": hues[1], "tune": tunes[0].noun, "a_tune": article(tunes[0].noun), "tune2": tunes[1].noun, "tune3": tunes[2].noun}
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
        n.ask(question.skill, question.text.format_map(slots), question.opening.format_map(slots), slots[question.answer],
              [slots[wrong] for wrong in question.wrong], question.closing.format_map(slots))
    if n.chance(0.4):
        folk.pronoun(n, *((a, b) if a.she else (b, a)))
    elif n.chance(0.4):
        folk.comparison(n, n.shuffled((a, b, third)))
    if n.chance(0.4):
        ending(n)


TOLD = {"household": household, "market": market, "journey": journey, "dialogue": dialogue, "letter": letter,
        "tale": tale}
