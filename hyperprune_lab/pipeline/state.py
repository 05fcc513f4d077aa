"""How far a run has come, as plain tensors: what a checkpoint holds and a resume starts from.

Knows nothing about files; masks travel bit-packed, everything else as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperprune_lab.events import CheckpointReached
from hyperprune_lab.patterns import pack, unpack
from hyperprune_lab.pipeline.evidence import numpy

Masks = dict[str, Tensor]


@dataclass(eq=False)
class RunState:
    """Everything that stages hand to each other.

    ``stage`` is the stage at work and ``done`` how many of its units (blocks or steps) are complete. ``masks`` are by
    label (``wanda``, ``prior``, ``final``), ``weights`` by label (``published``, ``prior``, ``final``), full parameter
    names below. ``method`` are the tensors of a method or trainer at work; ``results`` are scalars by state.
    """

    stage: str = ""
    done: int = 0
    masks: dict[str, Masks] = field(default_factory=dict)
    weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    method: dict[str, Tensor] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    stages_run: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    def reached(self, stage: str, done: int) -> CheckpointReached:
        """Note that ``done`` units of ``stage`` are complete, as an event to put on the stream."""
        self.stage, self.done = stage, done
        return CheckpointReached(stage, done, *self.to_checkpoint())

    def to_checkpoint(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON and arrays; the inverse is :meth:`from_checkpoint`."""
        shapes = {
            label: {name: list(mask.shape) for name, mask in masks.items()}
            for label, masks in self.masks.items()
        }
        arrays = {
            f"mask/{label}/{name}": pack(numpy(mask))
            for label, masks in self.masks.items()
            for name, mask in masks.items()
        }
        arrays |= {
            f"weight/{label}/{name}": numpy(value)
            for label, weights in self.weights.items()
            for name, value in weights.items()
        }
        arrays |= {f"method/{name}": numpy(value) for name, value in self.method.items()}
        state = {
            "stage": self.stage,
            "done": self.done,
            "shapes": shapes,
            "results": deepcopy(self.results),
            "stages_run": list(self.stages_run),
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
        }
        return state, arrays

    @classmethod
    def from_checkpoint(
        cls, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray], device: torch.device
    ) -> RunState:
        """The state as it was when the checkpoint was made, on ``device``."""
        made = cls(
            stage=str(state["stage"]),
            done=int(state["done"]),
            results=deepcopy(state["results"]),
            stages_run=list(state["stages_run"]),
            seconds=float(state["seconds"]),
            peak_memory_bytes=int(state["peak_memory_bytes"]),
        )
        for key, value in arrays.items():
            kind, _, rest = key.partition("/")
            if kind == "method":
                made.method[rest] = torch.from_numpy(np.array(value)).to(device)
                continue
            label, _, name = rest.partition("/")
            if kind == "mask":
                mask = unpack(np.array(value), int(state["shapes"][label][name][1]))
                made.masks.setdefault(label, {})[name] = torch.from_numpy(mask).to(device)
            elif kind == "weight":
                made.weights.setdefault(label, {})[name] = torch.from_numpy(np.array(value)).to(device)
        return made
