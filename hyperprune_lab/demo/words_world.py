# ruff: noqa: E501 - one entry a line
"""Raw words about the world: places, weather, times, opposites, causes and how things work.

Knows nothing of grammar or stories; `lexicon` parses these strings.
"""

# kind | preposition | nouns
PLACES = """room|in|kitchen cellar attic hall pantry bedroom study parlor workshop closet nursery washroom
town|at|market bakery library school station harbor inn post office bank theater museum hospital bridge church
yard|in|garden barn stable shed orchard courtyard greenhouse chapel tower tent cottage cabin
nature|in|forest meadow valley cave field desert marsh vineyard
high|on|hill beach island mountain terrace roof platform balcony farm"""

TOWNS = """Alder Brackwater Coldwell Dunmere Eastry Farrow Glenholm Harrowby Kestrel Lindow Marrick Norwell Oakham
Pellwick Quarley Ravenby Saltmere Thornby Upwell Westerly"""

WEATHER = """sunny;the sun shone brightly;spring summer autumn winter
rainy;rain fell on the roofs;spring summer autumn
windy;the wind pulled at every door;spring autumn winter
snowy;snow covered the street;winter
foggy;fog hid the far side of the river;autumn winter spring
stormy;thunder rolled over the hills;summer autumn
cloudy;gray clouds filled the sky;spring summer autumn winter
frosty;ice covered the puddles;winter
hot;the air was hot and still;summer
warm;a warm breeze came from the south;spring summer
cold;everyone's breath turned to mist;winter
damp;everything felt damp and soft;autumn spring"""

SEASONS = "spring summer autumn winter"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
MONTHS = "January February March April May June July August September October November December"
DAY_TIMES = """in the morning;at noon;in the afternoon;in the evening;before breakfast;after lunch;at sunset;at dawn;
after supper;late at night"""

OPPOSITES = """hot cold;big small;tall short;heavy light;old new;fast slow;wet dry;full empty;open closed;clean dirty;
hard soft;high low;near far;early late;happy sad;loud quiet;strong weak;rich poor;thick thin;wide narrow;deep shallow;
bright dark;sweet sour;rough smooth;brave afraid;kind cruel;young aged;right wrong;true false;easy difficult;
cheap expensive;safe dangerous;asleep awake;alive dead;first last;begin end;buy sell;give take;push pull;win lose;
come go;laugh cry;remember forget;love hate;find hide;rise fall;arrive leave;build destroy;accept refuse;
up down;inside outside;above below;left right;before after;always never;everything nothing;day night;summer winter;
north south;east west;friend enemy;question answer;beginning end;top bottom;success failure;war peace;guest host;
winner loser;city village;many few;sharp blunt;straight crooked;tight loose;fresh stale;simple complicated;
polite rude;lazy busy;careful careless;proud humble;wise foolish;public private;ancient modern;front back"""

# effect clause ; cause clause ; one-word heart of the cause ; a consequence somebody draws
CAUSES = """the floor was wet;the bucket had tipped over;bucket;mopped it up
the milk was sour;the day had been too hot;heat;poured it away
the soup was cold;the fire had gone out;fire;warmed it again
the road was closed;a tree had fallen across it;tree;took the other way
the dog was barking;a stranger stood at the gate;stranger;went to look
the window was broken;a ball had flown through it;ball;swept up the glass
the bread was burnt;the oven had been too hot;oven;baked another loaf
the boat was late;the fog was thick;fog;waited on the pier
the bell was silent;its rope had torn;rope;tied a new knot
the cart was stuck;its wheel had sunk into the mud;mud;put boards under it
the plants were dry;nobody had watered them;drought;filled the watering can
the room was dark;the lamp had no oil;lamp;lit a candle
the children were laughing;the clown had lost his hat;clown;laughed with them
the shop was closed;the owner was at a wedding;wedding;came back the next day
the river was high;the snow had melted in the hills;snow;moved the boats
the clock was wrong;nobody had wound it;clockwork;set it again
the hens were restless;a fox was near the coop;fox;shut the coop
the door was stuck;the wood had swollen in the rain;rain;pushed with both hands
the chimney was smoking;a nest had blocked it;nest;called the sweep
the baby was crying;a loud noise had frightened it;noise;sang to it
the field was white;frost had come in the night;frost;stayed indoors
the water was muddy;cows had walked through the stream;cows;let it settle
the letter was late;the postman had hurt his foot;postman;thanked him anyway
the cat was hiding;the thunder had scared it;thunder;waited under the table
the table was wobbly;one leg was too short;leg;folded a piece of paper
the bridge was shut;a flood had damaged it;flood;asked the ferryman
the harvest was small;the summer had been too dry;summer;saved every grain
the ladder was shaky;a rung had cracked;rung;nailed it firmly
the paint was sticky;the air was damp;damp;waited another day
the horse was limping;a stone was caught in its hoof;stone;pulled it out"""

# thing that works ; how it works, three sentences ; question ; answer word ; wrong words
WORKINGS = """windmill;The wind pushes the sails. The sails turn a long shaft. The shaft turns the millstone, and the millstone grinds the grain.;What pushes the sails of a windmill? The sails are pushed by the;wind;grain,shaft
water wheel;The stream falls on the paddles. The paddles turn the wheel. The wheel turns the machines in the mill.;What turns the wheel of a water mill? The wheel is turned by the;paddles;machines,mill
kettle;The fire heats the water. The hot water turns into steam. The steam rushes through the spout and makes it whistle.;What makes a kettle whistle? The whistle comes from the;steam;fire,kettle
compass;A compass holds a small magnet on a pin. The magnet is free to turn. It always points to the north, so travelers can find their way.;Which way does a compass point? It points to the;north;pin,way
candle;The flame melts the wax. The melted wax climbs up the wick. At the top of the wick the wax burns and gives light.;What climbs up the wick of a candle? It is the melted;wax;light,flame
scale;A scale has two pans and a beam. The heavier pan goes down and the lighter pan goes up. When both sides weigh the same, the beam is level.;Which pan of a scale goes down? It is the;heavier;lighter,level
lock;A lock has small pins inside. The right key lifts every pin to the right height. Then the bolt can slide and the door opens.;What lifts the pins of a lock? They are lifted by the;key;bolt,door
clock;A weight pulls on a chain. The chain turns the gears. The gears move the hands around the face.;What moves the hands of a clock? They are moved by the;gears;chain,weight
pump;The handle lifts a piston. The piston pulls the water up the pipe. The water runs out of the spout into the bucket.;What pulls the water up the pipe? It is pulled by the;piston;bucket,spout
bell;The rope swings the bell. The clapper strikes the metal. The metal trembles, and the air carries the sound over the town.;What strikes the metal of a bell? It is struck by the;clapper;rope,air
oven;Wood burns in the oven. The stones around the fire grow hot. The hot stones bake the bread long after the fire is out.;What bakes the bread in the oven? It is baked by the hot;stones;wood,fire
pulley;A pulley is a wheel with a rope around it. One end of the rope holds the load. When somebody pulls the other end, the load goes up.;What does the rope of a pulley hold? It holds the;load;wheel,end
sundial;A sundial has a plate and a pointer. The sun shines on the pointer. The shadow of the pointer moves over the plate and shows the hour.;What shows the hour on a sundial? It is shown by the;shadow;plate,sun
loom;The long threads are called the warp. The weaver throws the shuttle between them. The shuttle leaves a thread behind, and row by row the cloth grows.;What leaves a thread behind on a loom? It is left by the;shuttle;warp,weaver
beehive;Bees fly from flower to flower. They carry nectar home. In the hive the nectar slowly becomes honey.;What becomes honey in a beehive? It is the;nectar;flower,hive
lighthouse;A lamp burns at the top of the tower. A lens gathers its light into a beam. Sailors see the beam and keep away from the rocks.;What gathers the light of a lighthouse? It is gathered by the;lens;tower,rocks
sailboat;The wind fills the sail. The keel stops the boat from sliding sideways. The rudder at the back turns the boat left or right.;What turns a sailboat left or right? It is turned by the;rudder;keel,sail
magnet;A magnet has two ends called poles. Different poles pull each other. Equal poles push each other away.;What do different poles do? Different poles;pull;push,turn
rain;The sun warms the sea. Water rises into the air as vapor. High up the vapor cools, becomes a cloud and falls as rain.;What warms the sea? It is warmed by the;sun;cloud,air
echo;A shout travels through the valley. It meets a cliff and turns back. A moment later the shout is heard again, and this is called an echo.;What turns the shout back? It is turned back by the;cliff;valley,moment"""

SOUNDS = "creaked rattled whispered hummed clattered echoed groaned ticked"
DETAILS = """a smell of fresh bread hung in the air;a blackbird sang on the wall;dust danced in the light;
smoke rose from the chimneys;somewhere a door slammed;the clock on the wall ticked;a cart rolled past the window;
the neighbors were still asleep;two children were skipping stones;a ladybug crawled over the sill;
an old song could be heard from the street;the lamps had just been lit;leaves were drifting across the path;
a gray cat watched from the stairs;the pump in the yard was dripping;bees moved slowly among the flowers;
a kettle was boiling on the stove;sparrows argued under the eaves;the last stars were fading;
a long shadow lay across the square;the puddles were shining;somebody was chopping wood;
the church bell struck the hour;a boat horn sounded from the harbor;the first swallows had returned;
laundry fluttered between the houses;the ashes in the hearth were still warm;a moth circled the candle"""

MORALS = """A small kindness is never wasted.;Whoever asks early saves a long walk.;It is easier to count twice than to
search once.;Good work likes a quiet hour.;A shared load is a light load.;The slow path often arrives first.;Even a
short letter can warm a long evening.;Nobody knows everything, but everybody knows something.;What is lent should come
home again.;A mistake that is told is half repaired.;Old things have patient stories.;The best plans leave room for
rain.;There is always one more thing to learn.;A friend notices what others pass by.;Hurry is a poor carpenter."""
