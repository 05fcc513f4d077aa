"""Small plots: a quarrel over paint, a night at the station, stories, a tree, a theater.

Knows nothing of who fills the slots; `plots_form` describes them.
"""

from __future__ import annotations

from hyperprune_lab.demo.plots_form import Plot, Question, who

STAGE_PLOTS: tuple[Plot, ...] = (
    Plot(
        (
            ("{A} and {B} painted the {y} together.", "On {day} {A} and {B} decided to paint the old {y}."),
            (
                "{A} wanted it {color}, but {B} preferred {color2}.",
                '"{Color} is the only color for it," said {A}. {B} wished for {color2}.',
            ),
            (
                "They argued until the brushes were dry.",
                "Neither wanted to give way, and the afternoon went by.",
            ),
            ("At last they threw a coin.", "Finally they let a coin decide."),
            (
                "It fell on the side of {B}, so the {y} became {color2}.",
                "{B} won, and by evening the {y} was {color2}.",
            ),
            ("{A} stepped back and looked at it for a while.", "{A} tilted {his_a} head and squinted."),
            (
                '"It is not bad at all," {he_a} admitted.',
                '"I will paint the inside," said {A}, "and you will not look."',
            ),
        ),
        (
            Question("attribute", "What color did the {y} get?", "The {y} became", "color2", ("color",)),
            Question("attribute", "What color did {A} want?", "{A} wanted", "color", ("color2",)),
            who("Who won?", "B", ("A",)),
        ),
    ),
    Plot(
        (
            (
                "{A} missed the last train to {t}.",
                "When {A} reached the station, the last train to {t} was gone.",
            ),
            (
                "The platform was empty except for {B}, who was sweeping.",
                "Only {B}, who looked after the station, was still there.",
            ),
            (
                '"The next one leaves at {n} in the morning," said {B}.',
                '"Nothing more today," {B} said and locked the counter.',
            ),
            (
                "Outside it was snowing, and the inn was full.",
                "It was bitterly cold, and {A} had only a thin coat.",
            ),
            (
                "So {B} lit the stove in the waiting room and made tea.",
                "{B} offered {him_a} a bench near the stove and half of {his_b} supper.",
            ),
            (
                "They talked about trains, about the sea and about people who never arrive.",
                "They played cards until midnight, and {B} won {m} times.",
            ),
            (
                "In the morning the train came on time.",
                "At sunrise a whistle sounded across the white fields.",
            ),
            (
                "{A} left {his_a} {x} on the bench as a gift, with a note.",
                "As thanks {A} left {ax} on the bench.",
            ),
        ),
        (
            who("Who missed the train?", "A", ("B", "C")),
            who("Who worked at the station?", "B", ("A", "C")),
            Question("possession", "Who has the {x} now?", "Now it belongs to", "B", ("A",)),
        ),
        owner="B",
    ),
    Plot(
        (
            ("Every evening {A} told the children a story.", "{A} knew more stories than anyone in {t}."),
            (
                "One night {he_a} had lost {his_a} voice.",
                "Then a cold took {his_a} voice away for a whole week.",
            ),
            (
                "The children sat on the rug and waited.",
                "The children came as usual, and {he_a} could only whisper.",
            ),
            (
                "So {B}, the shyest of them, stood up.",
                "Nobody knew what to do, until {B} raised {his_b} hand.",
            ),
            (
                '"Once there was {ax}," {he_b} began, "and it belonged to a king."',
                '"I know a story about {a_job} and {an_animal}," said {B}.',
            ),
            (
                "The words came slowly, but they came.",
                "At first {his_b} voice shook, and then the story carried it.",
            ),
            (
                "The story went on for {n} evenings, and nobody wanted it to end.",
                "When {he_b} had finished, it was so quiet that the fire could be heard.",
            ),
            (
                "{A} got well again, but from then on they took turns.",
                '"Now I can listen for once," whispered {A}.',
            ),
        ),
        (who("Who had lost the voice?", "A", ("B", "C")), who("Who told a story instead?", "B", ("A", "C"))),
    ),
    Plot(
        (
            (
                "{A} planted a {fruit} stone when {he_a} was {n} years old.",
                "When {A} was {n}, {he_a} put a {fruit} stone into the ground behind the barn.",
            ),
            (
                '"It will never grow," said {B}.',
                "{B} laughed, because the soil was poor and the winters were long.",
            ),
            ("In the first year there was nothing to see.", "For a long time only weeds came up."),
            (
                "In the second year a thin green stalk appeared.",
                "Then, after a mild winter, two leaves pushed through the earth.",
            ),
            (
                "{A} built a fence around it and carried water in dry weeks.",
                "A goat ate the top, but {A} bound it up with string.",
            ),
            (
                "The tree grew taller than {A} and then taller than the roof.",
                "After {m} years it gave shade to the whole yard.",
            ),
            (
                "One August it bore its first fruit, and {A} carried a full bowl to {B}.",
                "The first fruit was small and sour, and {A} had never eaten anything better.",
            ),
            ('"I was wrong," said {B} and took a second one.', "{B} planted one too, the very same evening."),
        ),
        (
            who("Who planted the stone?", "A", ("B", "C")),
            who("Who thought that it would never grow?", "B", ("A", "C")),
            Question("counting", "How old was {A} at the beginning?", "{A} was", "n", ("m", "k")),
        ),
    ),
    Plot(
        (
            (
                "A traveling theater came to {t} with {n} wagons.",
                "In the spring a theater with {n} wagons stopped in the square of {t}.",
            ),
            (
                "On the first evening the leading actor fell ill.",
                "An hour before the play the hero twisted his ankle on the stairs.",
            ),
            ("{A}, the director, was in despair.", "{A}, who led the company, pulled {his_a} hair."),
            (
                "{B} had carried the costumes for years and knew every line by heart.",
                '"I know the part," said {B}, who sold the tickets.',
            ),
            (
                "There was no other choice, so {he_b} put on the crown.",
                "They pinned up the cloak, because it was much too long for {him_b}.",
            ),
            (
                "In the second act {B} forgot to be nervous.",
                "At first {his_b} knees trembled, but the light was kind.",
            ),
            (
                "When the curtain fell, the hall was silent, and then it roared.",
                "The audience clapped until the lamps flickered.",
            ),
            ("{A} hired a new ticket seller the next morning.", '"Tomorrow you will do it again," said {A}.'),
        ),
        (
            who("Who was the director?", "A", ("B", "C")),
            who("Who played the part in the end?", "B", ("A", "C")),
            Question("counting", "How many wagons were there?", "There were", "n", ("m", "k"), " wagons."),
        ),
    ),
)
