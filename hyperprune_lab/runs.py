"""Recorded runs by a short name: the examples of the project, the newest in a folder; and folders for new ones.

Knows nothing about what is in a run; needs no torch.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import data_folder
from hyperprune_lab.record.layout import DATABASE

if TYPE_CHECKING:
    from hyperprune_lab.record.reader import Run

EXAMPLES = "runs"
NEW = "runs"
"""The folder in a project that new runs are written to."""
_MARKS_OF_A_PROJECT = ("pyproject.toml", ".git")


def example(name: str = "hyperprune") -> Run:
    """A finished run of the embedded model that comes with the project, opened for reading.

    Raises:
        UserError: there is no such example; the message lists those that there are.
    """
    from hyperprune_lab.record.reader import open_run

    shelf = data_folder() / EXAMPLES
    known = sorted(path.parent.name for path in shelf.glob(f"*/{DATABASE}"))
    if name not in known:
        there = f"There are: {', '.join(known)}." if known else f"{shelf} holds none."
        raise UserError(f"There is no example run {name!r}. {there}")
    return open_run(shelf / name)


def latest(folder: Path | str) -> Run:
    """The run in ``folder`` that was written to last, running or not.

    Raises:
        UserError: there is no run in it.
    """
    from hyperprune_lab.record.reader import open_run

    databases = list(Path(folder).expanduser().glob(f"*/{DATABASE}"))
    if not databases:
        raise UserError(f"There is no run in {folder}. A run is what `prune --out` leaves behind.")
    return open_run(max(databases, key=_written).parent)


def new_folder(parent: Path | str, *words: str) -> Path:
    """A folder in ``parent`` that is not there yet, whose name says when and what: ``20260131-093000-wanda-2of4``.

    A colon is no good in file names: a pattern's becomes ``of``.
    """
    name = "-".join([datetime.now().strftime("%Y%m%d-%H%M%S"), *(word.replace(":", "of") for word in words)])
    first = path = Path(parent) / name
    number = 1
    while os.path.lexists(path):
        number += 1
        path = first.with_name(f"{name}-{number}")
    return path


def home_of_runs(here: Path | str = ".") -> Path:
    """Where runs that are started ``here``, as in a notebook's folder, go: ``runs`` in the project around it.

    A project is the nearest folder upward with a ``pyproject.toml`` or a repository; without one it is ``here``.
    """
    start = Path(here).absolute()
    around = (folder for folder in (start, *start.parents) if _is_project(folder))
    return next(around, start) / NEW


def _is_project(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS_OF_A_PROJECT)


def _written(database: Path) -> int:
    """When the run was written to last; while it runs, that is in the log beside its database."""
    log = database.with_name(f"{database.name}-wal")
    return max(path.stat().st_mtime_ns for path in (database, log) if path.exists())
