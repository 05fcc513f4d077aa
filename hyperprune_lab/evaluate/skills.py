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
    scores: list[list[float]] = [[0.0] * len(probe.answers) for probe in probes]
    feeds = [feed for index, probe in enumerate(probes) for feed in _feeds(tokenizer, probe, scores[index])]
    feeds.sort(key=lambda feed: len(feed.ids))  # like lengths together: less padding
    longest = len(feeds[-1].ids) if feeds else 1
    step = batch_size(model, longest, batch)
    with measuring(model):
        for start in range(0, len(feeds), step):
            _score(model, feeds[start : start + step])
    return [tuple(row) for row in scores]


@dataclass(frozen=True, eq=False)
class _Feed:
    """Tokens to run once; candidates (index, ids) to read off them; where their scores go."""

    ids: tuple[int, ...]
    first: int
    scores: list[float]
    candidates: dict[int, list[int]]


def _feeds(tokenizer: PreTrainedTokenizerBase, probe: ProbeLike, scores: list[float]) -> list[_Feed]:
    """One probe's sequences; those which begin another one are read off that one, as a rule all off one."""
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
    feeds: list[_Feed] = []
    for index in sorted(range(len(whole)), key=lambda index: -len(whole[index])):
        ids = tuple(whole[index][:-1])  # the last token is predicted, never read
        host = next((feed for feed in feeds if feed.ids[: len(ids)] == ids), None)
        if host is None:
            host = _Feed(ids, first, scores, {})
            feeds.append(host)
        host.candidates[index] = whole[index]
    return feeds


def _score(model: PreTrainedModel, feeds: Sequence[_Feed]) -> None:
    """Padded on the right, where causal attention cannot see it."""
    width = max(len(feed.ids) for feed in feeds)
    ids = torch.tensor([feed.ids + (0,) * (width - len(feed.ids)) for feed in feeds])
    mask = torch.tensor([[1] * len(feed.ids) + [0] * (width - len(feed.ids)) for feed in feeds])
    for row, feed in zip(logits_of(model, ids, mask), feeds, strict=True):
        likelihood = log_softmax(row[feed.first - 1 : len(feed.ids)].float(), dim=-1)
        for index, whole in feed.candidates.items():
            answer = torch.tensor(whole[feed.first :], device=row.device)
            feed.scores[index] = likelihood[: len(answer)].gather(1, answer[:, None]).sum().item()
