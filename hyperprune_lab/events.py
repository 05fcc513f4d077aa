"""The typed events that a pruning run yields, in the order in which they happen.

Knows nothing about models, disks or pictures: plain values and numpy arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Scalars = dict[str, float]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class RunStarted:
    """Everything known before the first token: configuration, environment, data and model identity, coverage."""

    config: dict[str, Any]
    environment: dict[str, Any]
    model: dict[str, Any]
    data: dict[str, Any]
    coverage: list[dict[str, Any]]
    stages: list[str]


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; its artefacts are provisional unless it is the last to touch them."""

    stage: str
    blocks: int
    steps: int | None = None


@dataclass(frozen=True)
class BlockStarted:
    """Work on one transformer block begins within a stage."""

    stage: str
    block: int


@dataclass(frozen=True)
class StepMeasured:
    """Telemetry of one optimization step; ``block`` is None in whole-model stages."""

    stage: str
    block: int | None
    step: int
    steps: int
    values: Scalars


@dataclass(frozen=True)
class InputMeasured:
    """Statistics of one distinct input (shared by ``modules``) of a block."""

    stage: str
    block: int
    input: str
    modules: tuple[str, ...]
    scalars: Scalars
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class ModuleDecided:
    """The mask of one linear, chosen by ``stage``; boolean ``mask[out, in]``, true where kept."""

    stage: str
    block: int
    module: str
    pattern: str
    mask: np.ndarray
    scalars: Scalars
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class ModuleMeasured:
    """Something measured of one linear without deciding it again."""

    stage: str
    block: int
    module: str
    scalars: Scalars
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class WeightsChanged:
    """New weights (and norm gains) of a block after compensation, fp32, by full parameter name."""

    stage: str
    block: int
    weights: Arrays


@dataclass(frozen=True)
class ForgettingMeasured:
    """One row of the forgetting matrix: blocks asked again after training ``after`` (-1: after the final stage).

    ``values[name]`` has one number per earlier block, in order 0..after.
    """

    after: int
    values: dict[str, list[float]]


@dataclass(frozen=True)
class BlockFinished:
    """A block's work within a stage is done."""

    stage: str
    block: int
    seconds: float
    peak_memory_bytes: int
    scalars: Scalars = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class StageFinished:
    """A stage is done; ``scalars`` sum it up."""

    stage: str
    seconds: float
    scalars: Scalars = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkSaved:
    """The hypernetwork and its embeddings as they stand, with what is needed to ask it again."""

    stage: str
    arrays: Arrays
    settings: dict[str, Any]


@dataclass(frozen=True)
class EvaluationFinished:
    """Measurements of one state (``dense``, ``mask-only``, ``compensated``, ``prior`` ...) on one text or probe set."""

    state: str
    subject: str
    scalars: Scalars
    protocol: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointReached:
    """Everything a bit-identical resume needs: ``state`` is JSON, ``arrays`` are tensors."""

    stage: str
    block: int | None
    state: dict[str, Any]
    arrays: Arrays


@dataclass(frozen=True)
class Notice:
    """Something a person should know: ``level`` is ``info``, ``warning`` or ``error``."""

    level: str
    message: str
    module: str | None = None


@dataclass(frozen=True)
class RunPaused:
    """The run waits; nothing is lost."""


@dataclass(frozen=True)
class RunResumed:
    """The run goes on, after a pause or from a checkpoint."""

    from_checkpoint: bool = False


@dataclass(frozen=True)
class RunStopped:
    """The run was stopped on request; it can be resumed from its last checkpoint."""

    reason: str


@dataclass(frozen=True)
class RunFailed:
    """The run ended by an error; ``cause`` is shown to people."""

    cause: str
    kind: str
    module: str | None = None


@dataclass(frozen=True)
class RunFinished:
    """The run is complete; ``result`` is the object that the command line prints."""

    result: dict[str, Any]


Event = (
    RunStarted
    | StageStarted
    | BlockStarted
    | StepMeasured
    | InputMeasured
    | ModuleDecided
    | ModuleMeasured
    | WeightsChanged
    | ForgettingMeasured
    | BlockFinished
    | StageFinished
    | NetworkSaved
    | EvaluationFinished
    | CheckpointReached
    | Notice
    | RunPaused
    | RunResumed
    | RunStopped
    | RunFailed
    | RunFinished
)
