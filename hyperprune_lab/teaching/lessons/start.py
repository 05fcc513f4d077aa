"""What notebook 00 asks: three things read off the Lab, and one to predict.

Knows nothing about how the Lab draws them.
"""

from __future__ import annotations

from hyperprune_lab.teaching.exercise import choice, number
from hyperprune_lab.teaching.prediction import Question

ask_restore = Question(
    "You may give the pruned model one of its 56 matrices back, whole. Which one helps most?",
    {
        "a": "The one with the largest error on the map.",
        "b": "One in the first block, with a modest error.",
        "c": "One in the last block, next to the output.",
    },
    right="b",
    because="{best} brings back {damage:.2f} nats per token, though its error is only number {place:.0f} of 56. The "
    "worst cell of the map brings back {worst_damage:.3f}. What the first block gets wrong, all the others build on.",
    wrong={
        "a": "An error says how much of its own output a matrix lost, not how much the model leans on it.",
        "c": "The last block is close to the output, but nothing is built on it anymore.",
    },
)

check_block = number(
    "00/block",
    6,
    because="The ringed cell of v_proj, with 0.11 written in it. Blocks are counted from 0, so it is the last but one.",
    traps={
        7: "Close: that cell also reads 0.11, but its error is a little smaller. Or did you count from 1? The numbers "
        "below the map start at 0.",
        5: "That cell reads 0.10. There are two that are worse.",
        0: "The left end is the first block. Look for the cell with a ring.",
        0.11: "That is the error. Which block is it in?",
    },
    otherwise="The ring marks the worst cell, and the number of its block stands below the map.",
)

check_kept = choice(
    "00/kept",
    "b",
    because="The weight is 40 times smaller than its neighbor, but its input is 30 times as loud as most. What reaches "
    "the output is the product of the two.",
    traps={
        "a": "Look at the card again: it is one of the two smallest weights of its group.",
        "c": "Chance has no part in it: the card lists what each of the six patterns would have cost.",
        "d": "A 2:4 pattern may keep any two of the four, next to each other or not.",
    },
)

check_damage = number(
    "00/damage",
    0.17,
    because="With this one matrix of 56 made whole, the model's predictions come that much closer to the dense "
    "model's, on average over tokens. A nat is the unit of the loss: perplexity is e to the power of it.",
    traps={
        0.076: "That is the number behind the ±: how uncertain the measurement is.",
        0.059: "That is its error. You want what it costs the model, in the column of damage.",
        0.86: "That is its error over the trend: a little less than others at this depth.",
        0.001: "That is the damage of the cell with the largest error. You want the one at the top of the list.",
        0.139: "That is the next one: mlp.gate_proj of the same block.",
    },
    otherwise="In the tab Findings (key 9) the list is sorted; its first row has the number under damage.",
    tolerance=0.03,
)
