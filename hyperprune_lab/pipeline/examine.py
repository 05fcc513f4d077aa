"""Measures states of the model on the run's evaluation suite, always against the dense model of the same run.

Knows nothing about stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hyperprune_lab.demo.probes import probes
from hyperprune_lab.evaluate.difference import gap_closed, loss_difference
from hyperprune_lab.evaluate.pieces import token_pieces
from hyperprune_lab.evaluate.suite import EvaluationSuite, Measurement, answers, build_suite, measure
from hyperprune_lab.events import EvaluationFinished
from hyperprune_lab.pipeline.budget import evaluation_budget, windows_read
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.evidence import numpy
from hyperprune_lab.pipeline.subject import Subject

_PROBE_SEED = 2**40 + 1


@dataclass(eq=False)
class Examiner:
    """One suite, the dense measurement, and the scalars of every state measured since.

    States often wear the same masks (a network that leaves a linear to its prior, Wanda's in a run of Wanda): the same
    model is measured once.
    """

    subject: Subject
    suite: EvaluationSuite
    dense: Measurement | None = None
    scalars: dict[str, dict[str, float]] = field(default_factory=dict)
    worn: list[tuple[Mapping[str, Tensor], Measurement]] = field(default_factory=list)

    @classmethod
    def of(cls, subject: Subject, config: RunConfig) -> Examiner:
        """The suite that the configuration asks for: the embedded model also answers the skill probes."""
        opened = subject.opened
        window = config.calibration.window
        budget = evaluation_budget(config)
        chosen = probes(_PROBE_SEED, budget.probes) if config.model == "demo" else ()
        suite = build_suite(opened.tokenizer, opened.context, config.eval_text, window, chosen)
        windows = windows_read(suite.windows, budget.windows)
        return cls(subject, replace(suite, windows=windows, new_tokens=budget.new_tokens))

    def look_at_dense(self) -> EvaluationFinished:
        """Measure the dense model and remember its logits; the texts of all tokens stand beside its losses."""
        opened = self.subject.opened
        self.dense = measure(opened.model, opened.tokenizer, self.suite, remember=True)
        event = self._event("dense", self.dense)
        for part in self.suite.windows:
            text, ends = token_pieces(opened.tokenizer, part.ids)
            event.arrays.update({f"token_text/{part.domain}": text, f"token_ends/{part.domain}": ends})
        return event

    def look(
        self,
        state: str,
        masks: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, Tensor] | None = None,
        brief: bool = False,
    ) -> EvaluationFinished:
        """Measure the model wearing masks or weights; ``brief`` leaves out probes and generations."""
        assert self.dense is not None
        opened = self.subject.opened
        windows = EvaluationSuite(self.suite.windows)
        found = None if masks is None or weights is not None else self._measured(masks)
        with self.subject.wearing(masks, weights):
            if found is None:
                found = measure(opened.model, opened.tokenizer, windows, self.dense.reference)
                if masks is not None and weights is None:
                    self.worn.append((masks, found))
            if not brief:
                skills, texts = answers(opened.model, opened.tokenizer, self.suite)
                found = replace(found, skills=skills, generations=texts)
        return self._event(state, found)

    def _measured(self, masks: Mapping[str, Tensor]) -> Measurement | None:
        """What was found on the evaluation windows with these very masks before."""
        for worn, found in self.worn:
            if worn.keys() == masks.keys() and all(torch.equal(worn[name], masks[name]) for name in masks):
                return found
        return None

    def perplexity(self, state: str) -> float | None:
        """Perplexity over all domains of a state measured before."""
        return self.scalars.get(state, {}).get("perplexity")

    def gap(self, state: str) -> float | None:
        """Gap closed between Wanda's mask and the dense model."""
        needed = [self.perplexity(name) for name in ("dense", "wanda", state)]
        if any(value is None for value in needed):
            return None
        dense, wanda, ours = (float(value) for value in needed if value is not None)
        return gap_closed(dense, wanda, ours)

    def _event(self, state: str, found: Measurement) -> EvaluationFinished:
        scalars: dict[str, float] = {"perplexity": found.overall.perplexity, "nats": found.overall.nats}
        for domain, part in found.domains.items():
            scalars[f"nats/{domain}"] = part.nats
        for name in ("in_domain", "out_of_domain"):
            value = getattr(found, name)
            if value is not None:
                scalars[f"nats/{name}"] = value
        for name, skill in found.skills.items():
            scalars[f"skill/{name}"] = skill.accuracy
        if found.divergence is not None:
            scalars |= {"kl": found.divergence.kl, "top1_agreement": found.divergence.agreement}
        if self.dense is not None and found is not self.dense:
            difference = loss_difference(found.all_losses, self.dense.all_losses)
            scalars["nats_lost"] = difference.nats
            if difference.low is not None and difference.high is not None:
                scalars |= {"nats_lost_low": difference.low, "nats_lost_high": difference.high}
        self.scalars[state] = scalars
        closed = self.gap(state)
        if closed is not None:
            scalars["gap_closed"] = closed
        arrays = {f"token_losses/{domain}": numpy(losses) for domain, losses in found.losses.items()}
        texts = {generation.prompt: generation.text for generation in found.generations}
        return EvaluationFinished(state, "suite", scalars, self._protocol(found), arrays, texts)

    @staticmethod
    def _protocol(found: Measurement) -> dict[str, Any]:
        return dict(found.overall.protocol)
