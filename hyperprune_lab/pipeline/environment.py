"""Where a run happened: versions, device, threads, and how much memory it took.

Knows nothing about models or methods.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from typing import Any

import numpy
import safetensors
import torch
import transformers

import hyperprune_lab
from hyperprune_lab.errors import UserError


def choose_device(name: str) -> torch.device:
    """``auto`` is the first GPU, else the CPU; raises ``UserError`` for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}: use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is available here: use --device cpu")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise UserError(f"{name}: there are only {torch.cuda.device_count()} CUDA devices here, from cuda:0")
    return device


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and hardware, for the record."""
    return {
        "hyperprune_lab": hyperprune_lab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
        "numpy": numpy.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def peak_memory(device: torch.device) -> int:
    """Bytes: the GPU allocator's peak on CUDA, else the process's largest resident size."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
