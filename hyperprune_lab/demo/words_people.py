"""Raw words about people: names, work, kinship, feelings and ways of acting.

Knows nothing of grammar or stories; `lexicon` parses these strings.
"""

SHE_NAMES = """Ada Agnes Alma Amira Anna Asta Bea Bella Bruna Cara Celia Clara Cora Dalia Dora Edith Elena Elsa
Esme Eva Fay Fiona Flora Freya Gina Greta Hana Hazel Helen Ida Ines Iris Ivy Jada Jana Joan June Kaya Kira Lena
Lila Lotte Lucy Mabel Maja Mara Maud Mina Mira Nadia Nell Nina Nora Olga Opal Paula Pearl Petra Rosa Ruth Sara
Selma Signe Tara Tessa Una Vera Wilma Yara Zoe"""

HE_NAMES = """Abel Adam Alan Amos Anton Arlo Arne Axel Basil Ben Boris Bruno Carl Cato Cyrus Dario David Edgar
Emil Enzo Erik Ezra Felix Finn Frank Gus Hans Hugo Igor Ivan Jack Jakob Jonas Kai Karl Lars Leo Liam Luka Marco
Mark Max Milo Nils Noah Odin Oscar Otto Owen Pablo Paul Peter Ralf Remy Rolf Rufus Sam Simon Stefan Theo Tim
Tom Victor Walter Yusuf"""

SURNAMES = """Ward Holm Berg Lane Marsh Stone Brook Field Hart Vale Moss Reed Frost Hill Ross Page Wells Grant
Cole Birch"""

# singular noun; what this person does; what this person makes, keeps or works with
OCCUPATIONS = """baker;bakes bread;flour
smith;shapes hot iron;iron
weaver;weaves cloth;wool
potter;makes pots;clay
miller;grinds grain;grain
carpenter;builds tables and chairs;timber
teacher;teaches children;chalk
doctor;cares for sick people;medicine
nurse;looks after patients;bandages
farmer;grows crops;seeds
fisher;catches fish;nets
sailor;sails across the sea;ropes
shepherd;watches over sheep;sheep
gardener;tends the flowers;soil
cook;prepares meals;spices
tailor;sews coats;thread
cobbler;mends shoes;leather
painter;paints portraits;paint
singer;sings old songs;music
fiddler;plays at weddings;strings
librarian;lends out books;books
clerk;keeps the records;ink
judge;settles quarrels;laws
mason;lays bricks;stone
beekeeper;looks after the hives;honey
clockmaker;repairs clocks;gears
glassblower;blows glass;sand
ferryman;rows people over the river;oars
postman;delivers letters;letters
hunter;follows tracks;traps
tinker;mends pans;solder
brewer;brews beer;barley
butcher;sells meat;meat
grocer;sells vegetables;vegetables
florist;arranges flowers;flowers
printer;prints newspapers;paper
plumber;fixes pipes;pipes
roofer;covers roofs;slate
guard;watches the gate;keys
guide;leads travelers;maps
engineer;designs bridges;steel
chemist;mixes powders;powders
astronomer;studies the stars;lenses
explorer;maps unknown land;compasses
musician;writes tunes;notes
actor;performs plays;masks
jeweler;cuts gems;silver
driver;drives the wagon;horses
lawyer;reads contracts;contracts
mechanic;repairs engines;engines"""

# kinship term, its inverse for a she, its inverse for a he, own pronoun (she/he)
KINSHIP = """mother daughter son she
father daughter son he
sister sister brother she
brother sister brother he
aunt niece nephew she
uncle niece nephew he
grandmother granddaughter grandson she
grandfather granddaughter grandson he
daughter mother father she
son mother father he
niece aunt uncle she
nephew aunt uncle he"""

# feeling; a reason that fits, said of any person (slots: s = she or he, p = her or his)
FEELINGS = """happy;{s} had finished all of the work
sad;{p} best friend had moved away
angry;somebody had broken the window
tired;{s} had walked since dawn
hungry;{s} had not eaten since breakfast
thirsty;the water jug was empty
afraid;there was a strange noise in the dark
proud;{s} had won the first prize
lonely;nobody had come to visit
worried;the river was rising
bored;there was nothing to do
excited;the fair would begin tomorrow
calm;the storm had passed
jealous;everybody praised somebody else
grateful;a neighbor had helped with the harvest
curious;the old chest had never been opened
nervous;{s} had to sing in front of the town
surprised;a letter had arrived from far away
sleepy;the fire was warm and the chair was soft
cold;{s} had forgotten {p} coat
embarrassed;{s} had called the teacher by the wrong name
hopeful;the doctor had brought good news
confused;the map did not match the road
cheerful;the sun was shining again
disappointed;the shop was already closed
relieved;the lost key had been found
homesick;the village was so far away
impatient;the ferry was late"""

MANNERS = """slowly quickly quietly carefully gently loudly softly happily sadly bravely calmly politely proudly
eagerly patiently suddenly finally kindly firmly lightly neatly nervously warmly wisely silently cheerfully gladly
briskly thoughtfully lazily"""

TRAITS = """patient kind clever stubborn honest shy brave careful generous curious quiet cheerful serious gentle
funny modest wise friendly thoughtful loyal lively strict humble polite practical dreamy"""

HAIR = "black brown gray red blond white curly straight short long"
HABITS = """hums while working;hummed while working
gets up before sunrise;got up before sunrise
never forgets a face;never forgot a face
always carries a pencil;always carried a pencil
likes to sit by the window;liked to sit by the window
collects old coins;collected old coins
drinks tea without sugar;drank tea without sugar
laughs at every joke;laughed at every joke
talks to the birds;talked to the birds
reads late into the night;read late into the night
walks to the harbor every evening;walked to the harbor every evening
keeps a diary;kept a diary
feeds the stray cats;fed the stray cats
whistles on the stairs;whistled on the stairs
grows tomatoes on the roof;grew tomatoes on the roof
writes long letters;wrote long letters
speaks very little;spoke very little
saves every piece of string;saved every piece of string
tells stories about the sea;told stories about the sea
plays chess on Sundays;played chess on Sundays
sleeps with an open window;slept with an open window
paints small pictures of boats;painted small pictures of boats"""
