"""What notebook 09 asks: five modules that went wrong, each with the causes that it could be and is not.

Knows nothing about how the run was spoiled, or how the record is read.
"""

from __future__ import annotations

from hyperprune_lab.teaching.exercise import Exercise, choice
from hyperprune_lab.teaching.prediction import Question

CAUSES: dict[str, str] = {
    "a": "too few tokens",
    "b": "calibration mismatch",
    "c": "lost outlier channels",
    "d": "unconverged",
    "e": "wrong axis",
    "f": "inherited error",
}
"""The letters of all five exercises."""

PATIENTS: dict[str, str] = {
    "gate": "model.layers.2.mlp.gate_proj",
    "value": "model.layers.4.self_attn.v_proj",
    "output": "model.layers.0.self_attn.o_proj",
    "best": "model.layers.3.mlp.down_proj",
    "quiet": "model.layers.1.mlp.down_proj",
}
"""The modules, in the order in which they are seen."""

ask_seen = Question(
    "Five modules of 56 are broken. If you look at nothing but the error of each on the calibration text, how many of "
    "the five are among the ten worst?",
    {"a": "All five.", "b": "Three.", "c": "None: errors tell nothing."},
    right="b",
    because="Numbers {first:.0f}, {second:.0f} and {third:.0f} of 56 are in plain sight. The other two are at "
    "{fourth:.0f} and {last:.0f}: one of them has the smallest error of the whole run.",
    wrong={
        "a": "An error is measured on some text. If that text was wrong or too short, the error is small and means "
        "nothing.",
        "c": "They tell a good deal, as long as the statistics behind them are sound.",
    },
)

check_gate: Exercise = choice(
    "09/gate",
    "d",
    because="Entropy 1.00 is the largest there is: all six patterns were equally likely, so the mask was drawn by lot. "
    "It keeps what a random mask keeps.",
    traps={
        "a": "It has seen as many tokens as its neighbors: 20 for each input channel.",
        "b": "The two errors, calibration and held-out, are nearly the same. A mismatch would drive them apart.",
        "c": "None of its inputs is loud: there is no outlier channel to lose.",
        "e": "A mask on the wrong axis is also no better than chance, so the idea is good. But whoever made it was "
        "sure of each choice. Was this one?",
        "f": "The error in the chart is measured on the input of the dense model. Nothing is inherited in it.",
    },
)

check_value: Exercise = choice(
    "09/value",
    "e",
    because="It decided firmly, and what it decided has nothing to do with these weights: 17 % of the groups as Wanda, "
    "one in six, is chance. Laid on the transposed weight the same mask makes sense.",
    traps={
        "a": "Many tokens stand behind its statistics, and held-out text gives the same error.",
        "b": "Text of another kind would show in a gap between calibration and held-out error. There is none.",
        "c": "Its loud inputs keep nearly all of their weights, more than Wanda would leave them.",
        "d": "It is as bad as one drawn by lot. But look at the entropy: it is that of any other module. It was sure, "
        "and wrong.",
        "f": "Its neighbors q_proj and k_proj read the same input and are well. What is inherited would hit them, too.",
    },
)

check_output: Exercise = choice(
    "09/output",
    "c",
    because="Three loud inputs keep 5 % of their weights where Wanda keeps 81 %, and all groups are as magnitude would "
    "have them: this mask never saw an activation.",
    traps={
        "a": "The tokens are as many as anywhere. What it made of them is another question.",
        "b": "Held-out text gives the same error, so it is not the kind of text.",
        "d": "Its entropy is that of its neighbors: it had made up its mind.",
        "e": "A mask on the wrong axis agrees with no score at all. This one agrees with a simple score in every "
        "group. Which one?",
        "f": "This is the very first block: there is hardly anything to inherit.",
    },
)

check_best: Exercise = choice(
    "09/best",
    "a",
    because="40 tokens for 768 channels. So few tokens leave the mask free to fit each of them; that is learning by "
    "heart, and held-out text finds it out.",
    traps={
        "b": "You saw the gap between the two errors, well done. But before you blame the kind of text: how much of it "
        "was there?",
        "c": "Its loud inputs keep about as many of their weights as in the other blocks.",
        "d": "Its entropy is that of its neighbors.",
        "e": "It keeps as much of Wanda's score as others do: it follows the weights as they lie.",
        "f": "A small error on the calibration text is not inherited from anybody. Why is it so small?",
    },
)

check_quiet: Exercise = choice(
    "09/quiet",
    "b",
    because="Tokens enough, and yet the held-out error is 3.4 times the calibration error: it was tuned on text of "
    "another kind. On that text it really is this good.",
    traps={
        "a": "Count again: there are several tokens for each channel. They were not too few, they were the wrong ones.",
        "c": "Its loud inputs keep about as many of their weights as Wanda leaves them.",
        "d": "Its entropy is that of its neighbors.",
        "e": "It keeps as much of Wanda's score as others do: it follows the weights as they lie.",
        "f": "What it inherits enters neither of the two errors in the chart, and it is these that differ.",
    },
)
