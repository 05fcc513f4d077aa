"""What notebook 06 asks: what is forgotten, how it is summed up, what stays, what holding on costs.

Knows nothing about the notebook's pictures.
"""

from __future__ import annotations

import numpy as np

from hyperprune_lab.teaching.exercise import choice, function, number
from hyperprune_lab.teaching.prediction import Question

ask_again = Question(
    "One network is trained on block 0, then on block 1, then on block 2. Then we ask it about block 0 again: same "
    "groups, same inputs. How many groups does it decide differently from the first time?",
    {
        "a": "None: block 0 was finished before block 1 began.",
        "b": "A few in a hundred: blocks are much alike.",
        "c": "More than a quarter.",
    },
    right="c",
    because="{changed:.0%}, and its new answers are worse: block 0's error would be {now:.3f} instead of {then:.3f}. "
    "The same parameters had to serve block 1 and block 2, and nobody told them to keep an eye on block 0.",
    wrong={
        "a": "Its masks were finished. The network that made them went on learning.",
        "b": "They are alike, and the network is small: what changes for one block changes for all.",
    },
)

ask_regenerated = Question(
    "In the recorded run `paper` the network would decide 11 % of the earlier groups differently at the end. Now let "
    "it: throw the stored masks away, and take those that the final network gives for all blocks. Perplexity was 85.6. "
    "What is it now?",
    {
        "a": "Higher: what was forgotten is lost.",
        "b": "About the same: 11 % is little.",
        "c": "Lower.",
    },
    right="c",
    because="{regenerated:.1f} instead of {stored:.1f}. Block 0 was decided by a network that had seen one block. At "
    "the end it has seen eight, and knows better, at least in this run.",
    wrong={
        "a": "'Changed' is not 'worse'. Backward transfer has a sign, and here it is positive.",
        "b": "Most of it falls on the first block, where mistakes grow longest. It is not little.",
    },
)

ask_price = Question(
    "Now the same three blocks with λ2 = 1: the network is held to its earlier answers. What does that cost?",
    {
        "a": "Nothing: it only forbids useless changes.",
        "b": "Block 0 comes out worse.",
        "c": "Blocks 1 and 2 come out worse.",
    },
    right="c",
    because="Block 2's error is {held:.3f} instead of {free:.3f}. A network that may not change its answers to old "
    "questions is less free in its answers to new ones.",
    wrong={
        "a": "It also forbids useful ones. The network has one set of parameters for both.",
        "b": "When block 0 is trained there is nothing yet to hold on to: λ2 begins to work at block 1.",
    },
)


def _average(matrix: np.ndarray) -> float:
    return float(np.asarray(matrix)[-1, :-1].mean())


def _matrices() -> list[tuple[np.ndarray]]:
    draw = np.random.default_rng(6)
    cases = []
    for blocks in (3, 5):
        values = draw.random((blocks, blocks)) * 0.4
        np.fill_diagonal(values, 0.0)
        values[np.triu_indices(blocks, 1)] = np.nan
        cases.append((values,))
    return cases


check_average = function(
    "06/average",
    _average,
    cases=_matrices(),
    because="The last row, without its last entry: every earlier block, as it is remembered at the end.",
    traps=[
        (
            lambda matrix: matrix[-1].mean(),
            "The last block was only just decided, so its entry is zero by construction. It flatters the average.",
        ),
        (
            lambda matrix: np.nanmean(matrix),
            "That mixes all moments, and zeros from the diagonal. What counts is what is left at the end.",
        ),
        (
            lambda matrix: matrix[np.tril_indices(len(matrix), -1)].mean(),
            "That averages over all moments after a decision. What counts is what is left at the end.",
        ),
        (
            lambda matrix: np.nanmax(matrix[-1]),
            "That is the block that was forgotten most. An average is asked for.",
        ),
        (
            lambda matrix: matrix[1:, 0].mean(),
            "That is the first block's column: one block through time. Take all earlier blocks, at the end.",
        ),
        (
            lambda matrix: np.nanmean(matrix[:-1, 0]),
            "That is the first block's column: one block through time. Take all earlier blocks, at the last moment.",
        ),
        (
            lambda matrix: matrix[-1, :-1].sum(),
            "That is the sum. More blocks would then always mean more forgetting.",
        ),
    ],
    otherwise="The matrix has a row for each moment and a column for each block. Which row is the end? Which of its "
    "entries belong to earlier blocks?",
)

check_transfer = number(
    "06/transfer",
    ((0.10 - 0.14) + (0.12 - 0.11)) / 2,
    because="Block 0 got worse by 0.04, block 1 better by 0.01. On average what came later has harmed: negative.",
    traps={
        0.015: "Mind the sign: backward transfer is positive where later blocks *helped*, and errors are bad.",
        -0.01: "You divided by three. The last block was only just decided and does not count.",
        -0.03: "That is the sum. Take the mean of the two earlier blocks.",
        0.025: "You averaged sizes. One of the two changes is for the better.",
        -0.04: "That is block 0 alone.",
        0.01: "You divided by three, and the sign is turned.",
    },
    otherwise="For every earlier block: error at its decision minus error now. Then the mean.",
)

check_stored = choice(
    "06/stored",
    "a",
    because="A mask is decided once, written down, and applied. What changes is the answer that the network *would* "
    "give to the same question later.",
    traps={
        "b": "That would be so if masks were made again from the network. They are stored.",
        "c": "Nothing of the weights that are kept changes in this run, and masks are stored.",
        "d": "Any change of weights or masks would show in the model's outputs. Forgetting shows in neither.",
    },
)

check_infinite = choice(
    "06/infinite",
    "d",
    because="With its old answers nailed down, a shared network has hardly any way left to learn. What it learned in "
    "the first block is what it knows.",
    traps={
        "a": "It is held to its earlier answers from block 1 on, and groups of other blocks look much the same to it.",
        "b": "Holding on is measured on answers, and it would be perfect. But that is not what makes masks good.",
        "c": "The term is zero where nothing changes; it does not make anything forget.",
    },
)
