"""What notebook 05 asks: sizes of errors, channels, other texts, what is inherited, what the model feels, information.

Knows nothing about the notebook's pictures.
"""

from __future__ import annotations

import math

import numpy as np

from hyperprune_lab.teaching.exercise import choice, function, number
from hyperprune_lab.teaching.prediction import Question

ask_few_texts = Question(
    "Two short sequences are all the text we have: 512 tokens, for a layer with 768 inputs. Least squares fits the "
    "kept weights to them, and the layer's error falls from 0.083 to 0.012. What is the error on other texts?",
    {
        "a": "About 0.012 as well: least squares is exact.",
        "b": "Larger, but better than with no refit at all.",
        "c": "Larger than with no refit at all.",
    },
    right="c",
    because="{refit:.3f}, where the original weights under the same mask lose {kept:.3f}. With fewer tokens than "
    "inputs the fit can explain everything it has seen, accidents included.",
    wrong={
        "a": "Exact on these tokens. It was asked about no others.",
        "b": "So it is with more tokens. Here there are fewer tokens than inputs.",
    },
)

ask_last_block = Question(
    "All masks are in place, by Wanda. In the last of eight blocks, what is the larger part of the linears' error?",
    {
        "a": "What their own masks lose.",
        "b": "What comes in wrong already.",
        "c": "The two are about as large.",
    },
    right="b",
    because="On average {inherited:.2f} is inherited and {local:.2f} is their own. Their masks are hardly worse than "
    "those of the first block ({first:.2f}).",
    wrong={
        "a": "Their own part is about what it is in the first block. Seven blocks have passed on theirs.",
        "c": "In the first block they are. The own part stays as it is, and the other grows from block to block.",
    },
)

ask_damage = Question(
    "Three linears of the run of Wanda: (a) block 6's `v_proj` loses 0.126 of its output, the most of all; (b) block "
    "0's `down_proj` loses 0.075, less than the average; (c) block 7's `down_proj` has a total error of 0.63, and "
    "inherits nearly all of it. We give one of them its dense weights back. Which one helps the model most?",
    {
        "a": "`v_proj` of block 6.",
        "b": "`down_proj` of block 0.",
        "c": "`down_proj` of block 7.",
    },
    right="b",
    because="{b:.3f} nats per token are recovered there, the most of all {count} linears; {a:.3f} and {c:.3f} at the "
    "others, which is hardly more than a standard error ({noise:.3f}).",
    wrong={
        "a": "It has the largest error, and the model hardly minds: how much of it reaches the next word is not in the "
        "number.",
        "c": "Its error is large, but it came in from elsewhere. With dense weights it stays nearly as wrong.",
    },
)

check_memory = number(
    "05/memory",
    128 * 2048 / 4096,
    because="262,144 tokens against 4,096 rows, at the same width. And H does not grow with the next text.",
    traps={
        32.0: "You halved it: H is symmetric, but it is stored whole here.",
        2048.0: "That is the length of one sequence. Divide all tokens by the number of rows of H.",
        262144.0: "That is how many tokens there are. H has rows, too: one per input.",
        0.5: "That compares one sequence with H. There are 128 of them.",
        0.015625: "Upside down: it is the table of inputs over H that is asked for.",
    },
    otherwise="X has one row of 4096 numbers for each token. H has one row of 4096 numbers for each input.",
)

check_typical = number(
    "05/typical",
    0.3,
    because="The root of 0.09. A small relative error hides a sizable deviation, since errors are squared.",
    traps={
        0.09: "That is the ratio of energies. Energies are squares.",
        0.0081: "You squared it once more. The error is a square already.",
        0.91: "That is not even the energy that is left: what is missing and what is left overlap.",
        0.045: "Half of it? Energies are squares: take the root.",
    },
    otherwise="The error is a mean square over a mean square. What is the ratio of the sizes themselves?",
    tolerance=0.005,
)


def _shares(weight: np.ndarray, pruned: np.ndarray, gram: np.ndarray) -> np.ndarray:
    lost = np.asarray(weight) - np.asarray(pruned)
    return ((lost @ gram) * lost).sum(axis=0) / ((weight @ gram) * weight).sum()


def _prunings() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    draw = np.random.default_rng(5)
    cases = []
    for rows, channels in ((3, 4), (6, 8)):
        weight = draw.normal(size=(rows, channels))
        tokens = draw.normal(size=(40, channels)) @ draw.normal(size=(channels, channels))
        cases.append((weight, weight * (draw.random(weight.shape) < 0.5), tokens.T @ tokens / 40))
    return cases


check_shares = function(
    "05/shares",
    _shares,
    cases=_prunings(),
    because="They add up to the relative error. One of them can be negative: what that channel lost makes up for what "
    "correlated channels lost.",
    traps=[
        (
            lambda weight, pruned, gram: (
                ((weight - pruned) ** 2).sum(axis=0) * np.diag(gram) / ((weight @ gram) * weight).sum()
            ),
            "You took the diagonal of H alone. Channels that move together share what they lose; these parts do not "
            "add up to the error.",
        ),
        (
            lambda weight, pruned, gram: (
                (((weight - pruned) @ gram) * (weight - pruned)).sum(axis=1)
                / ((weight @ gram) * weight).sum()
            ),
            "These are the shares of the output rows. Add up over the other axis.",
        ),
        (
            lambda weight, pruned, gram: (((weight - pruned) @ gram) * (weight - pruned)).sum(axis=0),
            "These are energies. Divide by the energy of the whole layer, so that they add up to the relative error.",
        ),
        (
            lambda weight, pruned, gram: (
                (((weight - pruned) @ gram) * (weight - pruned)).sum(axis=0)
                / ((weight @ gram) * weight).sum(axis=0)
            ),
            "You divided each channel by its own energy. Parts of one whole need one denominator.",
        ),
        (
            lambda weight, pruned, gram: np.abs(_shares(weight, pruned, gram)),
            "You took away the sign. A channel may make up for others, and then its share is negative.",
        ),
        (
            lambda weight, pruned, gram: (
                ((np.asarray(pruned) @ gram) * pruned).sum(axis=0) / ((weight @ gram) * weight).sum()
            ),
            "That is what the kept weights still put out. What is lost is weight minus pruned.",
        ),
    ],
    otherwise="With D = weight − pruned: (D H) times D, entry by entry, summed over the outputs, over the energy of W.",
)

check_restored = number(
    "05/restored",
    0.527,
    because="Its own mask is gone, and with it the second term and the cross term. What comes in is wrong as before.",
    traps={
        0.458: "You took its own part away from the total, and left the cross term in. Without an own error there is "
        "nothing to be correlated with what is inherited.",
        0.0: "That would be so if its inputs were right.",
        0.128: "That is the part that goes.",
        0.586: "That is the total before. Something must have changed.",
        0.655: "You added the two parts. And the own part is just what is gone.",
    },
    otherwise="Which of the three terms have W − Ŵ in them? Those vanish.",
    tolerance=0.001,
)

check_information = number(
    "05/information",
    0.5 * math.log(16),
    because="One half of log 16, which is two bits: the pruned output still tells the dense one apart into about four "
    "levels.",
    traps={
        math.log(16): "You forgot the one half: errors are energies, squares.",
        2.0: "That is right in bits. Here nats are asked for: the natural logarithm.",
        4.0: "That is the number of levels, or four bits without the one half.",
        -0.5
        * math.log(16): "The size is right. Information is not negative: take the logarithm of one over e.",
        15 / 16: "One minus the error is a share of energy at best. Information goes by logarithms.",
        0.5 * math.log10(16): "That is in tens. Take the natural logarithm.",
    },
    otherwise="One half of the natural logarithm of one over the error.",
)

check_better = choice(
    "05/better",
    "c",
    because="That is what the model will be used for, on texts that no choice was made on. The others are means: "
    "cheap, useful, and not it.",
    traps={
        "a": "An average counts a layer that nothing depends on like one that everything depends on.",
        "b": "Worst is worst by its own output. The most costly linear of the run you saw was better than average.",
        "d": "On the texts that it was fitted to, anything looks good.",
    },
)
