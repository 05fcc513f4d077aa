"""The check-up: is this machine fit for the project, and what to do where it is not.

Knows nothing about how findings are shown; imports torch and friends only to look at them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

PROJECT = "hyperprune-lab"
REINSTALL = 'run `make setup`, or `pip install -c constraints.txt -e ".[prune,ui,hub,dev]"`'

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the check-up; ``advice`` is the way out, empty where all is well."""

    name: str
    status: Status
    value: str
    advice: str = ""


def examine() -> list[Finding]:
    """All findings, in reading order. A check that itself breaks is a finding, never an exception."""
    checks = (
        check_python,
        check_packages,
        check_device,
        check_bf16,
        check_front_end,
        check_embedded_model,
        check_disk,
    )
    return [finding for check in checks for finding in _guarded(check)]


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # a broken installation breaks in ways of its own
        name = check.__name__.removeprefix("check_").replace("_", " ")
        yield Finding(name, "fail", f"{type(error).__name__}: {error}", REINSTALL)


def check_python() -> Iterator[Finding]:
    """Python itself; an older one than the project supports cannot even import this file."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.prefix}")


def check_packages() -> Iterator[Finding]:
    """Each requirement of the installed project, by its extra: missing, wrong version or fine."""
    from packaging.requirements import Requirement

    try:
        requirements = metadata.requires(PROJECT) or []
    except metadata.PackageNotFoundError:
        yield Finding(PROJECT, "warn", "runs from its folder without being installed", REINSTALL)
        return
    yield Finding(PROJECT, "ok", metadata.version(PROJECT))
    for line in requirements:
        requirement = Requirement(line)
        name, wanted = requirement.name, requirement.specifier
        extra = line.partition("extra ==")[2].strip(" \"'")
        trouble: Status = "warn" if extra else "fail"
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, trouble, f"missing{f' (extra {extra})' if extra else ''}", REINSTALL)
            continue
        if wanted.contains(version, prereleases=True):
            yield Finding(name, "ok", version)
        else:
            yield Finding(name, trouble, f"{version}, but {wanted} is needed", REINSTALL)


def check_device() -> Iterator[Finding]:
    """Where runs compute by default."""
    if find_spec("torch") is None:
        yield Finding("device", "warn", "no torch: records can be read here, runs cannot be made", REINSTALL)
        return
    import torch

    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        yield Finding("device", "ok", f"cuda: {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        yield Finding("device", "ok", f"cpu: {cores} cores, {torch.get_num_threads()} threads")


def check_bf16() -> Iterator[Finding]:
    """Speed of a linear layer in bf16 against fp32, on the device that runs use."""
    if find_spec("torch") is None:
        return
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    single, half = (linear_gflops(device, dtype) for dtype in (torch.float32, torch.bfloat16))
    value = f"{half:.1f} GFLOP/s, fp32 {single:.1f}"
    if half < single:
        advice = "bf16 is slower than fp32 on this machine: add --dtype float32 to your runs"
        yield Finding("bf16 speed", "warn", value, advice)
    else:
        yield Finding("bf16 speed", "ok", value)


def linear_gflops(device: str, dtype: torch.dtype, width: int = 512, seconds: float = 0.1) -> float:
    """Billions of operations a second of a linear layer [width, width] on [width, width] inputs."""
    import torch
    from torch.nn.functional import linear

    x = torch.ones(width, width, device=device, dtype=dtype)
    linear(x, x)[0, 0].item()
    layers, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        linear(x, x)[0, 0].item()
        layers += 1
    return layers * 2 * width**3 / elapsed / 1e9


def check_front_end() -> Iterator[Finding]:
    """Whether JupyterLab has the browser half of each widget package, at the kernel half's version."""
    try:
        import jupyterlab  # noqa: F401
    except ImportError:
        yield Finding("notebooks", "warn", "JupyterLab is not installed", REINSTALL)
        return
    server = shutil.which("jupyter-lab")
    if server is not None and Path(server).parent != Path(sys.executable).parent:
        advice = f"start it with `hyperprune-lab lab`, or run `{sys.executable} -m jupyterlab`"
        yield Finding("jupyter-lab", "warn", f"{server} belongs to another environment", advice)
    wanted = {
        "ipywidgets": ("jupyterlab_widgets", "@jupyter-widgets/jupyterlab-manager"),
        "anywidget": ("anywidget", "anywidget"),
    }
    for kernel_half, (carrier, extension) in wanted.items():
        name = f"{kernel_half} in JupyterLab"
        manifest = Path(sys.prefix, "share/jupyter/labextensions", extension, "package.json")
        if not manifest.is_file():
            yield Finding(name, "fail", "its browser half is missing: widgets would stay blank", REINSTALL)
            continue
        found = json.loads(manifest.read_text(encoding="utf-8"))["version"]
        yield from _compare_halves(name, kernel_half, carrier, found)


def _compare_halves(name: str, kernel_half: str, carrier: str, found: str) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    value = f"{kernel_half} {metadata.version(kernel_half)}, browser half {found}"
    if carrier == kernel_half:
        fits = found.split(".")[:2] == metadata.version(kernel_half).split(".")[:2]
    else:
        needs = [Requirement(line) for line in metadata.requires(kernel_half) or []]
        there = metadata.version(carrier)
        fits = all(need.specifier.contains(there) for need in needs if need.name == carrier)
    if fits:
        yield Finding(name, "ok", value)
    else:
        yield Finding(name, "fail", f"{value}: they do not fit", REINSTALL)


def check_embedded_model() -> Iterator[Finding]:
    """The model that comes with the project, and the digest of its weights."""
    from hyperprune_lab.folders import EMBEDDED, data_folder

    weights = data_folder() / "models" / EMBEDDED / "model.safetensors"
    if not weights.is_file():
        advice = "check the project out again; the other commands work with --model NAME"
        yield Finding("embedded model", "fail", f"{weights} is missing", advice)
        return
    content = weights.read_bytes()
    value = f"{len(content) / 1e6:.1f} MB, sha256 {hashlib.sha256(content).hexdigest()[:16]}…"
    if len(content) < 1_000_000:
        advice = "the file is a stub: check the project out again"
        yield Finding("embedded model", "fail", value, advice)
    else:
        yield Finding("embedded model", "ok", value)


def check_disk() -> Iterator[Finding]:
    """Room for records in the current folder."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    value = f"{free:.1f} GiB free in {Path.cwd()}"
    if free < 2:
        status: Status = "fail" if free < 0.2 else "warn"
        yield Finding("disk", status, value, "free some space, or write records elsewhere with --out")
    else:
        yield Finding("disk", "ok", value)
