"""Everything that is measured on one state of a model, in one pass over the evaluation windows.

Knows nothing about pruning: the same suite measures the dense model and any other state, so that all are
comparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperprune_lab.calibration.windows import choose_window
from hyperprune_lab.evaluate.divergence import Divergence, DivergenceSum, ReferenceLogits
from hyperprune_lab.evaluate.generate import Generation, generations
from hyperprune_lab.evaluate.logits import batches, measuring
from hyperprune_lab.evaluate.perplexity import Perplexity, losses_from, perplexity_from
from hyperprune_lab.evaluate.skills import ProbeLike, Skill, measure_skills
from hyperprune_lab.evaluate.texts import (
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    EvaluationWindows,
    evaluation_texts,
    evaluation_windows,
)

PROMPT_CHARACTERS = 120


@dataclass(frozen=True, eq=False)
class EvaluationSuite:
    """What will be measured: windows by domain, probes, and prompts to continue by ``new_tokens``."""

    windows: tuple[EvaluationWindows, ...]
    probes: tuple[ProbeLike, ...] = ()
    prompts: tuple[str, ...] = ()
    new_tokens: int = 64

    @cached_property
    def ids(self) -> Int[Tensor, "windows window"]:
        """The windows of all domains, in order."""
        return torch.cat([part.ids for part in self.windows])


@dataclass(frozen=True, eq=False)
class Measurement:
    """One state of a model on one suite.

    ``overall`` is the perplexity over all tokens of all domains. ``losses`` has the token losses of each
    domain ``[windows, window - 1]`` in nats. ``in_domain`` and ``out_of_domain`` are mean nats per token
    over the embedded domains of that kind, None where none was measured. ``reference`` is there where
    logits were to be remembered.
    """

    overall: Perplexity
    domains: dict[str, Perplexity]
    losses: dict[str, Float[Tensor, "windows predicted"]]
    skills: dict[str, Skill]
    generations: list[Generation]
    divergence: Divergence | None
    reference: ReferenceLogits | None

    @property
    def all_losses(self) -> Float[Tensor, "windows predicted"]:
        """The token losses of all domains, in the suite's order."""
        return torch.cat(list(self.losses.values()))

    @property
    def in_domain(self) -> float | None:
        return self._mean_nats(IN_DOMAIN)

    @property
    def out_of_domain(self) -> float | None:
        return self._mean_nats(OUT_OF_DOMAIN)

    def _mean_nats(self, names: Iterable[str]) -> float | None:
        present = [self.losses[name] for name in names if name in self.losses]
        return torch.cat(present).double().mean().item() if present else None


def build_suite(
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    text: str | None = None,
    window: int | None = None,
    probes: Sequence[ProbeLike] = (),
) -> EvaluationSuite:
    """The suite for a text (see `evaluation_texts`): windows of ``window`` tokens (None: min(2048, context)).

    Prompts are the openings of the texts. Raises UserError where a text is missing or shorter than one
    window.
    """
    texts = evaluation_texts(text)
    return EvaluationSuite(
        windows=evaluation_windows(texts, tokenizer, choose_window(window, context)),
        probes=tuple(probes),
        prompts=tuple(opening(content) for content in texts.values()),
    )


def opening(text: str, characters: int = PROMPT_CHARACTERS) -> str:
    """The first words of a text, up to ``characters``, without a trailing space."""
    start = text.lstrip()
    if len(start) <= characters:
        return start.rstrip()
    cut = start.rfind(" ", 0, characters + 1)
    return start[: cut if cut > 0 else characters].rstrip()


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    suite: EvaluationSuite,
    reference: ReferenceLogits | None = None,
    remember: bool = False,
    batch: int | None = None,
) -> Measurement:
    """Measure the model as it is now.

    ``remember`` keeps the logits of this pass (do it on the dense model); handed in as ``reference`` later
    they give the divergence of another state, from the same forward pass as its losses.
    """
    ids = suite.ids
    losses = torch.empty(len(ids), ids.shape[1] - 1, dtype=torch.float32)
    kept = ReferenceLogits(len(ids)) if remember else None
    total = DivergenceSum()
    with measuring(model):
        for part, logits in batches(model, ids, batch):
            losses[part] = losses_from(logits, ids[part]).cpu()
            if kept is not None:
                kept.keep(part, logits)
            if reference is not None:
                reference.compare(part, logits, total)
    by_domain = losses.split([len(part.ids) for part in suite.windows])
    skills, texts = answers(model, tokenizer, suite, batch)
    return Measurement(
        overall=perplexity_from(losses, suite.windows, model),
        domains={
            part.domain: perplexity_from(found, [part], model)
            for part, found in zip(suite.windows, by_domain, strict=True)
        },
        losses={part.domain: found for part, found in zip(suite.windows, by_domain, strict=True)},
        skills=skills,
        generations=texts,
        divergence=total.finish() if reference is not None else None,
        reference=kept,
    )


def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    suite: EvaluationSuite,
    batch: int | None = None,
) -> tuple[dict[str, Skill], list[Generation]]:
    """What the model as it is now makes of the suite's probes and prompts."""
    return (
        measure_skills(model, tokenizer, suite.probes, batch),
        generations(model, tokenizer, suite.prompts, suite.new_tokens),
    )
