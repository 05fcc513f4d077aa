"""A run with five planted faults, each in another block, to be found again from its record alone.

The faults are planted into the process: what a decision is made from, or how it is made. Every number in the record is
then measured by the pipeline as in any other run. Knows nothing about how faults are found.

    python -m hyperprune_lab.demo.faults --out DIR

makes the exercise of the embedded model and writes which module has which fault beside it, into ``DIR.truth.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics, StatisticsAccumulator
from hyperprune_lab.calibration.tokens import encode
from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.texts import evaluation_texts
from hyperprune_lab.events import Event, Notice, RunStarted
from hyperprune_lab.hypernet.features import LinearContext
from hyperprune_lab.hypernet.relaxation import gumbel_noise
from hyperprune_lab.hypernet.settings import ModelStageSettings
from hyperprune_lab.methods.base import Decision, LinearProblem
from hyperprune_lab.methods.hyperprune import HyperPrune
from hyperprune_lab.methods.wanda import wanda_scores
from hyperprune_lab.models.inputs import record_inputs
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import RunControl
from hyperprune_lab.pipeline.dense import DenseStream, DenseStreams
from hyperprune_lab.pipeline.gather import BlockInputs
from hyperprune_lab.pipeline.launch import require_free
from hyperprune_lab.pipeline.run import Workbench, roster, run_on
from hyperprune_lab.pipeline.session import record_events
from hyperprune_lab.pipeline.subject import derived_seed

Cause = Literal[
    "wrong axis", "too few tokens", "lost outlier channels", "unconverged", "calibration mismatch"
]
_STATISTICS: tuple[Cause, ...] = ("too few tokens", "calibration mismatch")
_OTHER_TEXT = "ledger"
_FLATTENED = 0.05
"""What is left of the logits of choices that have not converged."""


@dataclass(frozen=True)
class Fault:
    """``cause`` is planted in ``module``; one of statistics befalls all linears that share its input.

    ``wrong axis``: the mask is computed for the transposed weight and laid on as it is (square weights only).
    ``too few tokens``: statistics come from the first ``tokens`` tokens only. ``lost outlier channels``: the mask goes
    by weights alone, blind to what is loud. ``unconverged``: patterns are drawn while the logits are still flat.
    ``calibration mismatch``: statistics come from text of another kind, the embedded ledger.
    """

    cause: Cause
    module: str
    tokens: int = 40


FAULTS = (
    Fault("lost outlier channels", "model.layers.0.self_attn.o_proj"),
    Fault("calibration mismatch", "model.layers.1.mlp.down_proj"),
    Fault("unconverged", "model.layers.2.mlp.gate_proj"),
    Fault("too few tokens", "model.layers.3.mlp.down_proj"),
    Fault("wrong axis", "model.layers.4.self_attn.v_proj"),
)
"""The exercise: five modules of the embedded model."""


def exercise() -> RunConfig:
    """The run that the faults are planted in: layer-wise HyperPrune on the embedded model."""
    return RunConfig(budget="quick", compensation="none", damage=True)


def run_with_faults(
    config: RunConfig, faults: tuple[Fault, ...], control: RunControl | None = None
) -> Iterator[Event]:
    """The events of the run; a notice says that there are faults, not where. Raises ``UserError``."""
    bench = FaultyBench.open(config)
    assert isinstance(bench, FaultyBench)
    bench.plant(faults)
    for event in run_on(bench, control):
        yield event
        if isinstance(event, RunStarted):
            yield Notice("info", f"An exercise: {len(faults)} faults were planted in this run.")


class FaultyBench(Workbench):
    """A workbench on which some things are done wrongly; masks are decided layer by layer and stay as decided."""

    faults: tuple[Fault, ...] = ()

    def plant(self, faults: tuple[Fault, ...]) -> None:
        """Plant faults before the run begins; raises ``UserError`` where one does not fit its module."""
        if self.settings is None:
            raise UserError("faults are planted in runs of hyperprune: choose that method")
        linears = self.subject.by_name
        for fault in faults:
            linear = linears.get(fault.module)
            if linear is None:
                raise UserError(f"{fault.module} is not pruned in this run, so no fault can be planted there")
            if fault.cause == "wrong axis" and linear.in_features != linear.out_features:
                raise UserError(f"{fault.module} is not square: no mask of its transpose fits it")
        self.faults = faults
        self.settings = replace(self.settings, model_stage=ModelStageSettings())
        seed = derived_seed(self.config.seed, "network")
        self.method = FaultyHyperPrune(self.settings, roster(self.subject), seed)
        self.method.faults = {fault.module: fault for fault in faults}

    @cached_property
    def streams(self) -> DenseStreams:
        """The streams, of which some tell wrong statistics of what they are to be fitted on."""
        right = DenseStreams.of(self.subject, self.calibration)
        wrong = SpoiledStream(self.subject, right.fit.ids)
        wrong.faults = tuple(fault for fault in self.faults if fault.cause in _STATISTICS)
        wrong.keep = right.fit.keep
        return DenseStreams(wrong, right.heldout)


class SpoiledStream(DenseStream):
    """The calibration windows in the dense model, with wrong statistics of some inputs."""

    faults: tuple[Fault, ...] = ()

    def gather(self, block: int) -> BlockInputs:
        """As the stream gathers, but for the inputs of faulty modules."""
        inputs = super().gather(block)
        by_linear = dict(inputs.by_linear)
        for fault in self.faults:
            sharing = next((names for names in inputs.readers.values() if fault.module in names), ())
            if sharing:
                by_linear |= dict.fromkeys(sharing, self._wrong(fault, block))
        return BlockInputs(by_linear, inputs.readers)

    def _wrong(self, fault: Fault, block: int) -> InputStatistics:
        if fault.cause == "too few tokens":
            return self._of_few(fault, block)
        return self._elsewhere.gather(block).by_linear[fault.module]

    @cached_property
    def _elsewhere(self) -> DenseStream:
        """Windows of a text of another kind, as many as there are, at most as many as here."""
        text = evaluation_texts(None)[_OTHER_TEXT]
        ids = torch.tensor(encode(self._subject.opened.tokenizer, text))
        window = self.ids.shape[1]
        windows = ids[: len(ids) // window * window].view(-1, window)
        return DenseStream(self._subject, windows[: len(self.ids)])

    def _of_few(self, fault: Fault, block: int) -> InputStatistics:
        found: list[Tensor] = []

        def sink(_key: str, names: tuple[str, ...], x: Tensor) -> None:
            if fault.module in names:
                found.append(x)

        with record_inputs(list(self._subject.linears[block]), sink):
            self.before(block).through(block)
        x = torch.cat(found)[: fault.tokens]
        accumulator = StatisticsAccumulator(x.shape[-1], x.device, fault.module)
        accumulator.add(x)
        return accumulator.finish()


class FaultyHyperPrune(HyperPrune):
    """HyperPrune that decides some linears wrongly."""

    faults: Mapping[str, Fault] = {}

    @torch.no_grad()
    def _decide_linear(self, linear: LinearProblem, context: LinearContext) -> Decision:
        """The decision with its evidence, on a mask that was come by wrongly."""
        decision = super()._decide_linear(linear, context)
        fault = self.faults.get(linear.name)
        if fault is None or fault.cause in _STATISTICS:
            return decision
        scalars = dict(decision.scalars)
        if fault.cause == "wrong axis":
            mask = linear.pattern.project(wanda_scores(linear.weight.T, linear.statistics))
        elif fault.cause == "lost outlier channels":
            mask = linear.pattern.project(linear.weight.abs())
        else:
            logits = self.chooser.logits(context) * _FLATTENED
            generator = torch.Generator().manual_seed(derived_seed(0, linear.name))
            head = self.chooser.head(context)
            mask = head.hard_mask(logits + gumbel_noise(logits, generator))
            scalars["entropy"] = head.entropy_share(logits).mean().item()
        same = linear.pattern.ids(mask) == linear.pattern.ids(context.prior)
        scalars |= {"decided_by_network": 1.0, "changed_from_prior": 1.0 - same.float().mean().item()}
        return Decision(mask, scalars=scalars)


def truth(faults: tuple[Fault, ...] = FAULTS) -> dict[str, str]:
    """Cause by module."""
    return {fault.module: fault.cause for fault in faults}


def main(arguments: list[str] | None = None) -> int:
    """Make the exercise."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the run's folder; must not exist")
    parser.add_argument("--sound", action="store_true", help="the same run without any fault")
    asked = parser.parse_args(arguments)
    faults = () if asked.sound else FAULTS
    try:
        require_free(asked.out)
        for _ in record_events(run_with_faults(exercise(), faults), asked.out):
            pass
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if faults:
        told = Path(f"{asked.out}.truth.json")
        told.write_text(json.dumps(truth(faults), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
