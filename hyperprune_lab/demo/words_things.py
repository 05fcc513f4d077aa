# ruff: noqa: E501 - one entry a line
"""Raw words about things: objects by category, foods, animals and what they are like.

Knows nothing of grammar or stories; `lexicon` parses these strings.
"""

# category | weight 1..5 | materials | colors? | nouns (irregular plurals as noun/plural)
OBJECTS = """tableware|1|tin copper wooden silver clay glass|y|cup bowl plate spoon fork knife/knives jug mug saucer
cookware|2|iron copper tin steel|n|pot pan kettle ladle sieve grater tray teapot strainer
container|2|wooden wicker tin leather|y|box/boxes basket bucket bag case chest crate jar bottle barrel sack pouch/pouches trunk purse
tool|2|iron steel wooden|n|hammer saw rake shovel chisel file axe wrench/wrenches ladder spade hoe broom brush/brushes plane crowbar pickaxe trowel sickle
small tool|1|brass steel silver iron|n|thimble key nail screw hook bell whistle compass/compasses buckle hinge latch/latches pin button
light|2|brass tin iron|y|lantern lamp candlestick
clothing|1|woolen cotton linen leather|y|coat hat scarf/scarves glove shirt sock belt boot apron cap cloak dress/dresses jacket skirt vest sweater slipper ribbon shawl handkerchief
bedding|2|woolen cotton linen|y|blanket pillow rug curtain towel sheet quilt cushion tablecloth carpet
furniture|4|wooden oak pine iron|y|table chair bench/benches shelf/shelves cupboard stool desk bed cradle wardrobe drawer bookcase
paper|1|small thin old|n|book letter map notebook newspaper envelope ticket picture diary/diaries calendar poster postcard stamp
writing|1|wooden silver brass|y|pencil pen ruler crayon inkwell
instrument|2|wooden|y|fiddle drum flute trumpet harp guitar piano horn accordion
toy|1|wooden tin cloth|y|doll ball kite marble puppet whale puzzle sled hoop
jewelry|1|silver gold copper|n|mirror comb ring necklace bracelet coin medal brooch/brooches crown locket
vehicle|5|wooden iron|y|cart wagon boat raft sledge bicycle carriage canoe barge plow
building part|4|wooden iron oak stone|y|door gate window fence pillar beam wheel anchor
rope and cloth|2|cotton linen|y|rope net flag sail tent hammock banner
stone|3|gray smooth round|n|stone brick tile millstone statue
desk thing|2|brass steel|n|clock scale telescope globe typewriter microscope magnet
garden thing|3|clay wooden tin|y|flowerpot wheelbarrow trough scarecrow beehive birdhouse"""

SIZES = "small large little big tiny huge long short tall wide narrow"
CONDITIONS = (
    "old new clean dirty shiny dusty broken plain heavy light strange beautiful useful ordinary empty"
)
COLORS = "red blue green yellow white black brown gray orange purple pink"

# countable foods (noun/plural), sold by the piece
FOODS = """apple pear plum peach/peaches cherry/cherries lemon orange melon fig grape carrot onion turnip cabbage
potato/potatoes tomato/tomatoes pumpkin egg bun roll pie cake cookie biscuit pancake sausage bean radish/radishes
walnut almond chestnut mushroom cucumber beet leek pepper berry/berries strawberry/strawberries apricot loaf/loaves
herring oyster dumpling muffin pretzel"""

# those that are washed and cut
RAW_FOODS = """apple pear plum peach cherry carrot onion turnip cabbage potato tomato pumpkin radish mushroom cucumber
beet leek pepper strawberry apricot"""

# uncountable foods and a measure
MASS_FOODS = """flour;cups sugar;spoons butter;spoons milk;cups honey;spoons rice;cups water;cups salt;pinches
cream;cups oil;spoons barley;cups cheese;slices vinegar;spoons oatmeal;cups mustard;spoons cinnamon;pinches"""

# animal/plural; sound; home; a thing it does
ANIMALS = """dog;barks;yard;guards the house
cat;purrs;kitchen;sleeps by the stove
horse;neighs;stable;pulls the cart
cow;moos;barn;gives milk
sheep/sheep;bleats;meadow;gives wool
goat;bleats;on the hill;climbs on rocks
pig;grunts;sty;rolls in the mud
hen;clucks;coop;lays eggs
duck;quacks;pond;swims in the pond
goose/geese;hisses;farmyard;chases strangers
mouse/mice;squeaks;wall;nibbles cheese
owl;hoots;tree;hunts at night
crow;caws;field;steals shiny things
wolf/wolves;howls;forest;hunts in a pack
bear;growls;cave;sleeps all winter
fox/foxes;yelps;den;sneaks through the grass
frog;croaks;pond;jumps from leaf to leaf
bee;buzzes;hive;makes honey
donkey;brays;stable;carries heavy sacks
lion;roars;grassland;rests in the shade
elephant;trumpets;grassland;sprays water with its trunk
rooster;crows;farmyard;wakes everyone
pigeon;coos;on the roof;carries messages
cricket;chirps;meadow;sings on warm nights
swan;hisses;lake;glides over the water
deer/deer;snorts;forest;runs fast
rabbit;thumps;burrow;digs tunnels
hedgehog;snuffles;garden;curls into a ball
squirrel;chatters;tree;hides nuts
otter;whistles;river;catches fish
seal;barks;on the coast;dives for fish
parrot;screeches;jungle;copies words
snake;hisses;desert;swallows its food whole
camel;grumbles;desert;walks for days without water
turtle;hisses;on the beach;hides in its shell
spider;rustles;corner;spins a web
eagle;screams;on the mountain;sees far
whale;sings;ocean;breathes air
bat;squeaks;cave;flies in the dark
beaver;splashes;river;builds dams"""

# those small enough to be carried home
SMALL_ANIMALS = (
    "dog cat goat hen duck goose owl crow fox pigeon rabbit hedgehog squirrel otter swan deer lamb"
)

# irregular or tricky plurals for the grammar lessons, beside all the nouns above
TRICKY_PLURALS = """child/children man/men woman/women foot/feet tooth/teeth goose/geese mouse/mice ox/oxen
leaf/leaves wolf/wolves knife/knives wife/wives shelf/shelves loaf/loaves thief/thieves calf/calves
city/cities story/stories baby/babies lady/ladies fly/flies
bus/buses glass/glasses box/boxes fox/foxes dish/dishes church/churches watch/watches bush/bushes potato/potatoes
tomato/tomatoes hero/heroes cherry/cherries pony/ponies puppy/puppies butterfly/butterflies"""
