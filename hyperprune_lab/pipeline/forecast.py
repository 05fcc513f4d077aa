"""What a run will take: memory, seconds by stage, disk; from shapes, budgets and what runs on this machine took.

Knows nothing about what a person should do about it. Everything is an estimate and given as a range: time is counted
in floating point operations over the speed that a product of matrices reaches here, and products are not all that a run
does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hyperprune_lab.analysis.pace import stage_seconds
from hyperprune_lab.errors import UserError
from hyperprune_lab.hypernet.settings import HyperPruneSettings
from hyperprune_lab.models.coverage import Coverage
from hyperprune_lab.pipeline import damage
from hyperprune_lab.pipeline.budget import ladder_settings
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.record.store import Store
from hyperprune_lab.shelf import ShelfEntry, shelf

Range = tuple[float, float]
BASE_BYTES = 450 << 20
"""A process with the libraries loaded and no model."""
UNSURE = (0.5, 2.5)
"""How far a calculated time may lie from the true one."""
ALIKE = (0.8, 1.4)
"""How far the time of a run may lie from that of one like it on the same machine."""
_SLOWER = 1.6
_SHARING = 0.6
"""Distinct inputs per linear: attention's three share one, and so do a gated layer's two."""
_SAME = (
    "method",
    "preset",
    "pattern",
    "objective",
    "budget",
    "compensation",
    "calibration",
    "dtype",
    "overrides",
)


@dataclass(frozen=True)
class Linear:
    """A linear to prune: its shape, and how many masks a group of ``group`` inputs has (0: too many to list)."""

    out: int
    inputs: int
    group: int
    masks: int

    @property
    def weights(self) -> int:
        return self.out * self.inputs

    @property
    def groups(self) -> int:
        return self.weights // self.group

    @property
    def solving(self) -> float:
        """Operations of one pass of its weights over its Gram matrix."""
        return 2.0 * self.out * self.inputs * self.inputs


@dataclass(frozen=True)
class Facts:
    """What the estimates are made of, ``parameters`` and ``linears`` by block.

    ``fit`` and ``heldout`` count windows, ``head`` the parameters of the output head, ``evaluated`` the tokens of one
    look at the evaluation texts.
    """

    parameters: tuple[int, ...]
    linears: tuple[tuple[Linear, ...], ...]
    head: int
    hidden: int
    vocabulary: int
    total_parameters: int
    bytes_per_weight: int
    window: int
    fit: int
    heldout: int
    evaluated: int

    @property
    def blocks(self) -> int:
        return len(self.parameters)

    @property
    def in_blocks(self) -> int:
        """Parameters of all blocks."""
        return sum(self.parameters)

    @property
    def all_linears(self) -> list[Linear]:
        """The pruned linears of all blocks."""
        return [linear for block in self.linears for linear in block]

    @property
    def pruned(self) -> int:
        """Weights under masks."""
        return sum(linear.weights for linear in self.all_linears)

    @property
    def groups(self) -> int:
        """Groups to decide."""
        return sum(linear.groups for linear in self.all_linears)

    @property
    def squares(self) -> float:
        """Entries of the Gram matrices of all distinct inputs."""
        return _SHARING * sum(linear.inputs**2 for linear in self.all_linears)


def facts_of(
    covered: Coverage, model: Any, dtype: str, window: int, fit: int, heldout: int, evaluated: int
) -> Facts:
    """The facts about a model (or its sketch) and the data."""
    blocks = 1 + max((row.block for row in covered.rows if row.block is not None), default=-1)
    parameters = [0] * blocks
    linears: list[list[Linear]] = [[] for _ in range(blocks)]
    for row in covered.rows:
        if row.block is None:
            continue
        parameters[row.block] += row.parameters
        if row.pattern is not None:
            masks = row.pattern.count if row.pattern.enumerable else 0
            linears[row.block].append(Linear(row.shape[0], row.shape[1], row.pattern.group, masks))
    config = model.config.get_text_config()
    vocabulary, hidden = int(config.vocab_size), int(model.get_input_embeddings().weight.shape[1])
    return Facts(
        tuple(parameters),
        tuple(tuple(block) for block in linears),
        vocabulary * hidden,
        hidden,
        vocabulary,
        covered.total_parameters,
        torch.finfo(getattr(torch, dtype)).bits // 8,
        window,
        fit,
        heldout,
        evaluated,
    )


def memory_needed(facts: Facts, config: RunConfig, settings: HyperPruneSettings | None) -> dict[str, float]:
    """Bytes by what holds them, on the device that the run computes on (all but ``program`` on a GPU)."""
    window, size = facts.window, facts.bytes_per_weight
    batch = min(16, max(1, facts.fit))
    largest = max((sum(one.inputs**2 for one in block) for block in facts.linears), default=0)
    parts = {
        "program": float(BASE_BYTES),
        "model": float(facts.total_parameters * size),
        "dense copy": float(facts.in_blocks * size),
        "activations": 3.0 * (facts.fit + facts.heldout) * window * facts.hidden * size,
        "statistics": 2.0 * 4 * _SHARING * largest,
        "logits": min(512 << 20, facts.evaluated * facts.vocabulary * size)
        + 3.0 * 4 * batch * window * facts.vocabulary,
    }
    if config.compensation != "none":
        widest = max(facts.parameters, default=0)
        parts["compensation"] = 4.0 * facts.pruned + 16.0 * widest + 24.0 * 4 * batch * window * facts.hidden
    if settings is not None:
        contexts = sum(4.0 * (3 * one.weights + one.groups * one.masks) for one in facts.all_linears)
        held = 2.0 * 4 * facts.squares + contexts
        learning = 4.0 * facts.groups * settings.chooser.hidden * 6 * bool(settings.model_stage.steps)
        parts["network"] = held + learning
    return parts


def memory_available(device: torch.device) -> int | None:
    """Bytes that are free on the device now, within the limits of a container; None where nothing says so."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        if limit.isdigit():
            free.append(max(0, int(limit) - int(used)))
    except (OSError, ValueError):
        pass
    if not free and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(free, default=None)


def disk_needed(facts: Facts, config: RunConfig, settings: HyperPruneSettings | None, full: bool) -> float:
    """Bytes of the record at its largest: masks, evidence, compensated weights, and two checkpoints with both."""
    deciding = 1 + int(settings is not None and settings.model_stage.steps > 0)
    masks = facts.pruned / 8
    evidence = sum(
        4.0 * one.out + 24.0 * one.inputs + (one.weights / 4 + 4.0 * one.group * one.inputs) * full
        for one in facts.all_linears
    )
    weights = 4.0 * facts.in_blocks * (config.compensation != "none") * (1 + int(settings is not None))
    network = 4.0 * 2_000_000 * (settings is not None)
    checkpoint = 5 * masks + weights + 3 * network
    return 2e6 + deciding * (masks + evidence) + weights + network + 2 * checkpoint


def work(
    facts: Facts, config: RunConfig, settings: HyperPruneSettings | None, stages: Iterable[str]
) -> dict[str, float]:
    """Floating point operations by stage."""
    window, tokens = facts.window, (facts.fit + facts.heldout) * facts.window
    forward, with_head = 2.0 * facts.in_blocks, 2.0 * (facts.in_blocks + facts.head)
    # Continuations and probes run over a few short texts again and again.
    look = 1.2 * facts.evaluated * with_head
    ladder = ladder_settings(config)
    refits = ladder.block_steps * len(ladder.block_rates) if config.compensation in ("block", "model") else 0
    rounds = ladder.model_steps * len(ladder.model_rates) if config.compensation == "model" else 0
    solve = 15 * sum(one.solving for one in facts.all_linears)
    step = min(ladder.batch, max(1, facts.fit)) * window
    climb = (
        3 * tokens * forward
        + solve
        + 3 * refits * step * forward
        + 4 * len(ladder.block_rates) * tokens * forward
    ) + 3 * rounds * step * with_head
    found: dict[str, float] = {}
    for stage in stages:
        if stage == "layers":
            found[stage] = (
                tokens * forward + 2.0 * tokens * facts.squares + _deciding(facts, config, settings)
            )
        elif stage == "model":
            assert settings is not None
            found[stage] = _learning(facts, settings, with_head)
        elif stage.startswith("compensation"):
            found[stage] = climb
        elif stage == "audit":
            found[stage] = 4.0 * min(8, facts.heldout or facts.fit) * window * forward
        elif stage == damage.STAGE:
            per_token = damage.work_per_token(list(facts.parameters), [len(block) for block in facts.linears])
            heads = 2.0 * facts.head * len(facts.all_linears)
            found[stage] = damage.TOKENS[config.budget] * (per_token + heads)
        else:
            states = 3 + 2 * (settings is not None) + (config.compensation != "none")
            found[stage] = states * look
    return found


def _deciding(facts: Facts, config: RunConfig, settings: HyperPruneSettings | None) -> float:
    """What the method itself does to every linear, in the layer-wise stage."""
    cubic = sum(one.solving for one in facts.all_linears)
    evidence = 6.0 * cubic
    if settings is None:
        passes = {"magnitude": 0.1, "wanda": 0.1, "sparsegpt": 25.0, "descent": 12.0, "alps": 200.0}
        return evidence + passes.get(config.method, 12.0) * cubic
    per_group = 2.0 * (settings.chooser.hidden * 40 + settings.chooser.depth * settings.chooser.hidden**2)
    training = settings.training
    step = sum(
        training.rows * (3.0 * one.inputs / one.group * per_group + 6.0 * one.inputs**2)
        for one in facts.all_linears
    )
    looks = (training.looks + 2) if training.choose_best else 1
    prior = {"none": 0.0, "sparsegpt": 25.0, "alps": 200.0}.get(settings.prior, 12.0)
    return (
        evidence
        + 3.0 * prior * cubic
        + 9.0 * training.steps * step
        + looks * (facts.groups * per_group + cubic)
    )


def _learning(facts: Facts, settings: HyperPruneSettings, with_head: float) -> float:
    stage = settings.model_stage
    per_group = 2.0 * (settings.chooser.hidden * 60 + settings.chooser.depth * settings.chooser.hidden**2)
    prepared = 3.0 * min(stage.gradient_sequences, facts.fit) * facts.window * with_head
    step = 3.0 * stage.batch * facts.window * with_head + 6.0 * facts.groups * per_group
    heldout = facts.heldout * facts.window * with_head + facts.groups * per_group
    return stage.rounds * (prepared + stage.steps * step + (stage.looks + 1) * heldout)


def calculated(operations: Mapping[str, float], gflops: float) -> dict[str, Range]:
    """Seconds by stage at this speed of a product of matrices, which a run as a whole does not reach."""
    seconds = {stage: _SLOWER * count / (gflops * 1e9) + 0.3 for stage, count in operations.items()}
    return {stage: (UNSURE[0] * value, UNSURE[1] * value) for stage, value in seconds.items()}


def like_recorded(
    config: RunConfig, model: str, device: torch.device, folders: Iterable[Path | str]
) -> tuple[dict[str, Range], str] | None:
    """Seconds by stage of the newest finished run with the same settings on the same kind of machine, and its path."""
    wanted = config.to_json()
    for entry in sorted(shelf(folders), key=lambda one: -(one.started or 0.0)):
        if entry.state != "finished" or entry.model != model:
            continue
        found = _same_run(entry, wanted, device)
        if found is not None:
            return found, str(entry.path)
    return None


def _same_run(entry: ShelfEntry, wanted: Mapping[str, Any], device: torch.device) -> dict[str, Range] | None:
    try:
        store = Store(entry.path)
        started, here = store.config, store.environment
        if any(started.get(name) != wanted[name] for name in _SAME) or store.generation:
            return None
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        if here.get("device") != name or here.get("cores") != os.cpu_count():
            return None
        seconds = stage_seconds(store)
    except UserError:
        return None
    threads = here.get("threads")
    slower = max(1.0, threads / torch.get_num_threads()) if isinstance(threads, int) else 1.0
    return {stage: (ALIKE[0] * value, ALIKE[1] * slower * value) for stage, value in seconds.items()}
