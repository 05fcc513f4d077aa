"""Skill probes: questions with one right answer among candidates, scored by the model's own likelihood.

Knows nothing about where probes come from: anything with ``skill``, ``prompt``, ``answers`` and ``correct``
will do.

A candidate's score is the summed log-likelihood of its tokens after the prompt. Prompt and candidate are
tokenized together; scoring starts where the tokens of any candidate first differ from the prompt's, so that
candidates which merge with the prompt's end are compared fairly. The answer counts as right only if its
score is *strictly* the highest: a model that cannot tell the candidates apart gets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol, runtime_checkable

import torch
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperprune_lab.calibration.tokens import encode
from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.logits import batch_size, logits_of, measuring


@runtime_checkable
class ProbeLike(Protocol):
    """A question: ``correct`` is the index of the right one among ``answers``, which continue ``prompt``."""

    @property
    def skill(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def answers(self) -> Sequence[str]: ...
    @property
    def correct(self) -> int: ...


@dataclass(frozen=True)
class Skill:
    """Share of right answers, mean margin in nats (right over best wrong answer), number of probes."""

    accuracy: float
    margin: float
    probes: int


def run_probes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    probes: Sequence[ProbeLike],
    batch: int | None = None,
) -> dict[str, float]:
    """Accuracy by skill, in the order in which skills first appear."""
    found = measure_skills(model, tokenizer, probes, batch)
    return {name: skill.accuracy for name, skill in found.items()}


def measure_skills(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    probes: Sequence[ProbeLike],
    batch: int | None = None,
) -> dict[str, Skill]:
    """Accuracy and margin by skill, in the order in which skills first appear."""
    margins: dict[str, list[float]] = {}
    for probe, scores in zip(probes, answer_scores(model, tokenizer, probes, batch), strict=True):
        wrong = [score for index, score in enumerate(scores) if index != probe.correct]
        margins.setdefault(probe.skill, []).append(scores[probe.correct] - max(wrong))
    return {
        name: Skill(sum(margin > 0 for margin in found) / len(found), sum(found) / len(found), len(found))
        for name, found in margins.items()
    }


def answer_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    probes: Sequence[ProbeLike],
    batch: int | None = None,
) -> list[tuple[float, ...]]:
    """The summed log-likelihood, in nats, of every answer of every probe.

    Raises UserError where a probe has fewer than two answers, an answer adds no token, or nothing precedes
    it.
    """
    sequences: list[tuple[list[int], int]] = []  # token ids, index of the first scored token
    for probe in probes:
        sequences += _sequences(tokenizer, probe)
    scores = [0.0] * len(sequences)
    # Sequences of like length together: less padding. The order of the results does not change.
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index][0]))
    longest = max((len(ids) for ids, _ in sequences), default=1)
    step = batch_size(model, longest, batch)
    with measuring(model):
        for start in range(0, len(order), step):
            part = order[start : start + step]
            for index, score in zip(part, _score(model, [sequences[index] for index in part]), strict=True):
                scores[index] = score
    remaining = iter(scores)
    return [tuple(next(remaining) for _ in probe.answers) for probe in probes]


def _sequences(tokenizer: PreTrainedTokenizerBase, probe: ProbeLike) -> list[tuple[list[int], int]]:
    if len(probe.answers) < 2:
        raise UserError(f"the probe {probe.prompt[:40]!r} ({probe.skill}) needs two answers at least.")
    prompt = encode(tokenizer, probe.prompt, special_tokens=True)
    whole = [encode(tokenizer, probe.prompt + answer, special_tokens=True) for answer in probe.answers]
    first = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(prompt, *whole, strict=False)))
    if first == 0 or any(len(ids) == first for ids in whole):
        raise UserError(
            f"the probe {probe.prompt[:40]!r} ({probe.skill}) cannot be scored: an answer adds no token "
            "to the prompt, or the prompt has no token of its own."
        )
    return [(ids, first) for ids in whole]


def _score(model: PreTrainedModel, sequences: Sequence[tuple[list[int], int]]) -> list[float]:
    """Padded on the right, where causal attention cannot see it."""
    width = max(len(ids) for ids, _ in sequences)
    ids = torch.tensor([tokens + [0] * (width - len(tokens)) for tokens, _ in sequences])
    mask = torch.tensor([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens, _ in sequences])
    logits = logits_of(model, ids, mask)
    scores = []
    for row, (tokens, first) in zip(logits, sequences, strict=True):
        likelihood = log_softmax(row[first - 1 : len(tokens) - 1].float(), dim=-1)
        answer = torch.tensor(tokens[first:], device=row.device)
        scores.append(likelihood.gather(1, answer[:, None]).sum().item())
    return scores
