"""What notebook 07 asks: a run while it works, what a stop costs, and how to go back to a moment.

Knows nothing about how a run is begun or steered.
"""

from __future__ import annotations

from hyperprune_lab.teaching.exercise import choice, number
from hyperprune_lab.teaching.prediction import Question

ask_full = Question(
    "The map is full as soon as every block has its masks. How much of the run's time has passed by then?",
    {"a": "Nearly all of it.", "b": "About half.", "c": "About a quarter."},
    right="c",
    because="The stage that goes from block to block ends after {full:.0%} of the time. Then the masks are tuned "
    "together, the kept weights are refitted, and everything is measured.",
    wrong={
        "a": "A full map looks finished. But what it shows then is provisional, and the column of that name says so.",
        "b": "One step over the whole model costs far more than one over a block, and that stage is still to come.",
    },
)

check_decided = number(
    "07/decided",
    28,
    because="Seven matrices a block, and blocks 0 to 3 are done. `as_of` leaves out whatever was decided later, so "
    "the table is the one you would have seen at that moment.",
    traps={
        4: "That many blocks are done. How many rows does the table have, one for each matrix?",
        21: "Blocks are counted from 0: with block 3 done, one more has its masks than you counted.",
        56: "Those are all matrices of the finished run. Did `as_of` get through?",
        74: "That is the number of the event. How many rows does the table have?",
    },
    otherwise="`len(run.modules(as_of=74))` counts the matrices that had a mask when event 74 was written.",
)

check_changed = choice(
    "07/changed",
    "b",
    because="After the walk through the blocks, a second stage looks at the whole model and moves a few masks where "
    "that brings the predictions closer to the dense model's. Until it is through, every row is provisional.",
    traps={
        "a": "Nothing was drawn anew: the two numbers belong to two decisions, and each is exact.",
        "c": "Refitting changes weights, and this column is measured with the original ones.",
        "d": "The statistics of a block are taken once. What differs is which weights they are applied to.",
    },
)

check_stopped = choice(
    "07/stopped",
    "c",
    because="It goes on from its last checkpoint, with the same random numbers in the same order. On a CPU the masks "
    "are the same, bit for bit.",
    traps={
        "a": "That would make a stop expensive. You saw the number of finished blocks go on where it had been.",
        "b": "Chance is part of the checkpoint: the state of the random numbers is written down with everything else.",
        "d": "The blocks that were done are kept. Only what came after the last checkpoint is computed again.",
    },
)

check_moment = number(
    "07/moment",
    110,
    because="It is the newest event of block 5 in the stage `layers`. Put it behind `moment=`, and every view of the "
    "Lab shows the run as it stood then.",
    traps={
        92: "That is block 4. Blocks are counted from 0, so block 5 is the sixth.",
        128: "That is block 6. Look for 5 in the column of the block: the first row is block 0.",
        209: "That is block 5 of the stage `model`, much later. Every stage goes through the blocks again: ask for "
        "`layers` only.",
        5: "That is the number of the block. The event stands in the column `seq`.",
    },
    otherwise='`run.blocks("layers")` has one row for each block; the event that ended it stands in the column `seq`.',
    tolerance=0.001,
)
