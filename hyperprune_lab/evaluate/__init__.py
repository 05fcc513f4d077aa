"""What a model can do, before and after: perplexity, divergence from dense, skills, continuations.

Knows nothing about how a model was pruned; it measures whatever state it is handed.
"""

from hyperprune_lab.evaluate.difference import LossDifference, gap_closed, loss_difference
from hyperprune_lab.evaluate.divergence import Divergence, ReferenceLogits, divergence, remember_logits
from hyperprune_lab.evaluate.generate import Generation, SideBySide, generations, side_by_side
from hyperprune_lab.evaluate.perplexity import Perplexity, perplexity_from, token_losses
from hyperprune_lab.evaluate.skills import Skill, measure_skills, run_probes
from hyperprune_lab.evaluate.suite import EvaluationSuite, Measurement, answers, build_suite, measure
from hyperprune_lab.evaluate.texts import EvaluationWindows, evaluation_texts, evaluation_windows

__all__ = [
    "Divergence",
    "EvaluationSuite",
    "EvaluationWindows",
    "Generation",
    "LossDifference",
    "Measurement",
    "Perplexity",
    "ReferenceLogits",
    "SideBySide",
    "Skill",
    "answers",
    "build_suite",
    "divergence",
    "evaluation_texts",
    "evaluation_windows",
    "gap_closed",
    "generations",
    "loss_difference",
    "measure",
    "measure_skills",
    "perplexity_from",
    "remember_logits",
    "run_probes",
    "side_by_side",
    "token_losses",
]
