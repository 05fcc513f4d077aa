"""Recorded runs by a short name: the examples that come with the project, and the newest run in a folder.

Knows nothing about what is in a run; needs no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import data_folder
from hyperprune_lab.record.layout import DATABASE

if TYPE_CHECKING:
    from hyperprune_lab.record.reader import Run

EXAMPLES = "runs"


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


def _written(database: Path) -> int:
    """When the run was written to last; while it runs, that is in the log beside its database."""
    log = database.with_name(f"{database.name}-wal")
    return max(path.stat().st_mtime_ns for path in (database, log) if path.exists())
