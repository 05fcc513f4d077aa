"""A small run with every kind of event, for the record's tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hyperprune_lab import events as ev
from hyperprune_lab.patterns import NMPattern

PATTERN = NMPattern(2, 4)
MODULES = ("self_attn.q_proj", "mlp.up_proj")
STAGES = ["layerwise", "global"]


def module_name(block: int, local: str) -> str:
    return f"model.layers.{block}.{local}"


def make_mask(seed: int, rows: int = 6, width: int = 20) -> np.ndarray:
    return PATTERN.project(np.random.default_rng(seed).random((rows, width)))


def started() -> ev.RunStarted:
    coverage = [
        {"name": module_name(block, local), "status": "pruned", "parameters": 120, "reason": ""}
        for block in range(2)
        for local in MODULES
    ]
    return ev.RunStarted(
        config={"pattern": "2:4", "seed": 0, "outlier_weight": float("inf"), "$float": "nan"},
        environment={"python": "3"},
        model={"name": "demo"},
        data={"source": "story", "tokens": 2**70},
        coverage=coverage,
        stages=STAGES,
    )


def block_events(stage: str, block: int, steps: int = 3) -> Iterator[ev.Event]:
    yield ev.BlockStarted(stage, block)
    yield ev.InputMeasured(
        stage,
        block,
        f"model.layers.{block}.input",
        tuple(module_name(block, local) for local in MODULES),
        {"tokens": 10.0, "condition": float("inf")},
        {"rms": np.arange(20, dtype=np.float32), "gram": np.eye(4)[None]},
    )
    for step in range(steps):
        yield ev.StepMeasured(stage, block, step, steps, {"loss": 1.0 / (step + 1), "entropy": float("nan")})
    for index, local in enumerate(MODULES):
        seed = 100 * STAGES.index(stage) + 10 * block + index
        yield ev.ModuleDecided(
            stage,
            block,
            module_name(block, local),
            str(PATTERN),
            make_mask(seed),
            {"error_rel": 0.1 * (block + 1), "seed": float(seed)},
            {"row_errors": np.full(6, seed, dtype=np.float64)},
        )
    local = module_name(block, MODULES[1])
    yield ev.ModuleMeasured(stage, block, local, {"error_total": 0.3}, {"shares": np.full(20, block)})
    yield ev.BlockFinished(stage, block, 1.5, 1 << 30, {"kept": 0.5}, {"histogram": np.arange(6)})


def checkpoint(stage: str, block: int | None) -> ev.CheckpointReached:
    state = {"stage": stage, "block": block, "rng": [2**127, 3], "rate": 0.1, "odd": float("nan")}
    seed = -1 if block is None else block
    return ev.CheckpointReached(stage, block, state, {"network/w": np.full((2, 3), seed, dtype=np.float32)})


def all_events() -> Iterator[ev.Event]:
    """A finished run: a layer-wise stage with compensation, a whole-model stage, evaluations."""
    yield started()
    yield ev.StageStarted("layerwise", 2, 6)
    for block in range(2):
        yield from block_events("layerwise", block)
        name = f"model.layers.{block}.input_layernorm.weight"
        yield ev.WeightsChanged("layerwise", block, {name: np.full(20, block, dtype=np.float32)})
        yield ev.ForgettingMeasured(block, {"changed": [0.1 * j for j in range(block + 1)]})
        yield checkpoint("layerwise", block)
    yield ev.StageFinished("layerwise", 3.0, {"error_rel_mean": 0.15})
    yield ev.NetworkSaved("layerwise", {"embedding": np.ones((2, 3), dtype=np.float16)}, {"hidden": 32})
    yield ev.RunPaused()
    yield ev.RunResumed()
    yield ev.StageStarted("global", 2, 1)
    yield ev.StepMeasured("global", None, 0, 1, {"kl": 0.5})
    for block in range(2):
        yield from block_events("global", block, steps=0)
    yield ev.ForgettingMeasured(-1, {"changed": [0.5, 0.25]})
    yield ev.StageFinished("global", 1.0)
    yield ev.EvaluationFinished(
        "mask-only",
        "story",
        {"perplexity": 12.5, "nats": 2.5},
        {"window": 128},
        {"token_losses": np.ones((2, 3), dtype=np.float32)},
        {"prompt": "Once </script> \ud800 upon"},
    )
    yield ev.EvaluationFinished("dense", "story", {"perplexity": float("nan")})
    yield ev.Notice("warning", "Fewer tokens than channels.", module_name(0, "mlp.up_proj"))
    yield checkpoint("global", None)
    yield ev.RunFinished(
        {"method": "hyperprune", "violations": 0, "published_ppl": None, "dense_ppl": float("inf")}
    )
