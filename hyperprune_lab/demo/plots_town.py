"""Small plots: a feast, a lesson, a letter, a quarrel, a bridge.

Knows nothing of who fills the slots; `plots_form` describes them.
"""

from __future__ import annotations

from hyperprune_lab.demo.plots_form import Plot, Question, who

TOWN_PLOTS: tuple[Plot, ...] = (
    Plot(
        (
            (
                "{A} had never cooked for so many people.",
                "The cook was ill, so {A} had to prepare the feast.",
                "Guests were expected in {t}, and {A} was in charge of the kitchen.",
            ),
            (
                "{He_a} needed {n} {many}, but there were only {m}.",
                "The recipe asked for {n} {many}, and the pantry held {m}.",
            ),
            (
                "{B} offered to run to the market.",
                "{B} ran next door to borrow the rest.",
                '"Do not worry," said {B}. "I will bring more."',
            ),
            (
                "Meanwhile the soup boiled over and the sauce turned black.",
                "While {he_b} was away, the salt fell into the soup.",
            ),
            (
                "{A} tasted it, made a face and started again.",
                "{A} opened every window and began once more from the beginning.",
            ),
            (
                "At seven the table was set, and the first guests knocked.",
                "Just in time the last dish came out of the oven.",
            ),
            (
                "Everybody praised the meal and asked for the recipe.",
                '"Delicious," said the {job}, who was hard to please. "What is your secret?"',
            ),
            (
                "{A} only smiled.",
                '"Patience," said {A}, "and a second pot."',
                "{A} looked at {B}, and both began to laugh.",
            ),
        ),
        (
            who("Who had to cook?", "A", ("B", "C")),
            who("Who went to get more {many}?", "B", ("A", "C")),
            Question("counting", "How many {many} were needed?", "The number needed was", "n", ("m", "k")),
        ),
    ),
    Plot(
        (
            (
                "{A} wanted to learn to play the {tune}.",
                "Nothing sounded sweeter to {A} than {a_tune}, and {he_a} decided to learn it.",
            ),
            (
                "{B} agreed to teach {him_a} every {day}.",
                "The best player in {t} was {B}, who gave lessons on {day}.",
            ),
            (
                "At first it sounded like a cat in a bucket.",
                "The first notes were so terrible that the dog left the room.",
                "The neighbors closed their windows whenever {he_a} practiced.",
            ),
            (
                '"Slowly," said {B}. "Listen before you play."',
                '"Do not fight with it," {B} advised. "Let it breathe."',
                "{B} was patient and corrected every finger.",
            ),
            (
                "After {n} weeks the melody became clear.",
                "{n} weeks later {A} could play a whole song.",
                "Autumn came, and one day the notes simply followed each other.",
            ),
            (
                "At the harvest festival {A} played in front of everyone.",
                "On {his_a} birthday {A} played for the family, and nobody said a word.",
            ),
            ("{B} sat in the last row and nodded.", "The applause was long, and {B} clapped the loudest."),
        ),
        (
            who("Who was the teacher?", "B", ("A", "C")),
            who("Who was learning to play?", "A", ("B", "C")),
            Question(
                "attribute",
                "What did {A} learn to play?",
                "{A} learned to play the",
                "tune",
                ("tune2", "tune3"),
            ),
        ),
    ),
    Plot(
        (
            ("{A} received a letter from {t}.", "The postman brought {A} a letter with a stamp from {t}."),
            (
                "It came from {B}, who had not written for years.",
                "{B} had written it by candlelight, with a very old pen.",
            ),
            (
                '"Dear {A}," it began, "I am leaving {t} and moving to {u}."',
                '"I have sold the house," wrote {B}, "and I am going to {u}."',
            ),
            (
                '"Please keep the {x} for me until I return."',
                '"The {x} is yours now, because I cannot carry it."',
            ),
            (
                "{A} read the letter twice and folded it carefully.",
                "{A} sat by the window and read it until the light faded.",
            ),
            (
                "Then {he_a} took some paper and answered at once.",
                "{He_a} wrote back the same night, {n} pages long.",
            ),
            (
                "The answer traveled over the mountains for {m} days.",
                "The letter reached {u} just as the first snow fell.",
            ),
        ),
        (
            who("Who wrote the first letter?", "B", ("A", "C")),
            Question("reading", "Where was {B} going?", "{B} was going to", "u", ("t",)),
            Question("reading", "Where did the first letter come from?", "It came from", "t", ("u",)),
        ),
    ),
    Plot(
        (
            (
                "There was a quarrel between {A} and {B} about {ax}.",
                "{A} and {B} were quarreling, because both wanted the same {x}.",
            ),
            ('"I saw it first," cried {A}.', '"It belongs to me," said {A}, "because I paid for it."'),
            (
                '"But I carried it home," {B} protested.',
                '"But I repaired it," answered {B}, "and that was more work."',
            ),
            (
                "They went to {C}, who was known to be fair.",
                "In the end they asked {C}, whom everybody trusted.",
            ),
            (
                "{C} listened to both sides without interrupting.",
                "{C} asked one question and then kept silent for a while.",
            ),
            (
                '"{B} shall have it," {C} decided, "and {A} may use it on {day}."',
                '"It should go to {B}," said {C}, "but {A} may borrow it whenever the moon is full."',
            ),
            (
                "At first {A} was angry, but later {he_a} admitted that it was fair.",
                "Both of them shook hands, and the quarrel was over.",
            ),
        ),
        (
            who("Who was the judge?", "C", ("A", "B")),
            who("Who got the {x}?", "B", ("A", "C")),
            Question("possession", "Who has the {x} now?", "Now it belongs to", "B", ("A", "C")),
        ),
        owner="B",
    ),
    Plot(
        (
            (
                "{A} bought {ax} at the fair in {t}.",
                "At the fair {A} saw {ax} and could not resist.",
                "{A} traded {n} {many} for {ax}.",
            ),
            ('"What will you do with it?" asked {B}.', "{B} shook {his_b} head at so much foolishness."),
            ('"It may be useful one day," {A} replied.', "{A} hung it above the door and said nothing."),
            ("For months it only gathered dust.", "Spring passed, summer passed, and nobody touched it."),
            (
                "Then a traveler knocked at the door and stared at it.",
                "Then the {job} came by and stopped in surprise.",
            ),
            (
                '"I have been searching for such {ax_plain} all my life," the visitor said.',
                '"There are only two like this in the whole country," the visitor whispered.',
            ),
            ("{B} was speechless.", "This time it was {B} who had nothing to say."),
            ("{A} sold it for {m} gold coins and bought {B} a new hat.", '"You see?" said {A}.'),
        ),
        (who("Who had bought the {x}?", "A", ("B",)), who("Who did not believe in it?", "B", ("A",))),
    ),
    Plot(
        (
            (
                "The bridge near {t} was old, and one day it broke.",
                "In the spring the flood carried away the bridge near {t}.",
            ),
            (
                "{A} had {his_a} fields on the other side and could no longer reach them.",
                "Suddenly {A}, who worked on the far bank, had to walk for hours.",
            ),
            (
                "{B} owned a boat and rowed {him_a} over every morning.",
                "Luckily {B} had a boat and knew the current well.",
            ),
            (
                "Together they asked the council for help.",
                "They wrote to the mayor and collected signatures.",
            ),
            (
                "An engineer came, measured the river and drew a plan.",
                "After {n} meetings the money was found.",
            ),
            (
                "Masons, carpenters and smiths worked through the summer.",
                "All summer the valley echoed with hammers and shouting.",
            ),
            (
                "The new bridge had {m} arches and was wide enough for two wagons.",
                "Stone by stone the arches grew, until they met in the middle.",
            ),
            (
                "On the day of the opening {A} was the first to cross, and {B} sold the boat.",
                "{B} tied up the boat for good and walked over the bridge with {A}.",
            ),
        ),
        (who("Who owned the boat?", "B", ("A", "C")), who("Who needed to cross the river?", "A", ("B", "C"))),
    ),
)
