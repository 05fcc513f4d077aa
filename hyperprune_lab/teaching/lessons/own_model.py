"""What notebook 08 asks: what of a model can be pruned, what it takes, and where to do it.

Knows nothing about any one model.
"""

from __future__ import annotations

from hyperprune_lab.teaching.exercise import choice, number
from hyperprune_lab.teaching.prediction import Question

ask_zeros = Question(
    "The embedded model was pruned to 2:4. Which part of all its parameters is zero now?",
    {"a": "Half, exactly.", "b": "Less than half.", "c": "More than half."},
    right="b",
    because="{share:.0%} of its parameters lie in matrices that are pruned, and half of those are zero: {zeros:.1%} of "
    "the model. The larger the model, the less its embeddings weigh.",
    wrong={
        "a": "Half of the weights in every pruned matrix, yes. But embeddings and norms are left alone.",
        "c": "2:4 removes two of every four, never more, and only where it applies.",
    },
)

check_groups = number(
    "08/groups",
    688,
    because="A group is 16 weights long, and groups lie along the inputs: 11008 / 16.",
    traps={
        1376: "You divided by 8, the weights that are kept. A group is as long as the second number.",
        256: "That counts along the outputs. Groups lie along the inputs, since that is where products are summed.",
        2752: "That is 2:4, or 1:4. How long is a group of 8:16?",
        5504: "So many weights are kept in a row. How many groups are there?",
    },
    otherwise="The row is 11008 long. How long is one group of 8:16?",
)

check_gram = number(
    "08/gram",
    485,
    because="One number for each pair of inputs, four bytes each: 11008 · 11008 · 4. It grows with the square of the "
    "width, and is the reason why the look before a run counts it apart.",
    traps={
        0.044: "That is a vector, one number for each input. Statistics are kept for each *pair* of inputs.",
        180: "That is the weight, outputs by inputs. The statistics know nothing of the outputs.",
        242: "Right shape, but sums are kept in 32 bits: four bytes for each number.",
        462: "You count a MB as 1024 · 1024 bytes; here it is a million.",
    },
    otherwise="A square: inputs by inputs, four bytes each. Divide by a million.",
    tolerance=0.01,
)

check_place = choice(
    "08/place",
    "c",
    because="A record without weights is small, opens without torch, and has all that the views draw.",
    traps={
        "a": "A tunnel is good while the line holds. What becomes of it in the mountains?",
        "b": "It has no GPU: what took an hour on the server takes days here. And it is done already.",
        "d": "Weights are most of a record's size, and no view draws them.",
    },
)
