"""Bring an unfinished record back to its last checkpoint.

Knows nothing about what a checkpoint's state means.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.layout import FOLDERS, RunDirectory, unescape
from hyperprune_lab.record.schema import explained
from hyperprune_lab.record.tensors import check_file, read_tensors
from hyperprune_lab.record.values import decode


@dataclass(frozen=True)
class Resumption:
    """What a resumed run goes on from.

    ``started`` holds the fields of the run's ``RunStarted``; ``checkpoint`` is the state and the arrays
    of its last whole ``CheckpointReached``, or None if there is none and the run starts over.
    """

    started: dict[str, Any]
    checkpoint: tuple[dict[str, Any], dict[str, np.ndarray]] | None
    last_seq: int

    @property
    def starts_over(self) -> bool:
        return self.checkpoint is None


def prepare_resume(directory: RunDirectory, connection: sqlite3.Connection) -> Resumption:
    """Trim everything after the newest whole checkpoint and mark the run as running.

    Raises:
        UserError: the run is finished, damaged, or was interrupted before it had a configuration.
    """
    with explained(directory):
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise UserError(f"{directory.database} is damaged: it cannot be resumed.")
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        if meta.get("state") == "finished":
            raise UserError(f"{directory.root} is finished: there is nothing to resume.")
        first = connection.execute(
            "SELECT seq, payload FROM event WHERE kind = 'RunStarted' ORDER BY seq LIMIT 1"
        ).fetchone()
        if first is None:
            raise UserError(f"{directory.root} was interrupted before it began: delete it and start again.")
        found = _newest_checkpoint(directory, connection)
        kept = first[0] if found is None else found[0]
        last_seq = max(
            int(meta.get("last_seq", "0")), connection.execute("SELECT max(seq) FROM event").fetchone()[0]
        )
        _trim(connection, kept, int(meta.get("generation", "0")) + 1, last_seq)
        sweep(directory, connection)
    return Resumption(
        decode(first[1], str(directory.database)), None if found is None else (found[1], found[2]), last_seq
    )


def sweep(directory: RunDirectory, connection: sqlite3.Connection) -> None:
    """Delete files in the run's folders that the database does not name: left by a kill, or trimmed."""
    named = {path for (path,) in connection.execute("SELECT path FROM artefact")}
    for folder in FOLDERS:
        path = directory.root / folder
        if path.is_symlink() or not path.is_dir():
            continue
        for entry in os.scandir(path):
            ours = entry.name.endswith((".safetensors", ".tmp"))
            if ours and f"{folder}/{entry.name}" not in named and not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)


def _newest_checkpoint(
    directory: RunDirectory, connection: sqlite3.Connection
) -> tuple[int, dict[str, Any], dict[str, np.ndarray]] | None:
    """The newest checkpoint that is whole; two are kept so that one damaged file does not end the run."""
    rows = connection.execute(
        "SELECT artefact.path, artefact.sha256, artefact.bytes, event.seq, event.payload FROM artefact "
        "JOIN event ON event.seq = artefact.seq WHERE artefact.kind = 'checkpoint' ORDER BY event.seq DESC"
    ).fetchall()
    for relative, sha256, size, seq, payload in rows:
        try:
            path = directory.resolve(relative)
            check_file(path, sha256, size)
            arrays, _ = read_tensors(path)
            state = decode(payload, str(directory.database))["state"]
        except (UserError, KeyError, TypeError):
            continue
        return seq, state, {unescape(key): array for key, array in arrays.items()}
    if rows:
        raise UserError(
            f"{directory.root} is damaged: none of its checkpoints is whole. Start the run again."
        )
    return None


def _trim(connection: sqlite3.Connection, kept: int, generation: int, last_seq: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in ("event", "metric", "artefact"):
            connection.execute(f"DELETE FROM {table} WHERE seq > ?", (kept,))
        for key, value in (
            ("state", "running"),
            ("generation", str(generation)),
            ("last_seq", str(last_seq)),
        ):
            connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
