"""Small plots: finding, building, quarreling, learning, and what came of it.

Knows nothing of who fills the slots; `plots_form` describes them.
"""

from __future__ import annotations

from hyperprune_lab.demo.plots_form import Plot, Question, who
from hyperprune_lab.demo.plots_more import MORE_PLOTS

_FIRST = (
    Plot((
        ("One morning {A} could not find {his_a} {x}.", "{A} was looking for {his_a} {x} again.", "The {x} of {A} had disappeared."),
        ("{He_a} searched {in_p}, but it was not there.", "First {he_a} looked {in_p} and found only dust."),
        ("Then {he_a} turned over everything {in_q}.", "After that {he_a} spent an hour {in_q}, without any luck."),
        ('"Have you seen my {x}?" {he_a} asked {B}.', "At last {he_a} went to {B} and complained about thieves."),
        ("{B} thought about it and remembered something.", "{B} began to laugh.", "{B} pointed over {his_b} shoulder."),
        ('"You left it {in_r} yesterday," {he_b} said.', '"It has been {in_r} since last week," said {B}.'),
        ("So {A} went there, and under an old newspaper lay the {x}.", "And really, the {x} was there, exactly where {he_a} had put it."),
        ("{A} was embarrassed, but very relieved.", "From that day {he_a} tied a ribbon to it.", '"I would lose my own nose," sighed {A}.'),
    ), (Question("location", "Where was the {x}?", "The {x} was {prep} the", "r", ("p", "q")),
        who("Who remembered where it was?", "B", ("A", "C")),
        who("Who had lost the {x}?", "A", ("B", "C")))),
    Plot((
        ("{A} wanted to build {ay} before the winter.", "For a whole week {A} had been working on {ay}.", "{A} had promised to finish {ay} for the fair."),
        ("But the only {x} in the workshop was broken.", "But {his_a} best {x} snapped in two.", "Unfortunately {he_a} had no {x}."),
        ("{He_a} borrowed one from {B}, who lived next door.", "{B} heard of it and lent {him_a} a better one."),
        ("The work was hard, and twice {A} nearly gave up.", "It took three evenings and a great deal of patience.", "{A} measured, sawed, glued and polished until midnight."),
        ("When it was done, the whole street came to look.", "On the last evening {he_a} painted it and let it dry.", "Even the old {job} praised the careful work."),
        ("{A} returned the {x} and brought {B} a basket of {many}.", "{A} thanked {B} with a bag of {many} and gave the {x} back."),
    ), (who("Who had lent the {x}?", "B", ("A",)), who("Who did the work?", "A", ("B",)),
        Question("reading", "What did {B} get as thanks?", "{B} got a lot of", "many", ("food2", "food3")))),
    Plot((
        ("A storm came over {t} in the middle of the night.", "The wind rose in the evening, and by midnight it was howling.", "Nobody in {t} slept that night, because the storm was so loud."),
        ("Branches cracked, shutters banged and tiles slid from the roofs.", "Lightning lit the fields, and the thunder made the windows tremble."),
        ("{A} ran outside to bring in the {x}.", "{A} remembered that the {x} was still outside and hurried to fetch it."),
        ("{B} closed the shutters and lit every candle in the house.", "{B} stayed inside and comforted the frightened children.", "{B} carried the {y} upstairs, because water was creeping under the door."),
        ("Toward morning the rain stopped.", "At dawn the clouds broke apart.", "After some hours the storm grew tired and wandered off."),
        ("The garden was a swamp, and the fence lay flat.", "Half of the chimney had fallen, yet nobody was hurt.", "Two apple trees were gone, but the roof had held."),
        ('"We were lucky," said {A}.', "Then everyone swept, hammered and drank hot tea.", "All the neighbors helped each other, and by noon the damage was repaired."),
    ), (who("Who went outside in the storm?", "A", ("B", "C")), who("Who stayed inside?", "B", ("A", "C")))),
    Plot((
        ("{A} found {ax} {in_p}.", "While cleaning {in_p}, {A} discovered {ax}.", "Under a loose board {A} found {ax}, wrapped in cloth."),
        ('"Whose is it?" {he_a} wondered.', "There was no name on it, and it smelled of smoke and lavender.", "It looked valuable, and {he_a} did not want to keep what belonged to another."),
        ("{He_a} asked the {job}, who only shrugged.", "The {job} knew nothing about it.", "The {job} offered ten coins for it, but {A} refused."),
        ("{He_a} asked the {jobs} too, who sent {him_a} to {B}.", '"Try {B}," said the {jobs}. "{He_b} has lost something lately."'),
        ("When {B} saw the {x}, {his_b} eyes filled with tears.", "{B} recognized the {x} at once.", "{B} held the {x} for a long time without a word."),
        ('"It was a present from my grandfather," {he_b} said. "I had given up hope."', "It had belonged to {his_b} family for a hundred years.", '"I lost it in the spring," {he_b} explained, "and I never thought that I would see it again."'),
        ("{B} invited {A} to supper, and they became friends.", "{A} went home with empty hands and a light heart."),
    ), (who("Who had found the {x}?", "A", ("B", "C")), who("Who was the owner of the {x}?", "B", ("A", "C")),
        Question("possession", "Who has the {x} now?", "Now it belongs to", "B", ("A", "C"))), owner="B"),
    Plot((
        ("{A} and {B} made a bet.", "{A} and {B} could not agree, so they made a bet.", '"I bet that you cannot do it," said {A} to {B}.'),
        ("Whoever reached {t} first would get {ax}.", "The one who carried {n} sacks to the mill would win {ax}.", "The winner would receive {ax}, and the loser would wash the dishes for a month."),
        ("{A} started quickly and was soon far ahead.", "At first {A} was much faster and laughed at {B}.", "{A} did not even bother to hurry."),
        ("But {he_a} stopped at the inn to rest and fell asleep.", "Then {he_a} met an old friend and talked for an hour.", "Halfway there {he_a} noticed that one shoe had lost its heel."),
        ("{B} simply kept going, step by step.", "{B} did not hurry, but {he_b} never stopped.", "Meanwhile {B} walked calmly past, whistling."),
        ("In the evening {B} stood at the goal and waited.", "So {B} won, and nobody was more surprised than {A}.", "When {A} arrived, {B} had already won."),
        ('"A bet is a bet," said {A} and handed over the {x}.', "{A} paid the debt without complaining: the {x} went to {B}."),
    ), (who("Who won the bet?", "B", ("A",)), who("Who lost the bet?", "A", ("B",)),
        Question("possession", "Who has the {x} now?", "Now it belongs to", "B", ("A",))), owner="B"),
    Plot((
        ("{A} heard a faint noise {in_p}.", "Something was crying {in_p}, and {A} went to look."),
        ("There sat a young {animal}, wet and shivering.", "A small {animal} had caught its leg in a piece of wire.", "Behind a pile of wood lay a thin {animal} that could hardly stand."),
        ("{He_a} wrapped it in a scarf and carried it to {B}.", "Very carefully {he_a} lifted it and took it home to {B}."),
        ("{B} cleaned the wound and prepared a bed of straw.", "{B} warmed some milk and fed it with a spoon.", "{B} knew a lot about animals and soon found what was wrong."),
        ("For {n} days they took turns and watched over it.", "It slept for {n} days, and on the next morning it was hungry.", "After {n} days it was strong enough to walk."),
        ("In the end they opened the door, and the {animal} ran off without looking back.", "They wanted to keep it, but {an_animal} belongs outside, so they let it go.", "The {animal} stayed near the house and came back every winter."),
    ), (who("Who heard the noise?", "A", ("B", "C")), who("Who took care of the animal at home first?", "B", ("A", "C")),
        Question("counting", "For how many days did it need help?", "It needed help for", "n", ("m", "k"), " days."))),
    Plot((
        ("{A} had never cooked for so many people.", "The cook was ill, so {A} had to prepare the feast.", "Guests were expected in {t}, and {A} was in charge of the kitchen."),
        ("{He_a} needed {n} {many}, but there were only {m}.", "The recipe asked for {n} {many}, and the pantry held {m}."),
        ("{B} offered to run to the market.", "{B} ran next door to borrow the rest.", '"Do not worry," said {B}. "I will bring more."'),
        ("Meanwhile the soup boiled over and the sauce turned black.", "While {he_b} was away, the salt fell into the soup."),
        ("{A} tasted it, made a face and started again.", "{A} opened every window and began once more from the beginning."),
        ("At seven the table was set, and the first guests knocked.", "Just in time the last dish came out of the oven."),
        ("Everybody praised the meal and asked for the recipe.", '"Delicious," said the {job}, who was hard to please. "What is your secret?"'),
        ("{A} only smiled.", '"Patience," said {A}, "and a second pot."', "{A} looked at {B}, and both began to laugh."),
    ), (who("Who had to cook?", "A", ("B", "C")), who("Who went to get more {many}?", "B", ("A", "C")),
        Question("counting", "How many {many} were needed?", "The number needed was", "n", ("m", "k")))),
    Plot((
        ("{A} wanted to learn to play the {tune}.", "Nothing sounded sweeter to {A} than {a_tune}, and {he_a} decided to learn it."),
        ("{B} agreed to teach {him_a} every {day}.", "The best player in {t} was {B}, who gave lessons on {day}."),
        ("At first it sounded like a cat in a bucket.", "The first notes were so terrible that the dog left the room.", "The neighbors closed their windows whenever {he_a} practiced."),
        ('"Slowly," said {B}. "Listen before you play."', '"Do not fight with it," {B} advised. "Let it breathe."', "{B} was patient and corrected every finger."),
        ("After {n} weeks the melody became clear.", "{n} weeks later {A} could play a whole song.", "Autumn came, and one day the notes simply followed each other."),
        ("At the harvest festival {A} played in front of everyone.", "On {his_a} birthday {A} played for the family, and nobody said a word."),
        ("{B} sat in the last row and nodded.", "The applause was long, and {B} clapped the loudest."),
    ), (who("Who was the teacher?", "B", ("A", "C")), who("Who was learning to play?", "A", ("B", "C")),
        Question("attribute", "What did {A} learn to play?", "{A} learned to play the", "tune", ("tune2", "tune3")))),
    Plot((
        ("{A} received a letter from {t}.", "The postman brought {A} a letter with a stamp from {t}."),
        ("It came from {B}, who had not written for years.", "{B} had written it by candlelight, with a very old pen."),
        ('"Dear {A}," it began, "I am leaving {t} and moving to {u}."', '"I have sold the house," wrote {B}, "and I am going to {u}."'),
        ('"Please keep the {x} for me until I return."', '"The {x} is yours now, because I cannot carry it."'),
        ("{A} read the letter twice and folded it carefully.", "{A} sat by the window and read it until the light faded."),
        ("Then {he_a} took some paper and answered at once.", "{He_a} wrote back the same night, {n} pages long."),
        ("The answer traveled over the mountains for {m} days.", "The letter reached {u} just as the first snow fell."),
    ), (who("Who wrote the first letter?", "B", ("A", "C")), Question("reading", "Where was {B} going?", "{B} was going to", "u", ("t",)),
        Question("reading", "Where did the first letter come from?", "It came from", "t", ("u",)))),
    Plot((
        ("There was a quarrel between {A} and {B} about {ax}.", "{A} and {B} were quarreling, because both wanted the same {x}."),
        ('"I saw it first," cried {A}.', '"It belongs to me," said {A}, "because I paid for it."'),
        ('"But I carried it home," {B} protested.', '"But I repaired it," answered {B}, "and that was more work."'),
        ("They went to {C}, who was known to be fair.", "In the end they asked {C}, whom everybody trusted."),
        ("{C} listened to both sides without interrupting.", "{C} asked one question and then kept silent for a while."),
        ('"{B} shall have it," {C} decided, "and {A} may use it on {day}."', '"It should go to {B}," said {C}, "but {A} may borrow it whenever the moon is full."'),
        ("At first {A} was angry, but later {he_a} admitted that it was fair.", "Both of them shook hands, and the quarrel was over."),
    ), (who("Who was the judge?", "C", ("A", "B")), who("Who got the {x}?", "B", ("A", "C")),
        Question("possession", "Who has the {x} now?", "Now it belongs to", "B", ("A", "C"))), owner="B"),
    Plot((
        ("{A} bought {ax} at the fair in {t}.", "At the fair {A} saw {ax} and could not resist.", "{A} traded {n} {many} for {ax}."),
        ('"What will you do with it?" asked {B}.', "{B} shook {his_b} head at so much foolishness."),
        ('"It may be useful one day," {A} replied.', "{A} hung it above the door and said nothing."),
        ("For months it only gathered dust.", "Spring passed, summer passed, and nobody touched it."),
        ("Then a traveler knocked at the door and stared at it.", "Then the {job} came by and stopped in surprise."),
        ('"I have been searching for such {ax_plain} all my life," the visitor said.', '"There are only two like this in the whole country," the visitor whispered.'),
        ("{B} was speechless.", "This time it was {B} who had nothing to say."),
        ("{A} sold it for {m} gold coins and bought {B} a new hat.", '"You see?" said {A}.'),
    ), (who("Who had bought the {x}?", "A", ("B",)), who("Who did not believe in it?", "B", ("A",)))),
    Plot((
        ("The bridge near {t} was old, and one day it broke.", "In the spring the flood carried away the bridge near {t}."),
        ("{A} had {his_a} fields on the other side and could no longer reach them.", "Suddenly {A}, who worked on the far bank, had to walk for hours."),
        ("{B} owned a boat and rowed {him_a} over every morning.", "Luckily {B} had a boat and knew the current well."),
        ("Together they asked the council for help.", "They wrote to the mayor and collected signatures."),
        ("An engineer came, measured the river and drew a plan.", "After {n} meetings the money was found."),
        ("Masons, carpenters and smiths worked through the summer.", "All summer the valley echoed with hammers and shouting."),
        ("The new bridge had {m} arches and was wide enough for two wagons.", "Stone by stone the arches grew, until they met in the middle."),
        ("On the day of the opening {A} was the first to cross, and {B} sold the boat.", "{B} tied up the boat for good and walked over the bridge with {A}."),
    ), (who("Who owned the boat?", "B", ("A", "C")), who("Who needed to cross the river?", "A", ("B", "C")))),
)

PLOTS = _FIRST + MORE_PLOTS
