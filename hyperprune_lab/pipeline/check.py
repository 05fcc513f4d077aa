"""The look before a run: what will be pruned and what not, what it will take, and what stands in its way.

Knows nothing about how a run does its work. Weights are not read; nothing is computed but a short measurement of this
machine's speed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hyperprune_lab.calibration.sources import HUB_NAMES
from hyperprune_lab.calibration.windows import DEFAULT_WINDOW, choose_window, load_calibration
from hyperprune_lab.doctor import linear_gflops
from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.texts import evaluation_texts, evaluation_windows
from hyperprune_lab.hypernet.settings import HyperPruneSettings
from hyperprune_lab.methods.registry import method
from hyperprune_lab.models.coverage import Coverage, coverage
from hyperprune_lab.models.open import DTYPES, quick_type
from hyperprune_lab.models.sketch import Sketch, sketch_model
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline import forecast
from hyperprune_lab.pipeline.budget import evaluation_budget, windows_read
from hyperprune_lab.pipeline.config import RunConfig, faults
from hyperprune_lab.pipeline.environment import choose_device
from hyperprune_lab.pipeline.run import FULL_EVIDENCE_BELOW, settings_of, stages_of

Tell = Callable[[str, float | None], None]
_CALIBRATION_SECONDS = 0.8
_HUB_TOKENS = 256 * DEFAULT_WINDOW


@dataclass
class Findings:
    """What was found so far: ``blockers`` and ``warnings`` each name the field at fault."""

    blockers: list[dict[str, str]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """A person's mistake inside the block is a blocker of the field ``name``."""
        try:
            yield
        except UserError as error:
            self.block(name, str(error))

    def block(self, name: str, message: str) -> None:
        """The run cannot begin like this."""
        self.blockers.append({"field": name, "message": message})

    def warn(self, name: str, message: str) -> None:
        """It can, but a person should know."""
        self.warnings.append({"field": name, "message": message})


@dataclass(frozen=True, eq=False)
class Data:
    """Tokens that the run will read."""

    window: int
    fit: int
    heldout: int
    evaluated: int
    source: str


def check(
    settings: Mapping[str, Any],
    out: Path | str | None = None,
    runs: Iterable[Path | str] = (),
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Look at a run before it starts; plain values, ready for JSON.

    ``settings`` are those of ``RunConfig.to_json`` (what is left out has its default), ``out`` is the folder that the
    run would write, ``runs`` are folders of earlier runs whose times may be taken as a guide. Every mistake of input is
    among ``blockers`` (``field``, ``message``); parts that could not be looked at because of them are None.
    """
    tell = tell or (lambda _text, _share: None)
    found = Findings()
    answer: dict[str, Any] = dict.fromkeys(("model", "coverage", "data", "memory", "seconds", "disk"))
    config = _config(settings, found)
    if config is not None:
        tell("looking at the model", 0.1)
        _look(config, out, list(runs), found, answer, tell)
    _check_out(out, found)
    return {"ok": not found.blockers, "blockers": found.blockers, "warnings": found.warnings, **answer}


def _look(
    config: RunConfig,
    out: Path | str | None,
    runs: list[Path | str],
    found: Findings,
    answer: dict[str, Any],
    tell: Tell,
) -> None:
    """Everything that needs a configuration without mistakes of its own."""
    own: HyperPruneSettings | None = None
    with found.at("method"):
        if config.method != "hyperprune":
            method(config.method)
    with found.at("preset"):
        own = settings_of(config)
    device = torch.device("cpu")
    with found.at("device"):
        device = choose_device(config.device)
    sketch = _sketch(config, found)
    if sketch is None:
        return
    dtype = config.dtype or quick_type(sketch.stored_dtype, device)
    if dtype not in DTYPES:
        found.block("dtype", f"There is no data type {dtype!r}: choose {', '.join(DTYPES)}.")
        return
    covered = _coverage(config, sketch, found)
    tell("looking at the texts", 0.3)
    data = _data(config, sketch, found)
    if covered is None:
        return
    blocks = 1 + max((row.block for row in covered.rows if row.block is not None), default=-1)
    answer["model"] = {
        "name": config.model,
        "architecture": type(sketch.model).__name__,
        "parameters": covered.total_parameters,
        "blocks": blocks,
        "dtype": dtype,
        "stored_dtype": sketch.stored_dtype,
        "context": sketch.context,
        "downloaded": sketch.complete,
    }
    answer["coverage"] = coverage_json(covered)
    if data is None:
        return
    answer["data"] = {"source": data.source, "window": data.window, "samples": data.fit + data.heldout}
    answer["data"] |= {"heldout": data.heldout, "tokens": (data.fit + data.heldout) * data.window}
    if found.blockers:
        return
    facts = forecast.facts_of(
        covered, sketch.model, dtype, data.window, data.fit, data.heldout, data.evaluated
    )
    answer["memory"] = _memory(facts, config, own, device, found)
    answer["disk"] = _disk(facts, config, own, out, sketch, found)
    tell("measuring this machine", 0.6)
    answer["seconds"] = _seconds(facts, config, own, device, dtype, runs)


def _config(settings: Mapping[str, Any], found: Findings) -> RunConfig | None:
    """The configuration; None where some field is at fault."""
    mistakes = faults(settings)
    for name, message in mistakes:
        found.block(name, message)
    return None if mistakes else RunConfig.from_json(dict(settings))


def _sketch(config: RunConfig, found: Findings) -> Sketch | None:
    with found.at("model"):
        sketch = sketch_model(config.model, config.trust_remote_code)
        if not sketch.complete:
            found.warn("model", f"{config.model} has to be downloaded first: that takes its own time.")
        return sketch
    return None


def _coverage(config: RunConfig, sketch: Sketch, found: Findings) -> Coverage | None:
    pattern = NMPattern.parse(config.pattern)
    covered: Coverage | None = None
    try:
        covered = coverage(sketch.model, pattern, config.overrides)
    except UserError as error:
        try:
            coverage(sketch.model, pattern)
        except UserError as alone:
            found.block("pattern", str(alone))
            if str(alone) != str(error):
                found.block("overrides", str(error))
        else:
            found.block("overrides", str(error))
        return None
    if not covered.patterns:
        found.block("overrides", f"{config.model}: nothing is left to prune; relax the overrides.")
    missed = sum(row.parameters for row in covered.rows if row.status == "not covered")
    if missed:
        found.warn("model", f"{missed:,} parameters cannot be reached: see the exclusions.")
    return covered


def _data(config: RunConfig, sketch: Sketch, found: Findings) -> Data | None:
    """What the run will read; texts on the hub are not fetched for this."""
    chosen = config.calibration
    window = 0
    with found.at("calibration.window"):
        window = choose_window(chosen.window, sketch.context)
    if not window:
        return None
    evaluated = _HUB_TOKENS
    with found.at("eval_text"):
        if config.eval_text not in HUB_NAMES:
            windows = evaluation_windows(evaluation_texts(config.eval_text), sketch.tokenizer, window)
            evaluated = sum(
                part.ids.numel() for part in windows_read(windows, evaluation_budget(config).windows)
            )
    if chosen.text in HUB_NAMES:
        heldout = max(1, round(chosen.samples * chosen.holdout))
        return Data(window, chosen.samples - heldout, heldout, evaluated, str(chosen.text))
    with found.at("calibration.text"):
        calibration = load_calibration(chosen, sketch.tokenizer, sketch.context, config.seed)
        if calibration.notice is not None:
            found.warn("calibration.samples", calibration.notice)
        if not len(calibration.heldout):
            found.warn(
                "calibration.samples", "No window is held out: nothing can be chosen by what was not seen."
            )
        counts = len(calibration.fit), len(calibration.heldout)
        return Data(window, *counts, evaluated, str(calibration.identity["source"]))
    return None


def coverage_json(covered: Coverage) -> dict[str, Any]:
    """Coverage as plain values: rows that differ only in their ``blocks`` are one; what is left out has its reason."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in covered.rows:
        name = row.name if row.block is None else row.name.replace(f".{row.block}.", ".*.", 1)
        pattern = None if row.pattern is None else str(row.pattern)
        key = (name, row.shape, row.status, row.reason, pattern)
        one = rows.setdefault(
            key,
            {
                "name": row.name,
                "blocks": [],
                "shape": list(row.shape),
                "status": row.status,
                "reason": row.reason,
                "pattern": pattern,
                "times": 0,
                "parameters": 0,
            },
        )
        one["times"] += 1
        one["name"] = name if one["times"] > 1 else row.name
        one["blocks"] += [] if row.block is None else [row.block]
        one["parameters"] += row.parameters
    return {
        "linears": len(covered.patterns),
        "pruned_parameters": covered.pruned_parameters,
        "total_parameters": covered.total_parameters,
        "share": covered.share,
        "rows": list(rows.values()),
        "excluded": [one for one in rows.values() if one["status"] != "pruned"],
    }


def _memory(
    facts: forecast.Facts,
    config: RunConfig,
    own: HyperPruneSettings | None,
    device: torch.device,
    found: Findings,
) -> dict[str, Any]:
    parts = forecast.memory_needed(facts, config, own)
    needed, available = sum(parts.values()), forecast.memory_available(device)
    text = f"About {_size(needed)} of memory are needed on {device}"
    if available is not None and 0.7 * needed > available:
        found.block(
            "device", f"{text}, {_size(available)} are free: choose another device or a smaller model."
        )
    elif available is not None and 1.2 * needed > available:
        found.warn("device", f"{text}, {_size(available)} are free: that may just not be enough.")
    return {"needed_bytes": round(needed), "available_bytes": available, "device": str(device)} | {
        "parts": {name: round(size) for name, size in parts.items()}
    }


def _disk(
    facts: forecast.Facts,
    config: RunConfig,
    own: HyperPruneSettings | None,
    out: Path | str | None,
    sketch: Sketch,
    found: Findings,
) -> dict[str, Any]:
    full = config.evidence == "full" or (
        config.evidence == "auto" and facts.total_parameters < FULL_EVIDENCE_BELOW
    )
    needed = forecast.disk_needed(facts, config, own, full)
    folder = _existing(Path.cwd() if out is None else Path(out))
    available = shutil.disk_usage(folder).free
    if needed > available:
        text = f"The record needs about {_size(needed)}, {_size(available)} are free in {folder}"
        found.block("out", f"{text}: free some space or write it elsewhere.")
    elif not sketch.complete:
        found.warn("out", "The model's download takes room of its own.")
    return {"needed_bytes": round(needed), "available_bytes": available, "folder": str(folder)}


def _seconds(
    facts: forecast.Facts,
    config: RunConfig,
    own: HyperPruneSettings | None,
    device: torch.device,
    dtype: str,
    runs: list[Path | str],
) -> dict[str, Any]:
    stages = stages_of(config, own)
    gflops = linear_gflops(str(device), DTYPES[dtype], seconds=_CALIBRATION_SECONDS)
    by_stage = forecast.calculated(forecast.work(facts, config, own, stages), gflops)
    basis, like = "calculation", None
    known = forecast.like_recorded(config, config.model, device, runs)
    if known is not None:
        recorded, like = known
        by_stage |= {stage: recorded[stage] for stage in stages if stage in recorded}
        basis = "a run like it"
    # Opening the model and looking at the dense one come before the first stage.
    look = forecast.work(facts, config, None, ["evaluation"])["evaluation"] / 3 / (gflops * 1e9)
    start = (1.0 + 0.5 * look, 8.0 + 2.5 * look)
    low, high = (start[side] + sum(by_stage[stage][side] for stage in stages) for side in (0, 1))
    return {
        "low": low,
        "high": high,
        "stages": {stage: list(by_stage[stage]) for stage in stages},
        "basis": basis,
        "like": like,
        "gflops": gflops,
        "threads": torch.get_num_threads(),
    }


def _check_out(out: Path | str | None, found: Findings) -> None:
    if out is None:
        return
    path = Path(out)
    if os.path.lexists(path):
        found.block("out", f"{path} exists: choose another output directory, or delete this one.")
    elif not os.access(_existing(path), os.W_OK):
        found.block("out", f"{_existing(path)} cannot be written: choose another output directory.")


def _existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            return folder
    return Path.cwd()


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
