"""Small plots: an errand, a well, a school, bees and a clock.

Knows nothing of who fills the slots; `plots_form` describes them.
"""

from __future__ import annotations

from hyperprune_lab.demo.plots_form import Plot, Question, who

WORK_PLOTS: tuple[Plot, ...] = (
    Plot(
        (
            (
                "{A} sent {B} to buy {n} {many} and {ax}.",
                '"Please bring me {n} {many} and {ax}," said {A} to {B}.',
            ),
            (
                "{B} repeated the list all the way to {t}.",
                "{B} did not write it down, because {he_b} trusted {his_b} memory.",
            ),
            (
                "On the road {he_b} met {a_job}, and they talked about the price of bread.",
                "But a band was playing in the square, and {he_b} stopped to listen.",
            ),
            (
                "When {he_b} reached the shop, the list had left {his_b} head.",
                '"What was it again?" {he_b} muttered at the counter.',
            ),
            (
                "So {he_b} bought {m} {many} and {a_wrong}.",
                "In the end {he_b} came home with {m} {many} and {a_wrong}.",
            ),
            (
                "{A} looked into the basket and raised an eyebrow.",
                "{A} unpacked everything, counted it and sighed.",
            ),
            (
                '"Next time take a pencil," {he_a} said.',
                "Then both of them laughed, and {A} wrote the list on {his_b} sleeve.",
            ),
        ),
        (
            who("Who went shopping?", "B", ("A",)),
            who("Who wrote or spoke the list?", "A", ("B",)),
            Question("counting", "How many {many} came home?", "{B} brought", "m", ("n", "k"), " {many}."),
        ),
    ),
    Plot(
        (
            (
                "The well in {t} had run dry.",
                "It had not rained in {t} for {n} weeks.",
                "In that hot summer the fountain of {t} stopped flowing.",
            ),
            (
                "People carried water from the river in every jug and kettle they owned.",
                "The gardens turned yellow, and the cattle grew thin.",
            ),
            (
                "{A} remembered an old map that showed a spring behind the mill.",
                "{A} noticed that one patch of grass behind the mill was still green.",
            ),
            (
                "Most people laughed, but {B} fetched a shovel.",
                "Only {B} believed {him_a} and came along with a pickaxe.",
            ),
            (
                "They dug for {m} days, first through clay and then through gravel.",
                "The ground was as hard as iron, and their hands were full of blisters.",
            ),
            (
                "On the last evening the soil became dark and damp.",
                "Suddenly {B} felt something cold under {his_b} boots.",
            ),
            (
                "By morning a clear pool had gathered at the bottom.",
                "Water rose slowly, and they drank it from their hats.",
            ),
            (
                "Since then the spring has never failed, and it bears the name of {A}.",
                "The whole town celebrated, and nobody laughed at old maps any more.",
            ),
        ),
        (
            who("Who had the idea of digging there?", "A", ("B", "C")),
            who("Who helped to dig?", "B", ("A", "C")),
        ),
    ),
    Plot(
        (
            ("{A} was the new teacher in {t}.", "{A} had come to {t} to teach the youngest children."),
            (
                "One pupil, {B}, never said a word in class.",
                "In the last row sat {B}, who looked out of the window all day.",
            ),
            (
                "{A} tried stories, songs and even sweets.",
                "Other teachers had called {him_b} lazy, but {A} did not agree.",
            ),
            (
                "One afternoon {he_a} saw a drawing in {his_b} notebook: {ax}, perfect in every line.",
                "By chance {he_a} found {his_b} drawings under the desk.",
            ),
            (
                '"Did you do this?" asked {A}. {B} nodded.',
                '"Who taught you this?" {A} asked in astonishment.',
            ),
            (
                "The next day {A} let {him_b} draw on the board what the others had to explain.",
                "From then on {B} drew the maps and the plants for the whole class.",
            ),
            (
                "Little by little {B} began to talk as well.",
                "Soon {B} was explaining the pictures, at first softly and then with a firm voice.",
            ),
            (
                "Years later {B} became a painter and sent {A} a picture.",
                '"Some people speak with their hands first," {A} used to say.',
            ),
        ),
        (who("Who was the teacher?", "A", ("B", "C")), who("Who could draw well?", "B", ("A", "C"))),
    ),
    Plot(
        (
            (
                "{A} kept bees behind the house, and {B} was afraid of them.",
                "Behind the house of {A} stood {n} hives, and {B} lived on the other side of the hedge.",
            ),
            (
                '"They will sting somebody," {B} complained.',
                "{B} shut the windows all summer and wrote angry notes.",
            ),
            (
                "One May morning a whole swarm hung in the tree of {B}.",
                "In May a swarm flew over the hedge and settled on the fence of {B}.",
            ),
            (
                "{A} came over with a basket and a brush and moved very slowly.",
                "Without gloves {A} brushed the bees into a basket.",
            ),
            (
                "{B} watched from behind the curtain and forgot to be afraid.",
                "{B} held the ladder with trembling knees.",
            ),
            (
                "In the autumn {A} left {m} jars of honey at the door.",
                "At harvest time {A} brought a jar of honey as an apology.",
            ),
            (
                "Since then {B} has planted clover along the hedge.",
                '"How many hives do you have?" asked {B}. "Perhaps there is room for one more."',
            ),
        ),
        (who("Who kept bees?", "A", ("B", "C")), who("Who was afraid of the bees?", "B", ("A", "C"))),
    ),
    Plot(
        (
            (
                "The clock on the tower of {t} had stopped at ten past four.",
                "One night the big clock of {t} fell silent.",
            ),
            (
                "Trains were missed, soup was burnt, and the school began too late.",
                "Nobody had noticed how often people looked up at it.",
            ),
            (
                "{A}, who repaired watches, climbed the {n} steps with a bag of tools.",
                "The mayor asked {A}, who had repaired clocks since childhood.",
            ),
            (
                "{He_a} oiled the gears, but the hands did not move.",
                "{He_a} examined wheel after wheel and found nothing wrong.",
            ),
            (
                "Then {B}, who swept the tower, pointed to the pendulum.",
                "It was {B}, the child who had carried the lamp, who saw the reason.",
            ),
            (
                "A pigeon had built its nest behind the weight.",
                "Between the weight and the wall sat a pigeon on two eggs.",
            ),
            (
                '"We will wait until they hatch," {A} decided.',
                "Nobody wanted to disturb the bird, so {A} put the tools away.",
            ),
            (
                "For {m} more days it was ten past four in {t}, and nobody was late.",
                "The town waited {m} days, and it was the most peaceful time that anyone could remember.",
            ),
        ),
        (who("Who repaired clocks?", "A", ("B", "C")), who("Who found the reason?", "B", ("A", "C"))),
    ),
)
