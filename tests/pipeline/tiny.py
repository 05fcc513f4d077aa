"""Tiny runs for the pipeline's tests: a random model, a written text, a configuration that takes a second.

Knows nothing about what any test looks for.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperprune_lab.calibration.config import CalibrationConfig
from hyperprune_lab.evaluate.suite import build_suite
from hyperprune_lab.events import CheckpointReached, Event, ModuleDecided, RunFinished, WeightsChanged
from hyperprune_lab.hypernet import settings
from hyperprune_lab.hypernet.settings import ModelStageSettings
from hyperprune_lab.hypernet.trainer import TrainingSettings
from hyperprune_lab.pipeline import budget, examine, run
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.ladder import LadderSettings
from hyperprune_lab.pipeline.run import Checkpoint, Workbench, prune
from tests.architectures import save_tiny

WINDOW = 24
SAMPLES = 10
_LETTERS = "abcdefghijklmnoprstuvwyz"


def write_text(path: Path, words: int, seed: int = 0) -> Path:
    """A text of random short words."""
    choose = random.Random(seed)
    written = ("".join(choose.choices(_LETTERS, k=choose.randint(1, 5))) for _ in range(words))
    path.write_text(" ".join(written), encoding="utf-8")
    return path


class Workshop:
    """A folder with one text and one model per architecture, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = write_text(folder / "calibration.txt", 1500)
        self.eval_text = write_text(folder / "evaluation.txt", 60, seed=1)

    def model(self, architecture: str) -> Path:
        """The checkpoint folder of a tiny model."""
        path = self.folder / architecture
        return path if path.exists() else save_tiny(architecture, path)

    def config(self, architecture: str = "llama", samples: int = SAMPLES, **values: Any) -> RunConfig:
        """A run on a tiny model; Wanda 2:4 unless said otherwise."""
        chosen = {"method": "wanda", "budget": "quick", "device": "cpu", "evidence": "full"}
        chosen |= {"model": str(self.model(architecture)), "eval_text": str(self.eval_text)}
        data = {"samples": samples, "window": WINDOW, "holdout": 0.2, "text": str(self.text)}
        calibration = CalibrationConfig(**(data | values.pop("calibration", {})))
        return RunConfig(**(chosen | values), calibration=calibration)


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Give every budget a few steps only; what the steps do stays as it is."""
    patch.setattr(settings, "_LAYER_STEPS", dict.fromkeys(settings._LAYER_STEPS, 3))
    patch.setattr(settings, "_PAPER_STEPS", dict.fromkeys(settings._PAPER_STEPS, 3))
    stage = ModelStageSettings(steps=3, rounds=2, batch=4, looks=2, gradient_sequences=4)
    patch.setattr(settings, "_MODEL_STAGE", dict.fromkeys(settings._MODEL_STAGE, stage))
    ladder = LadderSettings(block_steps=3, block_rates=(2e-3,), model_steps=3, model_rates=(3e-4,))
    patch.setattr(budget, "_LADDERS", dict.fromkeys(budget._LADDERS, ladder))
    patch.setattr(examine, "build_suite", lambda *asked: replace(build_suite(*asked), new_tokens=2))


def learn_fast(patch: pytest.MonkeyPatch) -> None:
    """Let the network of ``lab`` learn fast and keep what it has learned, better than its prior or not."""
    patch.setattr(settings, "TrainingSettings", partial(TrainingSettings, rate=0.1, choose_best=False))


@contextmanager
def opened_benches() -> Iterator[list[Workbench]]:
    """Everything that runs open inside the ``with`` statement, to look at the model afterwards."""
    benches: list[Workbench] = []
    with pytest.MonkeyPatch.context() as patch:
        open_bench = run.Workbench.open

        def remembered(config: RunConfig) -> Workbench:
            benches.append(open_bench(config))
            return benches[-1]

        patch.setattr(run.Workbench, "open", remembered)
        yield benches


def result(events: Sequence[Event]) -> dict[str, Any]:
    """What a finished run ended with."""
    assert isinstance(events[-1], RunFinished), events[-1]
    return events[-1].result


def masks(events: Sequence[Event], stage: str | None = None) -> dict[str, np.ndarray]:
    """The newest mask of every module, or the newest of one stage."""
    return {
        event.module: event.mask
        for event in events
        if isinstance(event, ModuleDecided) and stage in (None, event.stage)
    }


def weights(events: Sequence[Event]) -> dict[str, np.ndarray]:
    """The newest compensated weights by parameter name."""
    found: dict[str, np.ndarray] = {}
    for event in events:
        if isinstance(event, WeightsChanged):
            found |= event.weights
    return found


def same_arrays(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether both have the same names and, bit for bit, the same arrays."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def run_all(config: RunConfig, checkpoint: Checkpoint | None = None) -> list[Event]:
    """All events of a run."""
    return list(prune(config, checkpoint=checkpoint))


def run_until(config: RunConfig, kind: type) -> list[Event]:
    """The events of a run up to the first of this kind; what would follow is not computed."""
    events = []
    for event in (stream := prune(config)):
        events.append(event)
        if isinstance(event, kind):
            break
    stream.close()
    return events


def checkpoints(events: Sequence[Event]) -> list[Checkpoint]:
    """What every checkpoint holds, in order."""
    return [(event.state, event.arrays) for event in events if isinstance(event, CheckpointReached)]
