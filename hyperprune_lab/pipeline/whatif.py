"""What if one block were pruned otherwise? Decides a block of a recorded run again and tells the end-to-end effect.

The rest of the model wears the run's final masks on its original weights; only the block in question changes, and only
the blocks from there on are run again. Knows nothing about who asks, and writes nothing into the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.calibration.statistics import InputStatistics
from hyperprune_lab.calibration.windows import choose_window, load_calibration
from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.difference import loss_difference
from hyperprune_lab.evaluate.divergence import kl_to
from hyperprune_lab.evaluate.perplexity import losses_from
from hyperprune_lab.evaluate.texts import EvaluationWindows, evaluation_texts, evaluation_windows
from hyperprune_lab.methods.base import BlockProblem, LinearProblem
from hyperprune_lab.methods.registry import method
from hyperprune_lab.models.linears import PrunableLinear
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline.damage import Probe
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.recorded import RecordedRun
from hyperprune_lab.pipeline.subject import derived_seed

Tell = Callable[[str, float | None], None]
WINDOWS, WINDOW = 10, 256
LOGITS_BYTES = 512 << 20
STAND_IN = "descent"
"""What decides where the run's own method needs the whole model: the prior that HyperPrune's ``lab`` starts from."""
_UNSAID = "\0"


@dataclass(frozen=True)
class BlockChange:
    """The setting to try on ``block``: on its ``modules``, or on all that the run pruned (None).

    ``dense`` leaves them as they were; else ``method`` (None: the run's own, or its stand-in) decides them for
    ``pattern`` (None: each its own) from ``samples`` windows of ``text`` (unsaid: as the run was calibrated).
    """

    block: int
    modules: tuple[str, ...] | None = None
    method: str | None = None
    pattern: str | None = None
    dense: bool = False
    samples: int | None = None
    text: str | None = _UNSAID

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BlockChange:
        """From plain values; ``UserError`` for an unknown name or a value of the wrong kind."""
        known = {entry.name for entry in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
        block, modules, samples = values.get("block"), values.get("modules"), values.get("samples")
        if not isinstance(block, int) or isinstance(block, bool):
            raise UserError(f"block {block!r}: the number of a block is needed, counted from 0")
        if modules is not None and not all(isinstance(name, str) for name in modules):
            raise UserError("modules: a list of names is needed")
        if samples is not None and (not isinstance(samples, int) or samples < 1):
            raise UserError(f"samples {samples!r}: a number of windows of at least 1 is needed")
        given = dict(values) | {"modules": None if modules is None else tuple(modules)}
        made = cls(**given)
        if made.pattern is not None:
            NMPattern.parse(made.pattern)
        if made.method is not None and made.method != "hyperprune":
            method(made.method)
        return made


@dataclass(frozen=True)
class Effect:
    """The model on the windows that are judged by: KL to dense in nats per token, token losses."""

    kl: float
    losses: Float[Tensor, "windows predicted"]

    def scalars(self) -> dict[str, float]:
        """``kl``, ``nats`` per token, ``perplexity``."""
        nats = self.losses.double().mean().item()
        return {"kl": self.kl, "nats": nats, "perplexity": float(torch.tensor(nats).exp())}


class WhatIf:
    """A recorded run, opened for questions. What one answer needed is kept for the next."""

    def __init__(self, path: Path | str, device: str | None = None, tell: Tell | None = None) -> None:
        """Open the run's model and measure its state; raises ``UserError`` where its masks are not final."""
        tell = tell or _silent
        tell("opening the model", 0.0)
        self.run = RecordedRun.open(path, device)
        self.masks = self.run.masks()
        self.ids = self._windows()
        tell("looking at the run as it is", 0.2)
        subject = self.run.subject
        self.probe = Probe.of(subject, self.ids)
        self.dense = self._effect(0, self.probe.stream.hidden)
        self.entering: list[Tensor] = [self.probe.stream.hidden]
        with subject.wearing(self.masks), torch.no_grad():
            for block in range(len(subject.blocks)):
                self.entering.append(self.probe.stream.forward(block, self.entering[-1]))
            self.before = self._effect(len(subject.blocks), self.entering[-1])
        self._streams: tuple[tuple[Any, ...], DenseStreams] | None = None

    def answer(self, change: BlockChange, tell: Tell | None = None) -> dict[str, Any]:
        """The effect of a change, as plain values; raises ``UserError`` where it cannot be made.

        ``before`` and ``after`` have ``kl, nats, perplexity`` on the same windows (``dense`` too); ``difference`` is
        after minus before in nats, with its interval; ``modules`` has each linear's relative errors before and after,
        on the same statistics.
        """
        tell, started = tell or _silent, time.monotonic()
        linears = self._linears(change)
        streams = self._gathering(change, tell)
        statistics = streams.fit.gather(change.block).by_linear
        heldout = None if streams.heldout is None else streams.heldout.gather(change.block).by_linear
        decided, by = self._decide(change, linears, statistics, heldout, tell)
        tell("running the model from there on", 0.8)
        masks = {name: mask for name, mask in self.masks.items() if name not in decided}
        masks |= {name: mask for name, mask in decided.items() if mask is not None}
        with self.run.subject.wearing(masks):
            after = self._effect(change.block, self.entering[change.block])
        difference = loss_difference(after.losses, self.before.losses)
        return {
            "run": str(self.run.path),
            "block": change.block,
            "setting": self._setting(change, by),
            "dense": self.dense.scalars(),
            "before": self.before.scalars(),
            "after": after.scalars(),
            "difference": {"nats": difference.nats, "low": difference.low, "high": difference.high},
            "kl_recovered": self.before.kl - after.kl,
            "modules": [self._row(linear, decided[linear.name], statistics, heldout) for linear in linears],
            "windows": len(self.ids),
            "tokens": self.ids.numel(),
            "seconds": time.monotonic() - started,
        }

    def _linears(self, change: BlockChange) -> list[PrunableLinear]:
        subject = self.run.subject
        if not 0 <= change.block < len(subject.blocks):
            raise UserError(f"there is no block {change.block}: this model has {len(subject.blocks)}, from 0")
        here = [linear for linear in subject.linears[change.block] if linear.name in self.masks]
        if change.modules is None:
            chosen = here
        else:
            chosen = [linear for linear in here if linear.name in change.modules]
            missing = set(change.modules) - {linear.name for linear in chosen}
            if missing:
                raise UserError(f"{min(missing)} was not pruned in block {change.block} of {self.run.path}")
        if not chosen:
            raise UserError(f"nothing was pruned in block {change.block} of {self.run.path}")
        return chosen

    def _gathering(self, change: BlockChange, tell: Tell) -> DenseStreams:
        """The calibration windows in the dense model, those of the question before if they are the same."""
        config = self.run.config.calibration
        if change.samples is not None:
            config = replace(config, samples=change.samples)
        if change.text != _UNSAID:
            config = replace(config, text=change.text)
        key = (config.samples, config.text)
        if self._streams is None or self._streams[0] != key:
            tell("reading the calibration text", 0.3)
            opened = self.run.subject.opened
            calibration = load_calibration(config, opened.tokenizer, opened.context, self.run.config.seed)
            self._streams = (key, DenseStreams.of(self.run.subject, calibration))
        return self._streams[1]

    def _decide(
        self,
        change: BlockChange,
        linears: list[PrunableLinear],
        statistics: Mapping[str, InputStatistics],
        heldout: Mapping[str, InputStatistics] | None,
        tell: Tell,
    ) -> tuple[dict[str, Tensor | None], str | None]:
        """The new mask of every linear, None where it is dense; and the method that decided."""
        if change.dense:
            return {linear.name: None for linear in linears}, None
        subject = self.run.subject
        name = change.method or self.run.config.method
        if name == "hyperprune":
            name = STAND_IN
        given = None if change.pattern is None else NMPattern.parse(change.pattern)
        problem = BlockProblem(
            change.block,
            len(subject.blocks),
            tuple(
                LinearProblem(
                    linear.name,
                    linear.local,
                    linear.component,
                    change.block,
                    subject.dense_weight(linear),
                    statistics[linear.name],
                    None if heldout is None else heldout[linear.name],
                    given or subject.patterns[linear.name],
                )
                for linear in linears
            ),
        )
        steps = method(name)().decide(problem, derived_seed(self.run.config.seed, "what if", change.block))
        done = 0
        while True:
            tell(f"deciding block {change.block} by {name}", 0.4 + 0.4 * min(done / len(linears), 1.0))
            try:
                next(steps)
            except StopIteration as finished:
                return {key: decision.mask for key, decision in finished.value.items()}, name
            done += 1

    def _row(
        self,
        linear: PrunableLinear,
        mask: Tensor | None,
        statistics: Mapping[str, InputStatistics],
        heldout: Mapping[str, InputStatistics] | None,
    ) -> dict[str, Any]:
        """One linear before and after, by the same statistics."""
        weight, before = self.run.subject.dense_weight(linear), self.masks[linear.name]

        def error(kept: Tensor | None, of: Mapping[str, InputStatistics] | None) -> float | None:
            if of is None:
                return None
            return 0.0 if kept is None else relative_error(weight, weight * kept, of[linear.name].gram)

        return {
            "module": linear.name,
            "error_before": error(before, statistics),
            "error_after": error(mask, statistics),
            "error_heldout_before": error(before, heldout),
            "error_heldout_after": error(mask, heldout),
            "weights_changed": None if mask is None else (mask != before).float().mean().item(),
        }

    def _setting(self, change: BlockChange, by: str | None) -> dict[str, Any]:
        """What was tried, in full."""
        calibration = self.run.config.calibration
        return {
            "modules": None if change.modules is None else list(change.modules),
            "dense": change.dense,
            "method": by,
            "stands_in_for": self.run.config.method if by == STAND_IN and change.method is None else None,
            "pattern": change.pattern,
            "samples": change.samples or calibration.samples,
            "text": calibration.text if change.text == _UNSAID else change.text,
        }

    def _effect(self, block: int, hidden: Tensor) -> Effect:
        """The model as it now stands, from the input of ``block`` on."""
        divergence, losses = [], []
        found = self.probe.logits_from(self.run.subject, block, hidden)
        for logits, expected, ids in zip(found, self.probe.expected, self.ids, strict=True):
            divergence.append(kl_to(expected, logits).mean())
            losses.append(losses_from(logits[None], ids[None].to(logits.device)))
        return Effect(torch.stack(divergence).mean().item(), torch.cat(losses).cpu())

    def _windows(self) -> Int[Tensor, "windows window"]:
        """The first windows of each evaluation text in turn, so many that their logits have room."""
        run, opened = self.run, self.run.subject.opened
        window = min(WINDOW, choose_window(run.config.calibration.window, opened.context))
        texts = evaluation_windows(evaluation_texts(run.config.eval_text), opened.tokenizer, window)
        size = 4 * window * opened.model.config.get_text_config().vocab_size
        return _in_turn(texts)[: max(1, min(WINDOWS, LOGITS_BYTES // size))]


def _in_turn(texts: Iterable[EvaluationWindows]) -> Int[Tensor, "windows window"]:
    rounds = zip_longest(*(part.ids for part in texts))
    return torch.stack([ids for turn in rounds for ids in turn if ids is not None])


def _silent(_text: str, _share: float | None) -> None:
    """Nobody listens."""
