"""A run from beginning to end, as a generator of typed events.

``for event in prune(config)`` is the whole interface: the command line, the notebooks, the recorder and the tests all
consume this stream. Knows nothing about where events go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperprune_lab.calibration.windows import Calibration, load_calibration
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import (
    BlockFinished,
    Event,
    NetworkSaved,
    Notice,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
)
from hyperprune_lab.hypernet.settings import FREE_RATE, HyperPruneSettings, preset_settings
from hyperprune_lab.methods.base import LayerwiseMethod, LinearProblem
from hyperprune_lab.methods.hyperprune import HyperPrune, Roster
from hyperprune_lab.methods.registry import method
from hyperprune_lab.models.open import open_model
from hyperprune_lab.patterns import NMPattern, pack
from hyperprune_lab.pipeline import layers, model_stage
from hyperprune_lab.pipeline.audit import audit
from hyperprune_lab.pipeline.budget import evaluation_budget, ladder_settings
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import RunControl
from hyperprune_lab.pipeline.damage import STAGE as DAMAGE
from hyperprune_lab.pipeline.damage import TOKENS, damage
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.environment import choose_device, environment
from hyperprune_lab.pipeline.evidence import numpy
from hyperprune_lab.pipeline.examine import Examiner
from hyperprune_lab.pipeline.ladder import PRIOR_STAGE, Ladder
from hyperprune_lab.pipeline.ladder import STAGE as COMPENSATION
from hyperprune_lab.pipeline.result import result_of
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject, derived_seed

FULL_EVIDENCE_BELOW = 1_000_000_000
Checkpoint = tuple[Mapping[str, Any], Mapping[str, "np.ndarray"]]


@dataclass(eq=False)
class Workbench:
    """Everything that is opened, checked and prepared before the first token is run."""

    config: RunConfig
    subject: Subject
    calibration: Calibration
    examiner: Examiner
    method: LayerwiseMethod
    settings: HyperPruneSettings | None
    problems: dict[str, LinearProblem] = field(default_factory=dict)

    @classmethod
    def open(cls, config: RunConfig) -> Workbench:
        """Open model and data; raises ``UserError`` for every mistake that can be seen before work starts."""
        device = choose_device(config.device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        settings = settings_of(config)
        found = None if settings is not None else method(config.method)()
        opened = open_model(
            config.model, device=str(device), dtype=config.dtype, trust_remote_code=config.trust_remote_code
        )
        subject = Subject.of(opened, NMPattern.parse(config.pattern), config.overrides)
        if not subject.by_name:
            raise UserError(f"{config.model}: nothing is left to prune; relax the overrides")
        calibration = load_calibration(config.calibration, opened.tokenizer, opened.context, config.seed)
        examiner = Examiner.of(subject, config)
        if settings is not None:
            asked_again = settings.model_stage.steps > 0 or _full_evidence(config, subject)
            seed = derived_seed(config.seed, "network")
            found = HyperPrune(settings, roster(subject), seed, keep_contexts=asked_again)
        assert found is not None
        return cls(config, subject, calibration, examiner, found, settings)

    @property
    def full_evidence(self) -> bool:
        """Whether the record gets the larger evidence."""
        return _full_evidence(self.config, self.subject)

    @cached_property
    def streams(self) -> DenseStreams:
        """The calibration windows in the dense model; to be asked for while the model is dense."""
        return DenseStreams.of(self.subject, self.calibration)

    @property
    def stages(self) -> list[str]:
        """The stages that this run goes through, in order."""
        return stages_of(self.config, self.settings)

    @property
    def learns_on_compensated(self) -> bool:
        """Whether the whole-model stage lays its masks on the prior's compensated weights."""
        return _learns_on_compensated(self.config, self.settings)

    @property
    def has_prior(self) -> bool:
        """Whether there is a prior to be compared with."""
        return _has_prior(self.settings)

    def started(self) -> RunStarted:
        """The first event of the run."""
        opened = self.subject.opened
        return RunStarted(
            config=self.config.to_json()
            | {
                "hyperprune": None if self.settings is None else self.settings.to_json(),
                "ladder": asdict(ladder_settings(self.config)),
                "evaluation": asdict(evaluation_budget(self.config)),
                "window": self.calibration.fit.shape[1],
            },
            environment=environment(self.subject.device),
            model=opened.identity | {"blocks": len(self.subject.blocks), "context": opened.context},
            data=self.calibration.identity,
            coverage=[_row(row) for row in self.subject.coverage.rows],
            stages=self.stages,
        )

    def layers_stage(self) -> layers.LayersStage:
        """The layer-wise stage of this run."""
        prefix = self.config.prefix
        if prefix == "auto":
            prefix = "pruned" if self.config.method == "sparsegpt" else "dense"
        return layers.LayersStage(
            self.subject,
            self.method,
            self.streams,
            self.config.seed,
            prefix,
            () if self.settings is None else self.settings.dense_blocks,
            self.full_evidence,
        )


def prune(
    config: RunConfig, control: RunControl | None = None, checkpoint: Checkpoint | None = None
) -> Iterator[Event]:
    """Prune a model; yields events until ``RunFinished`` or, on request, ``RunStopped``.

    ``checkpoint`` is what an earlier run's last ``CheckpointReached`` held; the run then goes on from there to the
    same masks, bit for bit. Raises ``UserError`` before the first event for whatever is wrong with the input.
    """
    yield from run_on(Workbench.open(config), control, checkpoint)


def run_on(
    bench: Workbench, control: RunControl | None = None, checkpoint: Checkpoint | None = None
) -> Iterator[Event]:
    """As :func:`prune`, with what was opened and prepared before."""
    control = control or RunControl()
    events = _resumable(bench, checkpoint)
    try:
        for event in events:
            yield event
            if control.paused:
                yield RunPaused()
                while control.paused:
                    control.wait(0.2)
                yield RunResumed()
            if control.stopping and not isinstance(event, RunFinished):
                yield RunStopped("stopped on request")
                return
    finally:
        # However the run ends, the model is dense again: a stage may have been left in the middle.
        events.close()
        bench.subject.restore()


def _resumable(bench: Workbench, checkpoint: Checkpoint | None) -> Generator[Event, None, None]:
    started = time.monotonic()
    if checkpoint is None:
        state = RunState()
        yield bench.started()
        if bench.calibration.notice is not None:
            yield Notice("warning", bench.calibration.notice)
    else:
        state = RunState.from_checkpoint(*checkpoint, bench.subject.device)
        yield RunResumed(from_checkpoint=True)
    before = state.seconds
    yield bench.examiner.look_at_dense()
    learning = [stage for stage in bench.stages if stage in (layers.STAGE, model_stage.STAGE)]
    for stage in _stages_left(bench.stages, state):
        for event in _run_stage(stage, bench, state):
            state.seconds = before + time.monotonic() - started
            if isinstance(event, BlockFinished):
                state.peak_memory_bytes = max(state.peak_memory_bytes, event.peak_memory_bytes)
            yield event
        if stage not in state.stages_run:
            state.stages_run.append(stage)
        if stage == learning[-1]:
            state.method.clear()
    state.seconds = before + time.monotonic() - started
    yield RunFinished(result_of(bench, state))


def _stages_left(stages: list[str], state: RunState) -> list[str]:
    """The stages to run; HyperPrune's layers are met again as long as its whole-model stage is to come."""
    if not state.stage:
        return stages
    at = stages.index(state.stage)
    left = stages[at:]
    again = [layers.STAGE] if model_stage.STAGE in left and state.stage != layers.STAGE else []
    return again + left


def _run_stage(stage: str, bench: Workbench, state: RunState) -> Iterator[Event]:
    if stage == "audit":
        return audit(bench.subject, bench.streams, state)
    if stage == DAMAGE:
        return damage(bench.subject, bench.calibration, state, TOKENS[bench.config.budget])
    if stage == "evaluation":
        return _evaluate(bench, state)
    if stage == layers.STAGE:
        return _run_layers(bench, state)
    if stage == model_stage.STAGE:
        return _run_model(bench, state)
    label = "prior" if stage == PRIOR_STAGE else "final"
    settings = ladder_settings(bench.config)
    return Ladder(bench.subject, bench.streams, settings, bench.config.seed, label).run(state)


def _run_layers(bench: Workbench, state: RunState) -> Iterator[Event]:
    stage = bench.layers_stage()
    if isinstance(bench.method, HyperPrune) and state.method:
        bench.method.load(state.method)
    yield from stage.run(state)
    bench.problems = stage.problems
    if not isinstance(bench.method, HyperPrune):
        return
    if state.stage == layers.STAGE:
        state.masks["layers"] = dict(state.masks["final"])
        if model_stage.STAGE not in bench.stages and bench.full_evidence:
            state.masks["regenerated"] = bench.method.asked_again(state.masks["final"])
        yield network_saved(bench.method, layers.STAGE, {})


def _run_model(bench: Workbench, state: RunState) -> Iterator[Event]:
    assert isinstance(bench.method, HyperPrune)
    stage = model_stage.ModelStage(
        bench.subject,
        bench.method,
        bench.streams,
        bench.problems,
        bench.config.seed,
        bench.full_evidence,
        bench.learns_on_compensated,
    )
    yield from stage.run(state)
    yield network_saved(bench.method, model_stage.STAGE, state.masks.pop("base"))


def network_saved(hyperprune: HyperPrune, stage: str, base: Mapping[str, Tensor]) -> NetworkSaved:
    """A copy of the network, with the masks that its features were made around."""
    chooser = hyperprune.chooser
    arrays = {f"network/{name}": numpy(value).copy() for name, value in chooser.state_dict().items()}
    arrays |= {f"residual/{name}": numpy(value).copy() for name, value in chooser.residuals.items()}
    arrays |= {f"base/{name}": pack(numpy(mask)) for name, mask in base.items()}
    return NetworkSaved(stage, arrays, chooser.describe())


def _evaluate(bench: Workbench, state: RunState) -> Iterator[Event]:
    examiner, subject = bench.examiner, bench.subject
    looks: list[tuple[str, Callable[[], Event]]] = []

    def add(
        label: str, masks: str | None = None, weights: Mapping[str, Tensor] | None = None, brief: bool = True
    ) -> None:
        chosen = None if masks is None else state.masks[masks]
        looks.append((label, lambda: examiner.look(label, chosen, weights, brief)))

    add("wanda", masks="wanda")
    if "prior" in state.masks and bench.has_prior:
        add("prior", masks="prior")
    if model_stage.STAGE in bench.stages:
        add("layers", masks="layers")
    add("mask-only", masks="final", brief=False)
    if "regenerated" in state.masks:
        add("regenerated", masks="regenerated")
    if "published" in state.weights:
        add("published", weights=_stored(subject, state.weights["published"]))
    if state.weights.get("prior"):
        add("prior compensated", weights=state.weights["prior"])
    if state.weights.get("final"):
        add("compensated", weights=state.weights["final"], brief=False)
    for _, look in looks:
        yield look()


def _stored(subject: Subject, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights ``[out, in]`` by linear, as the model stores them by parameter."""
    return {
        f"{name}.weight": weight.T if subject.by_name[name].transposed else weight
        for name, weight in weights.items()
    }


def stages_of(config: RunConfig, settings: HyperPruneSettings | None) -> list[str]:
    """The stages that a run goes through, in order; ``settings`` are HyperPrune's, None for other methods."""
    compensated = config.compensation != "none"
    prior = [PRIOR_STAGE] if compensated and _has_prior(settings) else []
    model = [model_stage.STAGE] if settings is not None and settings.model_stage.steps else []
    # Masks that are to be compensated are best learned on compensated weights.
    learning = [*prior, *model] if _learns_on_compensated(config, settings) else [*model, *prior]
    last = ["audit", *[DAMAGE] * bool(config.damage), "evaluation"]
    return [layers.STAGE, *learning, *[COMPENSATION] * compensated, *last]


def _full_evidence(config: RunConfig, subject: Subject) -> bool:
    if config.evidence == "auto":
        return subject.coverage.total_parameters < FULL_EVIDENCE_BELOW
    return config.evidence == "full"


def _has_prior(settings: HyperPruneSettings | None) -> bool:
    return settings is not None and settings.prior != "none"


def _learns_on_compensated(config: RunConfig, settings: HyperPruneSettings | None) -> bool:
    return config.objective == "compensated" and config.compensation != "none" and _has_prior(settings)


def settings_of(config: RunConfig) -> HyperPruneSettings | None:
    """What a HyperPrune run's preset, budget and weights amount to; None for other methods. Raises ``UserError``."""
    if config.method != "hyperprune":
        return None
    settings = preset_settings(
        str(config.preset), config.budget, config.objective, config.outlier_weight, config.continual_weight
    )
    if config.residual_logits and not settings.model_stage.steps:
        raise UserError(
            f"the preset {config.preset} has no whole-model stage, so no residual logits: use lab"
        )
    if config.residual_logits is not None:
        stage = replace(settings.model_stage, free_rate=FREE_RATE if config.residual_logits else 0.0)
        settings = replace(settings, model_stage=stage)
    return settings


def roster(subject: Subject) -> Roster:
    """What HyperPrune's network must know of the model before it meets the first block."""
    linears = list(subject.by_name.values())
    return Roster(
        blocks=len(subject.blocks),
        components=tuple(dict.fromkeys(linear.component for linear in linears)),
        patterns=tuple(sorted(set(subject.patterns.values()))),
        device=subject.device,
    )


def _row(row: Any) -> dict[str, Any]:
    values = asdict(row)
    values["pattern"] = None if row.pattern is None else str(row.pattern)
    values["shape"] = list(row.shape)
    return values
