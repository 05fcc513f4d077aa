"""What notebook 04 asks: loudness against energy, rescaling, the price of keeping, the outlier term.

Knows nothing about the notebook's pictures.
"""

from __future__ import annotations

import numpy as np

from hyperprune_lab.teaching.exercise import choice, function, number
from hyperprune_lab.teaching.prediction import Question

ask_magnitude = Question(
    "Three loud channels carry a fifth of all that flows into `q_proj`. A mask drawn by chance keeps half of their "
    "weights. How much does magnitude keep?",
    {
        "a": "Nearly all: weights that matter so much are surely large.",
        "b": "About half: magnitude does not look at inputs, so loud channels are channels like any other.",
        "c": "Much less than half.",
    },
    right="c",
    because="{magnitude:.0%}, where Wanda keeps {wanda:.0%}. A loud input needs only small weights to have its say, "
    "and small weights are what magnitude throws away. Being blind is worse than guessing here.",
    wrong={
        "a": "What matters is the product. With a loud input a small weight already makes a large one.",
        "b": "Blind to inputs, yes. But loudness and size of weights are not independent: behind a loud input weights "
        "tend to be small, since the layer was trained on their product.",
    },
)

ask_always = Question(
    "Wanda keeps about three quarters of the loud channels' weights. What if we keep all of them, and let Wanda "
    "decide about the rest?",
    {
        "a": "The error falls: these channels matter most.",
        "b": "The error rises a little.",
        "c": "The error doubles: the neighbors lose too much.",
    },
    right="b",
    because="From {wanda:.4f} to {always:.4f}. The last quarter of a loud channel is made of its smallest weights, and "
    "in their groups something more valuable had to go for them.",
    wrong={
        "a": "A channel may matter most and still have weights that do not. Wanda looks at one weight at a time.",
        "c": "The neighbors lose, but only where Wanda's choice was close.",
    },
)

ask_outlier_weight = Question(
    "We turn λ1 up, from 0 to 10, for a network that sees the full context. Where do its masks go?",
    {
        "a": "Toward a smaller error: more weight on what is important.",
        "b": "Toward Wanda's masks, and to Wanda's error.",
        "c": "Toward keeping every weight of the loud channels.",
    },
    right="b",
    because="At λ1 = 10 it chooses Wanda's pattern in {agreement:.1%} of the groups, and its error has risen from "
    "{least:.4f} to {most:.4f}; Wanda's is {wanda:.4f}.",
    wrong={
        "a": "The reconstruction error is already in the objective. A second term can only pull away from its minimum.",
        "c": "The term adds up over all weights, not only over those of loud channels, and within each group two have "
        "to go.",
    },
)

check_energy = number(
    "04/energy",
    (20 * 0.1) ** 2 / (1 * 4) ** 2,
    because="Energies are 4 and 16. The channel that is twenty times as loud gives the layer a quarter of what the "
    "quiet one gives.",
    traps={
        20.0: "That compares loudness alone. What reaches the outputs is loudness times weights.",
        400.0: "You squared the loudness, which is right, and left the weights out.",
        0.5: "That compares amplitudes. Energy is a square.",
        4.0: "Upside down: it is A over B that is asked for.",
        0.025: "That compares the weights alone.",
        10.0: "The weights come in squared, too: the energy is the square of the whole product.",
    },
    otherwise="Energy of a channel: its RMS squared, times the squared length of its column. Then A over B.",
)


def _equal(weight: np.ndarray, rms: np.ndarray) -> np.ndarray:
    return np.asarray(weight) * np.asarray(rms)


def _layers() -> list[tuple[np.ndarray, np.ndarray]]:
    draw = np.random.default_rng(4)
    return [
        (draw.normal(size=(rows, channels)), np.exp(draw.normal(size=channels)))
        for rows, channels in ((3, 4), (5, 8))
    ]


check_equalize = function(
    "04/equalize",
    _equal,
    cases=_layers(),
    because="Inputs are divided by their RMS, so columns are multiplied by it. The layer computes what it computed, "
    "and the size of a weight is now Wanda's score.",
    traps=[
        (
            lambda weight, rms: weight / rms,
            "You divided the columns. The inputs were divided already: the columns have to make up for it.",
        ),
        (
            lambda weight, rms: np.abs(weight) * rms,
            "That is Wanda's score. A layer with these weights would have lost its signs.",
        ),
        (
            lambda weight, rms: weight * rms**2,
            "The factor came in squared. Energies have squares; weights and inputs do not.",
        ),
        (lambda weight, _rms: weight, "These are the old weights: the outputs would change."),
        (
            lambda weight, rms: weight * rms / np.median(rms),
            "Close: this brings every channel to the median loudness. To an RMS of 1 is asked for.",
        ),
    ],
    otherwise="Input j becomes x_j / rms_j. What does column j have to become, so that the product stays the same?",
)

check_neighbors = number(
    "04/neighbors",
    (2 - 0.94) / 3,
    because="Every group keeps two. What the loud one takes is missing for the other three, who would keep one half "
    "each by chance.",
    traps={
        0.5: "That would be so without a loud neighbor. Two of four have to stay, whoever they are.",
        0.06: "That is what the loud channel itself loses.",
        0.02: "You shared out what the loud channel loses. Share out what is left to keep.",
        0.53: "There are three neighbors in a group of four.",
        0.6867: "You gave the loud one a third of the budget. It has as many weights as each of the others.",
        0.0: "The group keeps two. The loud channel can take only one of them.",
    },
    otherwise="In each group, kept weights add up to two. The loud channel takes 0.94 of them on average.",
)

check_largest_term = choice(
    "04/largest_term",
    "b",
    because="It is a sum over kept weights of w² E[x²], the square of Wanda's score. In each group it is largest for "
    "the two largest scores. The term named after outliers is Wanda, written as a reward.",
    traps={
        "a": "In a group with a loud channel that is often best, but not where the loud channel's weight is tiny. And "
        "most groups have no loud channel, and the term counts them, too.",
        "c": "The reconstruction error knows how removed weights add up across inputs. This term adds up kept weights "
        "one by one.",
        "d": "Sizes of weights come in, and so do the sizes of their inputs.",
    },
)

check_reading = choice(
    "04/reading",
    "d",
    because="How often weights are kept says nothing about which. Energy weighs every weight by its square, and an "
    "error also knows how losses add up.",
    traps={
        "a": "Half is what chance keeps. A mask can be above it and have thrown away the large weights.",
        "b": "It does for the price, and the price says nothing about the channel.",
        "c": "Loudness is a property of the input. No mask changes it, at least not in its own layer.",
    },
)
