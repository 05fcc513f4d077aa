"""A small run whose every number is known: written through the real writer, computed here in plain numpy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hyperprune_lab import events as ev
from hyperprune_lab.folders import weight_files, weights_digest
from hyperprune_lab.patterns import NMPattern, pack
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.record.writer import RecordWriter

SHAPES = {"self_attn.q_proj": (12, 16), "self_attn.k_proj": (6, 16), "mlp.up_proj": (20, 24)}
INPUTS = {
    "self_attn.q_proj+k_proj": ("self_attn.q_proj", "self_attn.k_proj"),
    "mlp.up_proj": ("mlp.up_proj",),
}
TOKENS = 64


def name_of(block: int, local: str) -> str:
    return f"model.layers.{block}.{local}"


def as_bfloat16(values: np.ndarray) -> np.ndarray:
    """Cut to what bfloat16 can hold, in float32: the upper half of the bits."""
    return (values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def save_bfloat16(path: Path, weights: dict[str, np.ndarray]) -> None:
    """A safetensors file of matrices that are ``as_bfloat16``, written by hand: a header, then the bytes."""
    header, content = {}, b""
    for name, weight in weights.items():
        data = (weight.view(np.uint32) >> 16).astype("<u2").tobytes()
        place = [len(content), len(content) + len(data)]
        header[f"{name}.weight"] = {"dtype": "BF16", "shape": list(weight.shape), "data_offsets": place}
        content += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


def relative(lost: np.ndarray, weight: np.ndarray, gram: np.ndarray) -> float:
    return float(np.trace(lost @ gram @ lost.T) / np.trace(weight @ gram @ weight.T))


@dataclass
class World:
    """What stands behind a run: weights, inputs and masks by module; ``loud`` are the channels made loud."""

    path: Path
    model: Path
    pattern: NMPattern
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    tokens: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    wanda: dict[str, np.ndarray] = field(default_factory=dict)
    magnitude: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        return open_run(self.path)

    def input_of(self, module: str) -> tuple[int, str]:
        block, local = int(module.split(".")[2]), ".".join(module.split(".")[3:])
        return block, next(name for name, readers in INPUTS.items() if local in readers)

    def gram(self, module: str) -> np.ndarray:
        x = self.tokens[self.input_of(module)].astype(np.float64)
        return x.T @ x / len(x)

    def rms(self, module: str) -> np.ndarray:
        return np.sqrt(np.diag(self.gram(module)))


def make_world(
    folder: Path,
    *,
    seed: int = 0,
    blocks: int = 3,
    pattern: str = "2:4",
    loud: tuple[int, ...] = (5,),
    full: bool = True,
    network: bool = True,
    finish: bool = True,
    decided: int | None = None,
    masks: str = "random",
    continual_weight: float = 1.0,
) -> World:
    """Write model and run under ``folder``; of the ``blocks`` some are ``decided``, by ``masks`` random or Wanda's."""
    world = World(folder / "run", folder / "model", NMPattern.parse(pattern))
    draw = np.random.default_rng(seed)
    for block in range(blocks):
        for key, readers in INPUTS.items():
            width = SHAPES[readers[0]][1]
            mixed = draw.standard_normal((TOKENS, width)) @ (
                np.eye(width) + 0.2 * draw.standard_normal((width, width))
            )
            mixed[:, list(loud)] *= 30
            world.tokens[block, key] = mixed
        for local, shape in SHAPES.items():
            weight = as_bfloat16(draw.standard_normal(shape))
            module = name_of(block, local)
            world.weights[module] = weight
            score = np.abs(weight) * world.rms(module)
            world.wanda[module] = world.pattern.project(score)
            world.magnitude[module] = world.pattern.project(np.abs(weight))
            world.masks[module] = (
                world.wanda[module] if masks == "wanda" else world.pattern.project(draw.random(shape))
            )
    world.model.mkdir(parents=True)
    save_bfloat16(world.model / "model.safetensors", world.weights)
    with RecordWriter.create(world.path) as writer:
        for event in _events(
            world, blocks, full, network, finish, blocks if decided is None else decided, continual_weight
        ):
            writer.write(event)
    return world


def forgetting_rows(blocks: int) -> list[dict[str, list[float]]]:
    """Row i, column j: 0.1 (i - j) of the groups changed; the error falls from 0.5 by 0.02 a block."""
    return [
        {
            "changed": [0.1 * (after - block) for block in range(after + 1)],
            "divergence": [0.01 * (after - block) for block in range(after + 1)],
            "error_rel": [0.5 - 0.02 * (after - block) for block in range(after + 1)],
            "error_rel_at_decision": [0.5] * (after + 1),
        }
        for after in range(blocks)
    ]


def step_values(step: int, steps: int, continual_weight: float) -> dict[str, float]:
    reconstruction, outlier, continual = 1.0 / (step + 1), 0.5 + 0.01 * step, 0.02 * step
    return {
        "reconstruction": reconstruction,
        "outlier": outlier,
        "continual": continual,
        "loss": reconstruction - 0.1 * outlier + continual_weight * continual,
        "temperature": 2.0 * 0.1 ** (step / (steps - 1)),
        "entropy": 0.9 - 0.1 * step,
        "agreement_wanda": 0.5,
        "agreement_prior": 0.75,
    }


def _events(
    world: World, blocks: int, full: bool, network: bool, finish: bool, decided: int, continual_weight: float
) -> Iterator[ev.Event]:
    files = weight_files(world.model)
    method = "hyperprune" if network else "wanda"
    config: dict[str, object] = {"method": method, "pattern": str(world.pattern), "seed": 0, "prefix": "auto"}
    if network:
        config["hyperprune"] = {
            "training": {"outlier_weight": 0.1, "continual_weight": continual_weight},
            "chooser": {"prior_strength": 3.0, "layer_embedding": True, "component_embedding": True},
        }
    coverage = [
        {
            "name": name_of(block, local),
            "block": block,
            "shape": list(shape),
            "parameters": shape[0] * shape[1],
            "status": "pruned",
            "reason": "",
            "pattern": str(world.pattern),
        }
        for block in range(blocks)
        for local, shape in SHAPES.items()
    ]
    model = {
        "name": str(world.model),
        "sha256": weights_digest(files)[0],
        "dtype": "float32",
        "revision": None,
    }
    yield ev.RunStarted(config, {}, model, {"ids_sha256": "c" * 64}, coverage, ["layers", "audit"])
    yield ev.EvaluationFinished(
        "dense", "suite", {"nats": 1.0}, {"window": 8, "tokens": 64, "text_sha256": ["t"]}
    )
    yield ev.StageStarted("layers", blocks)
    for block in range(decided):
        yield from _block(world, block, full, network, continual_weight)
    if decided < blocks:
        return
    yield ev.StageStarted("audit", blocks)
    for module in world.weights:
        parts = {"local": 0.2, "inherited": 0.1, "cross": -0.05, "total": 0.25}
        block = int(module.split(".")[2])
        yield ev.ModuleMeasured(
            "audit", block, module, {f"error_rel_{key}": value for key, value in parts.items()}
        )
    if finish:
        yield ev.RunFinished({})


def _block(
    world: World, block: int, full: bool, network: bool, continual_weight: float
) -> Iterator[ev.Event]:
    yield ev.BlockStarted("layers", block)
    if network:
        for step in range(4):
            yield ev.StepMeasured("layers", block, step, 4, step_values(step, 4, continual_weight))
    for key, readers in INPUTS.items():
        first = name_of(block, readers[0])
        gram, width = world.gram(first), SHAPES[readers[0]][1]
        group = world.pattern.group
        blocks = gram.reshape(width // group, group, width // group, group)
        arrays = {
            "channel_rms": world.rms(first).astype(np.float32),
            "channel_mean": world.tokens[block, key].mean(0).astype(np.float32),
            "gram_diagonal": np.diag(gram).astype(np.float32),
        }
        if full:
            which = np.arange(width // group)
            arrays["gram_blocks"] = blocks[which, :, which].astype(np.float32)
        names = tuple(name_of(block, local) for local in readers)
        yield ev.InputMeasured(
            "layers", block, key, names, {"tokens": float(TOKENS), "condition": 10.0}, arrays
        )
    for local in SHAPES:
        yield _decided(world, block, name_of(block, local), full)
    arrays = {}
    if network:
        yield ev.ForgettingMeasured(block, forgetting_rows(block + 1)[-1])
        turn = np.array(
            [[np.cos(0.3 * block), np.sin(0.3 * block)], [-np.sin(0.3 * block), np.cos(0.3 * block)]]
        )
        points = np.zeros((3, 4))
        points[:, 1:3] = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, -2.0]]) @ turn
        arrays = {
            f"layer_embedding/{world.pattern}": points,
            f"component_embedding/{world.pattern}": np.ones((3, 4)),
        }
    yield ev.BlockFinished("layers", block, 1.0, 1 << 20, {}, arrays)


def _decided(world: World, block: int, module: str, full: bool) -> ev.ModuleDecided:
    weight, mask, gram = world.weights[module].astype(np.float64), world.masks[module], world.gram(module)
    lost = weight * ~mask
    energy = np.trace(weight @ gram @ weight.T)
    parts = (lost @ gram) * lost / energy
    squares = weight**2
    scalars = {
        "error_rel": relative(lost, weight, gram),
        "error_rel_heldout": 1.25 * relative(lost, weight, gram),
        "error_rel_wanda": relative(weight * ~world.wanda[module], weight, gram),
        "error_rel_magnitude": relative(weight * ~world.magnitude[module], weight, gram),
        "decided_by_network": 1.0,
        "changed_from_prior": 0.25,
    }
    arrays = {
        "row_errors": parts.sum(1),
        **_row_moments(weight, lost, gram, full),
        "channel_shares": parts.sum(0),
        "channel_kept_energy": ((squares * mask).sum(0) / squares.sum(0)).astype(np.float32),
        "channel_keep_rate_wanda": world.wanda[module].mean(0).astype(np.float32),
        "channel_keep_rate_magnitude": world.magnitude[module].mean(0).astype(np.float32),
    }
    if world.pattern.enumerable:
        ids = world.pattern.ids(mask).ravel()
        arrays["pattern_histogram"] = np.bincount(ids, minlength=world.pattern.count)
    if full:
        arrays |= {"mask_wanda": pack(world.wanda[module]), "mask_magnitude": pack(world.magnitude[module])}
    return ev.ModuleDecided("layers", block, module, str(world.pattern), mask, scalars, arrays)


def _row_moments(weight: np.ndarray, lost: np.ndarray, gram: np.ndarray, full: bool) -> dict[str, np.ndarray]:
    """Left out of light worlds, as of records from before they were written."""
    if not full:
        return {}
    energy = np.trace(weight @ gram @ weight.T)
    parts = {"row_energies": weight @ gram * weight, "row_error_covariances": weight @ gram * lost}
    return {name: (part.sum(1) / energy).astype(np.float32) for name, part in parts.items()}
