"""Small runs for the tests of views: real records, in a fraction of a second, without a model.

Every kind of event and array that the pipeline leaves behind, with plausible but random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperprune_lab import events as ev
from hyperprune_lab.patterns import NMPattern, pack
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.record.writer import RecordWriter

ATTENTION = ("self_attn.q_proj", "self_attn.o_proj")
MLP = ("mlp.up_proj", "mlp.down_proj")
HOSTILE = "mlp.<img src=x onerror=alert(1)>$\\frac{1}{0}$"


@dataclass(frozen=True)
class Tiny:
    """What the run looks like. ``locals_`` name the linears of a block; each reads an input of its own."""

    blocks: int = 3
    locals_: tuple[str, ...] = ATTENTION + MLP
    rows: int = 8
    width: int = 16
    pattern: str = "2:4"
    steps: int = 2
    method: str = "hyperprune"
    excluded: tuple[str, ...] = ()
    """Local names of matrices that are not covered."""
    outliers: bool = True
    seed: int = 0

    def module(self, block: int, local: str) -> str:
        return f"model.layers.{block}.{local}"


def write_run(path: Path, tiny: Tiny = Tiny(), stop_after: int | None = None) -> Run:
    """A finished run; with ``stop_after``, its first events only, left as a dead process leaves it."""
    with RecordWriter.create(path) as writer:
        for count, event in enumerate(events(tiny), 1):
            writer.write(event)
            if count == stop_after:
                break
    return open_run(path)


def live_run(path: Path, tiny: Tiny = Tiny()) -> tuple[RecordWriter, Iterator[ev.Event], Run]:
    """A run in the making: write some of the events, look, write more, and close the writer at the end."""
    writer = RecordWriter.create(path)
    stream = events(tiny)
    writer.write(next(stream))
    return writer, stream, open_run(path)


def write_until(writer: RecordWriter, stream: Iterator[ev.Event], kind: type) -> ev.Event:
    """Write up to and including the next event of this kind."""
    for event in stream:
        writer.write(event)
        if isinstance(event, kind):
            writer.flush()
            return event
    raise AssertionError(f"no further {kind.__name__}")


def events(tiny: Tiny = Tiny()) -> Iterator[ev.Event]:
    """The whole stream: dense evaluation, layers, audit, evaluations, end."""
    rng = np.random.default_rng(tiny.seed)
    yield _started(tiny)
    yield _evaluation("dense", rng, nats=2.2)
    yield ev.StageStarted("layers", tiny.blocks)
    for block in range(tiny.blocks):
        yield ev.BlockStarted("layers", block)
        for step in range(tiny.steps):
            loss = 1.0 / (1 + step)
            values = {
                *(("loss", loss), ("loss/reconstruction", 0.9 * loss), ("loss/outlier", 0.1 * loss)),
                *(("loss/continual", 0.0), ("temperature", 2.0 * 0.5**step), ("entropy", 0.7 - 0.2 * step)),
                *(("entropy_p10", 0.5 - 0.2 * step), ("entropy_p90", 0.9 - 0.1 * step)),
                *(("agreement_wanda", 0.7), ("agreement_prior", 0.9)),
            }
            yield ev.StepMeasured("layers", block, step, tiny.steps, dict(values))
        for local in tiny.locals_:
            yield _input(tiny, block, local, rng)
        for local in tiny.locals_:
            yield _decided(tiny, block, local, rng)
        earlier = [float(value) for value in rng.random(block + 1) * 0.2]
        yield ev.ForgettingMeasured(
            block, {"changed": [*earlier[:-1], 0.0], "divergence": earlier, "error_rel": earlier}
        )
        arrays = {"embedding": rng.normal(size=(len(tiny.locals_), 4)).astype(np.float32)}
        yield ev.BlockFinished("layers", block, 1.5, 1 << 30, {}, arrays)
    final = [float(value) for value in rng.random(tiny.blocks) * 0.3]
    yield ev.ForgettingMeasured(-1, {"changed": final, "divergence": final, "error_rel": final})
    yield ev.StageFinished("layers", 1.5 * tiny.blocks)
    yield ev.StageStarted("audit", tiny.blocks)
    for block in range(tiny.blocks):
        yield ev.BlockStarted("audit", block)
        for local in tiny.locals_:
            parts = rng.random(2) * 0.1
            cross = 0.01 * block
            scalars = {
                "error_rel_local": float(parts[0]),
                "error_rel_inherited": float(parts[1]),
                "error_rel_cross": cross,
                "error_rel_total": float(parts.sum()) + cross,
            }
            yield ev.ModuleMeasured("audit", block, tiny.module(block, local), scalars)
        yield ev.BlockFinished("audit", block, 0.1, 1 << 30)
    yield ev.StageFinished("audit", 0.1 * tiny.blocks)
    for state, nats in (("wanda", 3.0), ("mask-only", 2.7), ("compensated", 2.5)):
        yield _evaluation(state, rng, nats)
    yield ev.RunFinished({"method": tiny.method, "pattern": tiny.pattern, "violations": 0})


def _started(tiny: Tiny) -> ev.RunStarted:
    def row(
        name: str, block: int | None, shape: list[int], status: str, reason: str, pattern: str | None
    ) -> dict[str, Any]:
        count = int(np.prod(shape))
        return {
            "name": name,
            "block": block,
            "shape": shape,
            "parameters": count,
            "status": status,
            "reason": reason,
            "pattern": pattern,
        }

    words = NMPattern.parse(tiny.pattern).describe()
    coverage = [row("model.embed_tokens.weight", None, [32, tiny.width], "dense", "embedding", None)]
    for block in range(tiny.blocks):
        coverage += [
            row(tiny.module(block, local), block, [tiny.rows, tiny.width], "pruned", words, tiny.pattern)
            for local in tiny.locals_
        ]
        for local in tiny.excluded:
            name = f"{tiny.module(block, local)}.weight"
            coverage.append(row(name, block, [tiny.rows, tiny.width], "not covered", "no linear layer", None))
        coverage.append(
            row(f"model.layers.{block}.input_layernorm.weight", block, [tiny.width], "dense", "norm", None)
        )
    config = {
        "model": "tiny",
        "method": tiny.method,
        "pattern": tiny.pattern,
        "seed": tiny.seed,
        "budget": "quick",
    }
    model = {
        "name": "tiny",
        "parameters": sum(entry["parameters"] for entry in coverage),
        "blocks": tiny.blocks,
    }
    return ev.RunStarted(
        config,
        {"device": "cpu"},
        model,
        {"source": "story world", "tokens": 64},
        coverage,
        ["layers", "audit"],
    )


def channel_rms(tiny: Tiny) -> np.ndarray:
    """RMS of every input's channels: 1, but for two loud ones."""
    rms = np.ones(tiny.width, dtype=np.float32)
    if tiny.outliers:
        rms[[1, 5]] = 9.0
    return rms


def _input(tiny: Tiny, block: int, local: str, rng: np.random.Generator) -> ev.InputMeasured:
    rms, group = channel_rms(tiny), NMPattern.parse(tiny.pattern).group
    noise = rng.normal(size=(tiny.width // group, group, group)).astype(np.float32) * 0.05
    blocks = noise @ noise.swapaxes(1, 2)
    blocks[:, np.arange(group), np.arange(group)] = (rms**2).reshape(-1, group)
    arrays = {
        "channel_rms": rms,
        "channel_mean": np.zeros(tiny.width, dtype=np.float32),
        "gram_diagonal": rms**2,
        "channel_rms_heldout": rms * 1.05,
        "gram_blocks": blocks,
    }
    loud = float((rms >= 6 * np.median(rms)).sum())
    scalars = {
        "tokens": 64.0,
        "condition": 100.0,
        "dead_channels": 0.0,
        "outlier_channels": loud,
        "rank_deficient": 0.0,
    }
    return ev.InputMeasured("layers", block, local, (tiny.module(block, local),), scalars, arrays)


def _decided(tiny: Tiny, block: int, local: str, rng: np.random.Generator) -> ev.ModuleDecided:
    pattern = NMPattern.parse(tiny.pattern)
    weight = rng.normal(size=(tiny.rows, tiny.width)).astype(np.float32)
    rms = channel_rms(tiny)
    wanda, magnitude = pattern.project(np.abs(weight) * rms), pattern.project(np.abs(weight))
    mask = pattern.project(np.abs(weight) * rms * rng.uniform(0.7, 1.3, weight.shape).astype(np.float32))
    energy = weight**2 * rms**2
    lost = energy * ~mask

    def error(of: np.ndarray) -> float:
        return float((energy * ~of).sum() / energy.sum())

    scalars = {
        "error_rel": error(mask),
        "error_rel_heldout": 1.1 * error(mask),
        "error_rel_wanda": error(wanda),
        "error_rel_magnitude": error(magnitude),
        "agreement_wanda": float((pattern.ids(mask) == pattern.ids(wanda)).mean()),
        "agreement_magnitude": float((pattern.ids(mask) == pattern.ids(magnitude)).mean()),
        "kept_score": 1.0 - error(mask),
        "kept_score_wanda": 1.0 - error(wanda),
        "changed_from_prior": 0.1,
        "decided_by_network": float(block % 2 == 0),
        "entropy": 0.3,
    }
    arrays = {
        "row_errors": lost.sum(1) / energy.sum(1),
        "channel_shares": lost.sum(0) / energy.sum(),
        "channel_kept_energy": (weight**2 * mask).sum(0) / (weight**2).sum(0),
        "channel_keep_rate_wanda": wanda.mean(0, dtype=np.float32),
        "channel_keep_rate_magnitude": magnitude.mean(0, dtype=np.float32),
        "pattern_histogram": np.bincount(pattern.ids(mask).ravel(), minlength=pattern.count),
        "mask_wanda": pack(wanda),
        "mask_magnitude": pack(magnitude),
    }
    return ev.ModuleDecided("layers", block, tiny.module(block, local), tiny.pattern, mask, scalars, arrays)


def _evaluation(state: str, rng: np.random.Generator, nats: float) -> ev.EvaluationFinished:
    losses = rng.gamma(2.0, nats / 2.0, size=(2, 7)).astype(np.float32)
    scalars = {"nats": nats, "perplexity": float(np.exp(nats)), "kl": nats - 2.2}
    protocol = {"window": 8, "dtype": "float32", "text": "story"}
    return ev.EvaluationFinished(
        state, "suite", scalars, protocol, {"token_losses": losses}, {"story": "Once upon a time"}
    )
