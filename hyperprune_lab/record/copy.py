"""A run taken elsewhere: its record copied file by file, without the compensated weights where they are not wanted.

Knows nothing about what is in a run; the copy verifies as the run does.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.store import Store


def copy_record(path: Path | str, out: Path | str, *, weights: bool = True) -> Path:
    """Copy a finished run to ``out``, which must not exist; without ``weights`` the views lose nothing.

    Every file is checked against its digest on the way. Compensated weights are the bulk of a record; they are needed
    to evaluate or export the compensated model, not to look at the run.

    Raises:
        UserError: no run, one that is not finished, a damaged file, or ``out`` exists.
    """
    store, out = Store(path), Path(out)
    if store.state != "finished":
        raise UserError(f"{path} is {store.state}: only a finished run can be copied.")
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists: choose another folder for the copy.")
    taken = [file for file in store.artefacts() if weights or file.kind != "weights"]
    for file in taken:
        store.check(file)
    unfinished = out.with_name(f".{out.name}.copying")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        for file in taken:
            target = unfinished / file.path
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(store.directory.resolve(file.path), target)
        database = unfinished / store.directory.database.name
        shutil.copyfile(store.directory.database, database)
        _rewrite(database, out, weights)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return out


def _rewrite(database: Path, out: Path, weights: bool) -> None:
    """Let the copy say where it lies, and name no file that was left behind."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE event SET payload = json_set(payload, '$.result.run', ?) WHERE kind = 'RunFinished'",
            (str(out),),
        )
        if not weights:
            connection.execute("DELETE FROM artefact WHERE kind = 'weights'")
        connection.execute("VACUUM")
