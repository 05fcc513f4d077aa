"""What notebook 02 asks: magnitude, Wanda, the Hessian, the refit, and what each of them cannot see.

Knows nothing about the notebook's pictures.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from hyperprune_lab.teaching.exercise import array, choice, function, number
from hyperprune_lab.teaching.prediction import Question

GROUP_WEIGHTS: Float[np.ndarray, " group"] = np.array([0.05, -0.30, 0.22, 0.02])
GROUP_RMS: Float[np.ndarray, " group"] = np.array([8.0, 0.5, 0.6, 1.5])
"""The group of the exercise by hand."""

ask_disagree = Question(
    "On this layer magnitude and Wanda choose the same two weights in 87 % of the groups. How do their errors "
    "compare?",
    {
        "a": "They differ by about 13 %, like the masks.",
        "b": "Magnitude loses about twice as much.",
        "c": "They are equal: small weights hardly matter.",
    },
    right="b",
    because="{magnitude:.3f} against {wanda:.3f}. Groups do not count equally: giving Wanda's choice to only "
    "{groups:.0f} of 72 columns of groups, those with a loud input, already brings magnitude down to {mixed:.3f}.",
    wrong={
        "a": "A share of groups is not a share of the error. A few groups carry inputs many times as large as the "
        "others.",
        "c": "A small weight times a large input is a large number: the output sees the product.",
    },
)

ask_block = Question(
    "Wanda treats the four weights of a group as if their inputs had nothing to do with each other. Suppose that "
    "each group instead computes exactly what each of its six patterns costs, correlations within the group "
    "included. How far does the error fall below Wanda's?",
    {
        "a": "By about half: that is what the Hessian is for.",
        "b": "By about a quarter.",
        "c": "Hardly at all.",
    },
    right="c",
    because="From {wanda:.4f} to {block:.4f}: in {same:.0%} of the groups Wanda's pattern is the cheapest anyway. "
    "The three neighbors of a weight are three inputs among 288. What counts is all the others.",
    wrong={
        "a": "The Hessian does help that much, but not these small blocks of it: nearly all of it lies outside of "
        "them.",
        "b": "Correlations between four neighbors are as weak as between any inputs here, and there are only six "
        "pairs.",
    },
)

ask_refit = Question(
    "Three ways to spend a few seconds on this layer. Which ends with the smallest error?",
    {
        "a": "SparseGPT as published: its mask, with the kept weights corrected along the sweep.",
        "b": "Wanda's mask, then least squares on the weights that were kept.",
        "c": "Coordinate descent's mask with the original weights.",
    },
    right="b",
    because="Wanda and least squares reach {wanda_refit:.4f}, SparseGPT as published {sparsegpt:.4f}, coordinate "
    "descent without refit {descent:.4f}. Refitting what is left gained more than choosing well, and a full refit "
    "more than one sweep from left to right.",
    wrong={
        "a": "A column can only correct columns to its right: the last ones of a row have nobody left to correct "
        "them.",
        "c": "The best mask here, but it has to make do with weights that were trained to work with the others.",
    },
)

check_wanda_choice = array(
    "02/wanda_choice",
    [1, 1, 0, 0],
    because="The scores |w| · rms are 0.40, 0.15, 0.132 and 0.03. The first weight is small but its input is loud.",
    traps=[
        (
            [0, 1, 1, 0],
            "These are the two largest weights. Wanda multiplies each with the size of its input before it compares.",
        ),
        (
            [1, 0, 0, 1],
            "These are the two loudest inputs. A loud input times next to nothing is still next to nothing: take the "
            "product.",
        ),
        ([0, 0, 1, 1], "These are the two with the lowest scores: what goes, not what stays."),
        (
            [1, 0, 1, 0],
            "Compute the second and the third score again: they are close, and the sign of a weight does not count.",
        ),
    ],
    otherwise="Two weights stay: write down |w| · rms for each of the four, and keep the two largest.",
)


def _root_mean_square(weight: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    return np.abs(weight) * np.sqrt((np.asarray(inputs) ** 2).mean(axis=0))


def _layers() -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and inputs; inputs have means, signs and sizes of their own, and fewer or more tokens than channels."""
    draw = np.random.default_rng(8)
    layers = []
    for rows, channels, tokens in ((3, 8, 50), (5, 4, 3)):
        loud = np.exp(draw.normal(size=channels))
        layers.append(
            (
                draw.normal(size=(rows, channels)),
                loud * (draw.normal(size=(tokens, channels)) + draw.normal(size=channels)),
            )
        )
    return layers


check_wanda_scores = function(
    "02/wanda_scores",
    _root_mean_square,
    cases=_layers(),
    because="Squared, it is exactly what the output loses on average if this weight alone goes: E[(w x)²] = w² "
    "E[x²].",
    traps=[
        (
            lambda weight, inputs: np.abs(weight) * np.abs(inputs.mean(axis=0)),
            "You took the size of the mean. An input that swings between −5 and 5 has mean 0 and is loud all the "
            "same: square first, then average.",
        ),
        (
            lambda weight, inputs: weight * np.sqrt((inputs**2).mean(axis=0)),
            "The sign of the weight is still in. Losing a large negative weight costs as much: take its absolute "
            "value.",
        ),
        (
            lambda weight, inputs: np.abs(weight) * inputs.std(axis=0),
            "The standard deviation leaves the mean out. The output loses w·x, and the mean of x is part of x.",
        ),
        (
            lambda weight, inputs: np.abs(weight) * np.abs(inputs).mean(axis=0),
            "Close: you averaged absolute values. The error is a mean of squares, so the size that fits it is the "
            "root of the mean square.",
        ),
        (
            lambda weight, inputs: np.abs(weight) * (inputs**2).mean(axis=0),
            "The root is missing: |w| and the mean square are in different units, and loud inputs then count too "
            "much.",
        ),
        (
            lambda weight, inputs: np.abs(weight) * np.abs(inputs).max(axis=0),
            "One loud token decides here. The error is an average over all tokens.",
        ),
        (
            lambda weight, inputs: np.abs(weight) * np.sqrt((inputs**2).sum(axis=0)),
            "This is the norm over all tokens, as in the publication: the same masks, but scores that grow with the "
            "length of the text. Use the mean, so that they can be compared.",
        ),
        (
            lambda weight, _inputs: np.abs(weight),
            "That is magnitude. Where are the inputs?",
        ),
    ],
    otherwise="For each input (column of `inputs`): the root of the mean, over tokens, of the square. Times |w|.",
)

check_pair_cost = number(
    "02/pair_cost",
    0.4,
    because="1 + 1 − 2 · 0.8. Alone, each of them would cost 1; together less than half of that, because when both "
    "go, what the one takes away the other gives back.",
    traps={
        2.0: "You added the two costs. The inputs rise and fall together, so the two losses are not independent: "
        "there is a third term.",
        3.6: "You lost a sign: the weights have opposite signs, so the third term is negative.",
        1.2: "The third term counts twice, for (1, 2) and for (2, 1).",
        0.0: "They would cancel completely only if the inputs were always equal.",
        1.6: "That is the size of the third term alone.",
        -1.6: "That is the third term alone; a mean of squares is never negative.",
    },
    otherwise="Expand the square of w₁x₁ + w₂x₂ into three terms, and take the mean of each from H.",
)


def _relative(weight: np.ndarray, pruned: np.ndarray, gram: np.ndarray) -> float:
    lost = weight - pruned
    return float(((lost @ gram) * lost).sum() / ((weight @ gram) * weight).sum())


def _prunings() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    draw = np.random.default_rng(3)
    cases = []
    for rows, channels in ((3, 8), (6, 4)):
        inputs = draw.normal(size=(40, channels)) @ draw.normal(size=(channels, channels))
        weight = draw.normal(size=(rows, channels))
        cases.append((weight, weight * (draw.random(weight.shape) < 0.5), inputs.T @ inputs / 40))
    return cases


check_error = function(
    "02/error",
    _relative,
    cases=_prunings(),
    because="With H = E[x xᵀ] no token has to be looked at again: D H Dᵀ has what each output lost on its diagonal.",
    traps=[
        (
            lambda weight, pruned, _gram: ((weight - pruned) ** 2).sum() / (weight**2).sum(),
            "You compared weights. Two weights of the same size can feed on inputs of very different size: H has to "
            "come in.",
        ),
        (
            lambda weight, pruned, gram: np.sqrt(_relative(weight, pruned, gram)),
            "You took the root. Here the error is a ratio of energies, squares over squares; say which one you mean "
            "whenever you compare numbers.",
        ),
        (
            lambda weight, pruned, gram: ((weight - pruned) @ gram * (weight - pruned)).sum(),
            "This is the energy that was lost. Divide it by the energy that was there, so that layers compare.",
        ),
        (
            lambda weight, pruned, gram: (
                ((weight - pruned) ** 2 * np.diag(gram)).sum() / (weight**2 * np.diag(gram)).sum()
            ),
            "You used only the diagonal of H, as Wanda does. The real error has the products of different inputs, "
            "too.",
        ),
        (
            lambda weight, pruned, gram: ((pruned @ gram) * pruned).sum() / ((weight @ gram) * weight).sum(),
            "This is what the pruned layer still puts out. The error is about what is missing: weight minus pruned.",
        ),
        (
            lambda weight, pruned, gram: (
                1 - ((pruned @ gram) * pruned).sum() / ((weight @ gram) * weight).sum()
            ),
            "The energy that is missing is not the energy of what is missing: outputs can be wrong at the same size.",
        ),
        (
            lambda weight, pruned, gram: (
                (((weight - pruned) @ gram) * (weight - pruned)).sum(axis=1)
                / ((weight @ gram) * weight).sum(axis=1)
            ).mean(),
            "You averaged the ratio over outputs: a faint output then counts as much as a loud one. Sum first, "
            "divide once.",
        ),
    ],
    otherwise="With D = weight − pruned: the sum over outputs of D H Dᵀ's diagonal, over the same for the dense "
    "weight.",
)

check_which_mask = choice(
    "02/which_mask",
    "c",
    because="What counts is the model that leaves the house. If its weights will be refitted, compare masks after "
    "the same refit for each of them; the order can change, as you have just seen.",
    traps={
        "a": "That is the right number for weights that stay as they are. Yours will be refitted, and the best mask "
        "to keep need not be the best mask to mend.",
        "b": "Scores are what a method believes. Two methods' scores are in different units, and neither is an "
        "error.",
        "d": "Agreement tells how alike two masks are, not which one is better.",
    },
)
