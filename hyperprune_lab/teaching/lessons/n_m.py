"""What notebook 01 asks: two readings of n:m, groups, bits, speed, freedom, and what an overview can show.

Knows nothing about the notebook's pictures.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.teaching.exercise import array, function, number
from hyperprune_lab.teaching.prediction import Question

WEIGHTS: Float[np.ndarray, "out in"] = np.array(
    [
        [0.9, -0.2, 0.4, -1.3, 0.3, 1.1, -0.8, 0.6],
        [-0.5, -0.7, 0.1, 0.6, -1.2, 0.2, -0.9, 1.0],
    ]
)
"""The matrix of the exercise on masks: two outputs, eight inputs."""

_TWO_FOUR = NMPattern(2, 4)


def _row_wise(weight: np.ndarray) -> Bool[np.ndarray, "out in"]:
    """The larger half of each row, wherever it stands."""
    mask = np.zeros(weight.shape, dtype=bool)
    best = np.argsort(-np.abs(weight), axis=1, kind="stable")[:, : weight.shape[1] // 2]
    np.put_along_axis(mask, best, True, axis=1)
    return mask


def _down_the_outputs(weight: np.ndarray) -> Bool[np.ndarray, "out in"]:
    """The larger one of every two outputs in the same column."""
    return np.abs(weight) == np.abs(weight).max(axis=0, keepdims=True)


ask_speed = Question(
    "You set half of a matrix to zero and multiply with it as before, with an ordinary dense routine. "
    "How long does it take?",
    {
        "a": "About half as long: half of the work is gone.",
        "b": "Just as long: a zero is a number like any other.",
        "c": "Longer: zeros need special treatment.",
    },
    right="b",
    because="The routine multiplies by zero as diligently as by anything else, and the zeros take as much memory as "
    "before. Only a kernel made for the pattern, on compressed weights, can gain anything.",
    wrong={
        "a": "The work is gone only for somebody who knows where the zeros are and skips them. The dense routine "
        "looks at none.",
        "c": "Nothing special is done with zeros: the routine never notices them.",
    },
)

ask_freedom = Question(
    "Wanda's error at 2:4 on this layer is about 0.09. How much of that would be gone if the same number of weights "
    "could be kept anywhere in a row?",
    {
        "a": "Next to nothing: important weights are spread evenly.",
        "b": "About half: groups of four force many bad choices.",
        "c": "Nearly all of it: the pattern is to blame for the error.",
    },
    right="b",
    because="From {two_four:.3f} to {anywhere:.3f}. Being bound to groups of four costs about as much as losing half "
    "of the weights in the first place, and 4:8 ({four_eight:.3f}) takes away half of that cost already.",
    wrong={
        "a": "On average they are, but averages do not help: of four neighbors three may be important, or none, and "
        "the group has to keep exactly two.",
        "c": "Half of the weights are gone wherever the mask puts the zeros; no freedom brings them back.",
    },
)

ask_from_afar = Question(
    "A 2:4 mask is shown so small that a pixel covers 8 × 8 weights and shows the share that is kept. "
    "What do you see?",
    {
        "a": "Stripes where important inputs run through.",
        "b": "Noise around one half.",
        "c": "Exactly the same gray everywhere.",
    },
    right="c",
    because="Eight neighbors in a row are two whole groups, and every group keeps exactly one half: any average over "
    "whole groups is n/m, by construction, for every mask there is. It says nothing about this one.",
    wrong={
        "a": "They are there, but this average cannot show them: it mixes an important input with the neighbors that "
        "had to make room for it.",
        "b": "There is not even noise: no group deviates from n/m, so no average of groups does.",
    },
)

check_kept_share = number(
    "01/kept_share",
    0.75,
    because="The code counts what it removes: one weight of every four goes and three stay. Said our way, that is "
    "3:4.",
    traps={
        0.25: "You read the first number as what is kept. That is how hardware vendors and this project read it, but "
        "the question is about code that counts what it removes.",
        0.5: "Half is kept at 2:4, where both readings happen to agree. Take the numbers of the question.",
        4.0: "A share lies between 0 and 1: kept weights over all weights of a group.",
        3.0: "That is how many are kept in a group; the question is what share of the group they are.",
    },
    otherwise="Write one group of four weights on paper, do to it what the code does, and count what is left.",
)

check_mask = array(
    "01/mask",
    _TWO_FOUR.project(np.abs(WEIGHTS)),
    because="In every run of four along a row the two largest sizes stay, whatever their signs and however the "
    "neighboring group fared.",
    traps=[
        (
            _TWO_FOUR.project(WEIGHTS),
            "You compared signed values, so that a large negative weight lost to a small positive one. A weight "
            "matters by its size: compare absolute values.",
        ),
        (
            ~_TWO_FOUR.project(np.abs(WEIGHTS)),
            "This marks what is pruned. Here, as in every mask of this project, `True` means that the weight is "
            "kept.",
        ),
        (
            _row_wise(WEIGHTS),
            "You kept the larger half of each row. The count is right but the places are not: each group of four has "
            "to keep exactly two, even where its third best beats everything in the next group.",
        ),
        (
            _down_the_outputs(WEIGHTS),
            "You compared down the columns, across outputs. Groups run along a row, over neighboring inputs of one "
            "output.",
        ),
    ],
    otherwise="Take one row, cut it into inputs 0 to 3 and 4 to 7, and keep in each piece the two weights of largest "
    "size.",
)

check_new_patterns = number(
    "01/new_patterns",
    34,
    because="Two neighboring groups of 2:4 can be combined in 6 × 6 = 36 ways, and all 36 are also legal at 4:8, "
    "which has 70. Whatever 2:4 can do, 4:8 can do as well.",
    traps={
        64: "70 − 6 compares eight weights with four. Eight weights hold two groups of 2:4, and each chooses for "
        "itself.",
        58: "Two independent choices among six: they multiply, they do not add up.",
        70: "70 is how many there are at 4:8 in all. Some of them are legal at 2:4, too: those with two kept on "
        "either side.",
        36: "36 is how many of them are legal at 2:4. The question is about the others.",
        6: "That is the number of masks of one group of four. Think of all eight weights.",
    },
    otherwise="Count the masks of eight weights twice: keep any four of the eight; keep two in each half. Every mask "
    "of the second kind is one of the first.",
    tolerance=0.001,
)

check_bits = number(
    "01/bits",
    3.0,
    because="Two codes of 4 bits and two positions of 2 bits make 12 bits for four weights. Dense codes take 4 bits "
    "a weight: half of the weights are gone, but only a quarter of the bytes, because positions do not shrink along.",
    traps={
        2.0: "The codes alone come to 2 bits a weight, but nobody could tell where they belong. Each kept weight "
        "also brings its position in the group.",
        12.0: "That is for a whole group of four. Divide by the four weights it stands for.",
        6.0: "You divided by the two that are kept. The question asks per weight of the original matrix, of which a "
        "group has four.",
        9.0: "That is the case above, with 16-bit weights. Now they have 4 bits each.",
        2.646: "You stored the index of one of six masks, log2(6) bits for a group: the least that is possible. The "
        "hardware format is plainer: one 2-bit position for every kept weight.",
        2.75: "You stored the index of one of six masks, rounded up to whole bits. The hardware format has one 2-bit "
        "position for every kept weight.",
        5.0: "Positions belong to kept weights only: two of them in a group, not four.",
    },
    otherwise="Add up one group: codes of the weights that are kept, plus a position for each; then share it among "
    "four weights.",
)


def _examples() -> list[tuple[Bool[np.ndarray, "out in"]]]:
    """Masks whose columns, rows and averages all differ."""
    draw = np.random.default_rng(5)
    return [(_TWO_FOUR.project(draw.normal(size=(rows, 8)) * np.linspace(1, 3, 8)),) for rows in (6, 10)]


check_column_keep_rate = function(
    "01/column_keep_rate",
    lambda mask: np.asarray(mask).mean(axis=0),
    cases=_examples(),
    because="Averaging over the outputs of one input never mixes the members of a group, so the signal survives.",
    traps=[
        (
            lambda mask: np.asarray(mask).mean(axis=1),
            "You averaged along each row, over whole groups: that is n/m for every row, whatever the mask. Average "
            "the other way, over the outputs (rows) of each input.",
        ),
        (
            lambda mask: np.asarray(mask).mean(),
            "One number for the whole mask is n/m by construction. One number per input is wanted.",
        ),
        (
            lambda mask: 1 - np.asarray(mask).mean(axis=0),
            "This is the share that is pruned. The mask is true where a weight is kept.",
        ),
        (
            lambda mask: np.asarray(mask).sum(axis=0),
            "These are counts. Divide by the number of outputs, so that layers of different height compare.",
        ),
        (
            lambda mask: np.asarray(mask).reshape(len(mask), -1, 4).mean(axis=(0, 2)),
            "You averaged over the group as well: every group gives exactly n/m. Keep the inputs apart.",
        ),
    ],
    otherwise="For each input (column), which share of its weights, one per output (row), is kept? The answer has "
    "one number per column.",
)
