"""Small plots: things lost and found, a storm, a bet.

Knows nothing of who fills the slots; `plots_form` describes them.
"""

from __future__ import annotations

from hyperprune_lab.demo.plots_form import Plot, Question, who

HOME_PLOTS: tuple[Plot, ...] = (
    Plot(
        (
            (
                "One morning {A} could not find {his_a} {x}.",
                "{A} was looking for {his_a} {x} again.",
                "The {x} of {A} had disappeared.",
            ),
            (
                "{He_a} searched {in_p}, but it was not there.",
                "First {he_a} looked {in_p} and found only dust.",
            ),
            (
                "Then {he_a} turned over everything {in_q}.",
                "After that {he_a} spent an hour {in_q}, without any luck.",
            ),
            (
                '"Have you seen my {x}?" {he_a} asked {B}.',
                "At last {he_a} went to {B} and complained about thieves.",
            ),
            (
                "{B} thought about it and remembered something.",
                "{B} began to laugh.",
                "{B} pointed over {his_b} shoulder.",
            ),
            (
                '"You left it {in_r} yesterday," {he_b} said.',
                '"It has been {in_r} since last week," said {B}.',
            ),
            (
                "So {A} went there, and under an old newspaper lay the {x}.",
                "And really, the {x} was there, exactly where {he_a} had put it.",
            ),
            (
                "{A} was embarrassed, but very relieved.",
                "From that day {he_a} tied a ribbon to it.",
                '"I would lose my own nose," sighed {A}.',
            ),
        ),
        (
            Question("location", "Where was the {x}?", "The {x} was {prep} the", "r", ("p", "q")),
            who("Who remembered where it was?", "B", ("A", "C")),
            who("Who had lost the {x}?", "A", ("B", "C")),
        ),
    ),
    Plot(
        (
            (
                "{A} wanted to build {ay} before the winter.",
                "For a whole week {A} had been working on {ay}.",
                "{A} had promised to finish {ay} for the fair.",
            ),
            (
                "But the only {x} in the workshop was broken.",
                "But {his_a} best {x} snapped in two.",
                "Unfortunately {he_a} had no {x}.",
            ),
            (
                "{He_a} borrowed one from {B}, who lived next door.",
                "{B} heard of it and lent {him_a} a better one.",
            ),
            (
                "The work was hard, and twice {A} nearly gave up.",
                "It took three evenings and a great deal of patience.",
                "{A} measured, sawed, glued and polished until midnight.",
            ),
            (
                "When it was done, the whole street came to look.",
                "On the last evening {he_a} painted it and let it dry.",
                "Even the old {job} praised the careful work.",
            ),
            (
                "{A} returned the {x} and brought {B} a basket of {many}.",
                "{A} thanked {B} with a bag of {many} and gave the {x} back.",
            ),
        ),
        (
            who("Who had lent the {x}?", "B", ("A",)),
            who("Who did the work?", "A", ("B",)),
            Question(
                "reading", "What did {B} get as thanks?", "{B} got a lot of", "many", ("food2", "food3")
            ),
        ),
    ),
    Plot(
        (
            (
                "A storm came over {t} in the middle of the night.",
                "The wind rose in the evening, and by midnight it was howling.",
                "Nobody in {t} slept that night, because the storm was so loud.",
            ),
            (
                "Branches cracked, shutters banged and tiles slid from the roofs.",
                "Lightning lit the fields, and the thunder made the windows tremble.",
            ),
            (
                "{A} ran outside to bring in the {x}.",
                "{A} remembered that the {x} was still outside and hurried to fetch it.",
            ),
            (
                "{B} closed the shutters and lit every candle in the house.",
                "{B} stayed inside and comforted the frightened children.",
                "{B} carried the {y} upstairs, because water was creeping under the door.",
            ),
            (
                "Toward morning the rain stopped.",
                "At dawn the clouds broke apart.",
                "After some hours the storm grew tired and wandered off.",
            ),
            (
                "The garden was a swamp, and the fence lay flat.",
                "Half of the chimney had fallen, yet nobody was hurt.",
                "Two apple trees were gone, but the roof had held.",
            ),
            (
                '"We were lucky," said {A}.',
                "Then everyone swept, hammered and drank hot tea.",
                "All the neighbors helped each other, and by noon the damage was repaired.",
            ),
        ),
        (who("Who went outside in the storm?", "A", ("B", "C")), who("Who stayed inside?", "B", ("A", "C"))),
    ),
    Plot(
        (
            (
                "{A} found {ax} {in_p}.",
                "While cleaning {in_p}, {A} discovered {ax}.",
                "Under a loose board {A} found {ax}, wrapped in cloth.",
            ),
            (
                '"Whose is it?" {he_a} wondered.',
                "There was no name on it, and it smelled of smoke and lavender.",
                "It looked valuable, and {he_a} did not want to keep what belonged to another.",
            ),
            (
                "{He_a} asked the {job}, who only shrugged.",
                "The {job} knew nothing about it.",
                "The {job} offered ten coins for it, but {A} refused.",
            ),
            (
                "{He_a} asked the {jobs} too, who sent {him_a} to {B}.",
                '"Try {B}," said the {jobs}. "{He_b} has lost something lately."',
            ),
            (
                "When {B} saw the {x}, {his_b} eyes filled with tears.",
                "{B} recognized the {x} at once.",
                "{B} held the {x} for a long time without a word.",
            ),
            (
                '"It was a present from my grandfather," {he_b} said. "I had given up hope."',
                "It had belonged to {his_b} family for a hundred years.",
                '"I lost it in the spring," {he_b} explained, "and I never thought that I would see it again."',
            ),
            (
                "{B} invited {A} to supper, and they became friends.",
                "{A} went home with empty hands and a light heart.",
            ),
        ),
        (
            who("Who had found the {x}?", "A", ("B", "C")),
            who("Who was the owner of the {x}?", "B", ("A", "C")),
            Question("possession", "Who has the {x} now?", "Now it belongs to", "B", ("A", "C")),
        ),
        owner="B",
    ),
    Plot(
        (
            (
                "{A} and {B} made a bet.",
                "{A} and {B} could not agree, so they made a bet.",
                '"I bet that you cannot do it," said {A} to {B}.',
            ),
            (
                "Whoever reached {t} first would get {ax}.",
                "The one who carried {n} sacks to the mill would win {ax}.",
                "The winner would receive {ax}, and the loser would wash the dishes for a month.",
            ),
            (
                "{A} started quickly and was soon far ahead.",
                "At first {A} was much faster and laughed at {B}.",
                "{A} did not even bother to hurry.",
            ),
            (
                "But {he_a} stopped at the inn to rest and fell asleep.",
                "Then {he_a} met an old friend and talked for an hour.",
                "Halfway there {he_a} noticed that one shoe had lost its heel.",
            ),
            (
                "{B} simply kept going, step by step.",
                "{B} did not hurry, but {he_b} never stopped.",
                "Meanwhile {B} walked calmly past, whistling.",
            ),
            (
                "In the evening {B} stood at the goal and waited.",
                "So {B} won, and nobody was more surprised than {A}.",
                "When {A} arrived, {B} had already won.",
            ),
            (
                '"A bet is a bet," said {A} and handed over the {x}.',
                "{A} paid the debt without complaining: the {x} went to {B}.",
            ),
        ),
        (
            who("Who won the bet?", "B", ("A",)),
            who("Who lost the bet?", "A", ("B",)),
            Question("possession", "Who has the {x} now?", "Now it belongs to", "B", ("A",)),
        ),
        owner="B",
    ),
    Plot(
        (
            ("{A} heard a faint noise {in_p}.", "Something was crying {in_p}, and {A} went to look."),
            (
                "There sat a young {animal}, wet and shivering.",
                "A small {animal} had caught its leg in a piece of wire.",
                "Behind a pile of wood lay a thin {animal} that could hardly stand.",
            ),
            (
                "{He_a} wrapped it in a scarf and carried it to {B}.",
                "Very carefully {he_a} lifted it and took it home to {B}.",
            ),
            (
                "{B} cleaned the wound and prepared a bed of straw.",
                "{B} warmed some milk and fed it with a spoon.",
                "{B} knew a lot about animals and soon found what was wrong.",
            ),
            (
                "For {n} days they took turns and watched over it.",
                "It slept for {n} days, and on the next morning it was hungry.",
                "After {n} days it was strong enough to walk.",
            ),
            (
                "In the end they opened the door, and the {animal} ran off without looking back.",
                "They wanted to keep it, but {an_animal} belongs outside, so they let it go.",
                "The {animal} stayed near the house and came back every winter.",
            ),
        ),
        (
            who("Who heard the noise?", "A", ("B", "C")),
            who("Who took care of the animal at home first?", "B", ("A", "C")),
            Question(
                "counting",
                "For how many days did it need help?",
                "It needed help for",
                "n",
                ("m", "k"),
                " days.",
            ),
        ),
    ),
)
