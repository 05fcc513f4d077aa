"""What notebook 03 asks: counting parameters, relaxed choices, what a network can see, entropy, the model's gradient.

Knows nothing about the notebook's pictures.
"""

from __future__ import annotations

import math

import numpy as np

from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.teaching.exercise import function, number
from hyperprune_lab.teaching.prediction import Question

_TABLE = NMPattern(2, 4).table().astype(float)

ask_gumbel = Question(
    "The logits favor pattern 1100 with a probability of 59 %. We add Gumbel noise and let the temperature go to "
    "zero, so that every draw is a hard choice. How often is it 1100?",
    {
        "a": "Always: at temperature zero the largest logit wins.",
        "b": "In 59 % of the draws.",
        "c": "In one draw of six: the noise drowns the logits.",
    },
    right="b",
    because="{share:.0%} of 20,000 draws. The temperature decides how *hard* a draw is, not how often each pattern "
    "comes up: the largest of logits plus Gumbel noise is a fair draw from the softmax of the logits, at any "
    "temperature.",
    wrong={
        "a": "That is so without noise. With noise the largest *sum* wins, and a lesser logit may have luck.",
        "c": "Gumbel noise has just the right size: that is what it is for.",
    },
)

ask_weights = Question(
    "A network sees nothing of a group but its weights. It is trained on the layer's real reconstruction error, with "
    "the Hessian and all. How good do its masks become?",
    {
        "a": "Better than Wanda's: it was trained on the real error, Wanda was not.",
        "b": "As good as Wanda's: training brings in the activations.",
        "c": "Somewhere around magnitude's: what it cannot see it cannot use.",
    },
    right="c",
    because="On `q_proj` it loses {weights:.3f}, between magnitude ({magnitude:.3f}) and Wanda ({wanda:.3f}). The "
    "loss can only teach a function of the inputs that the network has, and which input is loud is not among them.",
    wrong={
        "a": "The loss says what is good on average over all groups that look alike. Groups that look alike but need "
        "different masks get the same one.",
        "b": "Training shapes one function for all groups. It cannot store, for every column, how loud its input is; "
        "that would take another input.",
    },
)

ask_model = Question(
    "In the last stage of a recorded run the same network learns from the whole model: how far its words are from "
    "the dense model's. What happens to the reconstruction error of the single layers meanwhile?",
    {
        "a": "It falls, too: a better model is made of better layers.",
        "b": "It rises, and the model gets better all the same.",
        "c": "It stays exactly the same: the masks were optimal already.",
    },
    right="b",
    because="The mean error of the layers rises from {error_before:.4f} to {error_after:.4f}; perplexity falls from "
    "{perplexity_before:.1f} to {perplexity_after:.1f}. {changed:.1%} of the groups changed their pattern.",
    wrong={
        "a": "A layer's error weighs everything that it puts out alike. The model does not: some of it matters to no "
        "later layer, some of it decides the next word.",
        "c": "Optimal for each layer by itself, more or less. The model asks another question.",
    },
)

check_free_logits = number(
    "03/free_logits",
    70 / 8,
    because="Seventy options for eight weights. Enumerating gets out of hand quickly: 8:16 would need 804 numbers a "
    "weight. Where a group has more than 128 patterns, this project therefore gives every position a logit instead, "
    "and draws the kept ones in turn.",
    traps={
        70.0: "That is per group. A group at 4:8 has eight weights to share it among.",
        1.5: "That is the case of 2:4, above.",
        17.5: "You divided by the four that are kept. The question is about all weights of the group.",
        0.75: "You used the six patterns of 2:4. Count those of 4:8.",
        0.766: "These are the bits that it takes to say which pattern was chosen. Before one is chosen, every "
        "pattern has a number of its own.",
        1.0: "One logit per position would do for another parameterization. Here every pattern has one.",
    },
    otherwise="How many patterns does a group of eight have that keeps four? That many logits, shared among eight "
    "weights.",
)


def _soft_mask(logits: np.ndarray, table: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.asarray(logits) / temperature
    share = np.exp(scaled - scaled.max())
    return share / share.sum() @ np.asarray(table, dtype=float)


check_soft_mask = function(
    "03/soft_mask",
    _soft_mask,
    cases=[
        (np.array([2.0, 1.0, 0.0, 0.0, -1.0, -2.0]), _TABLE, 1.0),
        (np.array([0.5, -0.3, 1.2, 0.1, 0.0, -1.5]), _TABLE, 0.25),
        (np.array([3.0, 0.0, 0.0, 0.0, 0.0, 0.0]), _TABLE, 4.0),
    ],
    because="Probabilities of patterns become probabilities of weights, and the four always add up to two: even a "
    "soft mask keeps to the budget.",
    traps=[
        (
            lambda logits, table, _temperature: _soft_mask(logits, table, 1.0),
            "The temperature is nowhere in it.",
        ),
        (
            lambda logits, table, temperature: _soft_mask(logits, table, 1 / temperature),
            "You multiplied by the temperature. A low one has to make differences *larger*: divide.",
        ),
        (
            lambda logits, table, _temperature: table[np.argmax(logits)],
            "That is the hard choice. It has no slope: a slightly different logit gives the same mask, so nothing "
            "can be learned from it.",
        ),
        (
            lambda logits, _table, temperature: _soft_mask(logits, np.eye(len(logits)), temperature),
            "These are the probabilities of the six patterns. Each of the four weights is kept by several of them: "
            "add those up, which is a product with the table.",
        ),
        (
            lambda logits, table, temperature: _soft_mask(logits, table, temperature) / 2,
            "These add up to one. Two weights of a group are kept, so the four shares add up to two.",
        ),
        (
            lambda logits, table, temperature: 1 - _soft_mask(logits, table, temperature),
            "This is what is pruned.",
        ),
    ],
    otherwise="Three steps: divide the logits by the temperature, take the softmax over the six patterns, and add up "
    "for every position the probabilities of the patterns that keep it.",
)

check_undecided = number(
    "03/undecided",
    0.25,
    because="What is lost is W minus W/2, one half of every output, and errors are squared. No hard mask is as good "
    "as that for nothing: a soft mask that cannot decide looks better than any choice it could make at random.",
    traps={
        0.5: "One half of every output is lost, yes. But the error is a ratio of energies, of squares.",
        0.75: "That is how much energy is missing. The error is the energy of what is missing: W minus W/2.",
        0.364: "That is what a hard mask drawn at random loses. This one is soft: it halves every weight.",
        1.0: "That would be a layer that puts out nothing.",
        0.0: "The outputs are only half as large as they were.",
    },
    otherwise="Every weight is multiplied by the same share. What is left of the output, and what is missing?",
    tolerance=0.005,
)

check_entropy = number(
    "03/entropy",
    math.log(2) / math.log(6),
    because="log 2 over log 6. Two of six options left is not a third and not a half: entropy counts in logarithms.",
    traps={
        0.5: "Half and half is one bit, but the scale is not bits: it is a share of the largest possible entropy.",
        1
        / 3: "Two of six options. Entropy goes by logarithms: compare log 2 with the logarithm of all options.",
        math.log(2): "That is the entropy in nats. Divide it by the largest that six patterns can have.",
        1.0: "That is one bit, or complete indecision as a share. Here four patterns are out already.",
        math.log(2) / math.log(4): "The largest entropy belongs to six patterns, not to four weights.",
        2.0: "Perplexity would say two: as undecided as between two options. Here a share is asked for.",
    },
    otherwise="Entropy of two equally likely options, over that of six equally likely ones.",
    tolerance=0.02,
)
