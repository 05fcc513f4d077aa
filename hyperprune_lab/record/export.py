"""A run's tables as Parquet files and its final masks as one safetensors file, for other tools.

Knows nothing about what the tables are used for.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.masks import write_masks
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.values import encode


def export(run_path: Path | str, folder: Path | str) -> list[Path]:
    """Write ``<table>.parquet`` for every table of the run, and ``masks.safetensors``; returns the files.

    Masks stay bit-packed: input ``8 b + k`` is bit ``k`` of byte ``b``; pattern and shape stand in the
    metadata. Nested values (a protocol, a list of modules) become JSON text.

    Raises:
        UserError: no run, or the folder exists.
    """
    run, folder = open_run(run_path), Path(folder)
    tables = {
        "events": pd.DataFrame([vars(event) for event in run.events()]),
        "metrics": run.metrics(),
        "modules": run.modules(),
        "inputs": run.inputs(),
        "blocks": run.blocks(),
        "evaluations": run.evaluations(),
        "coverage": run.coverage(),
    }
    if folder.exists():
        raise UserError(f"{folder} exists: choose another folder for the export.")
    folder.mkdir(parents=True)
    files = []
    for name, table in tables.items():
        files.append(folder / f"{name}.parquet")
        _flat(table).to_parquet(files[-1], index=False)
    files.append(folder / "masks.safetensors")
    write_masks(files[-1], dict(run.final_masks()))
    return files


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of nested values as JSON text; Parquet would guess a type from the first row."""
    flat = table.copy()
    for name in flat.columns:
        if flat[name].map(lambda value: isinstance(value, dict | list)).any():
            flat[name] = flat[name].map(lambda value: None if value is None else encode(value))
    return flat
