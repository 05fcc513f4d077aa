"""Write a run's events to its directory, so that a kill at any moment leaves a readable, resumable record.

Knows nothing about how events come about; needs neither torch nor pandas.

Order is everything here. A file is written whole before the transaction that names it; a file that is
to go is deleted after the transaction that forgets it. What lies in the folders without being named is
swept by the next resume.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import hyperprune_lab
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import (
    CheckpointReached,
    Event,
    Notice,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StepMeasured,
)
from hyperprune_lab.record.artefacts import Artefact, ArtefactFiles
from hyperprune_lab.record.layout import RunDirectory
from hyperprune_lab.record.lock import RunLock
from hyperprune_lab.record.resume import Resumption, prepare_resume
from hyperprune_lab.record.rows import EventRow, MetricRow, event_rows
from hyperprune_lab.record.schema import close_into_one_file, create_database, open_for_writing

BATCH_SECONDS = 0.25
CHECKPOINTS_KEPT = 2

_FINAL_STATE: dict[type, str] = {RunStopped: "stopped", RunFailed: "failed", RunFinished: "finished"}

Statement = tuple[str, tuple[Any, ...]]


class RecordWriter:
    """The only writer of one run; a context manager that closes the run into one plain database file.

    Leaving the context without a final event (``RunStopped``, ``RunFailed``, ``RunFinished``) leaves the run
    interrupted: it can be resumed from its last checkpoint.
    """

    def __init__(
        self,
        directory: RunDirectory,
        lock: RunLock,
        connection: sqlite3.Connection,
        write_ahead: bool,
        resumption: Resumption | None = None,
    ) -> None:
        self.directory = directory
        self.resumption = resumption
        """What a resumed run goes on from; None for a new one."""
        self.state = "running"
        """``running``, or how the run ended: ``stopped``, ``failed``, ``finished``."""
        self._lock = lock
        self._connection = connection
        self._files = ArtefactFiles(directory, connection)
        self._seq = 0 if resumption is None else resumption.last_seq
        self._events: list[EventRow] = []
        self._metrics: list[MetricRow] = []
        self._committed_at = time.monotonic()
        self._notices = [] if write_ahead else [_NO_WRITE_AHEAD_LOG]
        self._open = True

    @classmethod
    def create(cls, path: Path | str) -> RecordWriter:
        """Begin a record in a directory that must not exist yet.

        Raises:
            UserError: the directory exists, or cannot be written; nothing is left behind.
        """
        directory = RunDirectory(Path(path))
        if directory.root.exists() or directory.root.is_symlink():
            raise UserError(f"{directory.root} exists: choose another output directory, or delete this one.")
        with _explained_failure(directory):
            directory.root.mkdir(parents=True)
            try:
                with _handed_on(RunLock.acquire(directory.lock)) as lock:
                    create_database(directory, hyperprune_lab.__version__)
                    connection, write_ahead = open_for_writing(directory)
                    return cls(directory, lock, connection, write_ahead)
            except BaseException:
                shutil.rmtree(directory.root, ignore_errors=True)
                raise

    @classmethod
    def resume(cls, path: Path | str) -> RecordWriter:
        """Go on with an interrupted, stopped or failed run.

        Everything after the last whole checkpoint is trimmed; ``resumption`` then says what to go on
        from. Without a checkpoint only ``RunStarted`` stays and the run starts over: a new
        ``RunStarted`` replaces the old one.

        Raises:
            UserError: no run, a finished or damaged one, or one that another process is writing.
        """
        directory = RunDirectory(Path(path))
        directory.require()
        with _explained_failure(directory), _handed_on(RunLock.acquire(directory.lock)) as lock:
            connection, write_ahead = open_for_writing(directory)
            try:
                resumption = prepare_resume(directory, connection)
            except BaseException:
                connection.close()
                raise
            return cls(directory, lock, connection, write_ahead, resumption)

    def write(self, event: Event) -> int:
        """Record an event and return its sequence number.

        Steps may wait up to a quarter of a second for company; everything else is on disk on return.

        Raises:
            UserError: the disk is full or the directory cannot be written. The record stays readable and
                resumable; the writer takes no further events.
            TypeError: a value cannot be recorded.
        """
        if not self._open or self.state != "running":
            raise RuntimeError(f"the record {self.directory.root} takes no more events ({self.state})")
        with self._closed_on_failure():
            self._write(event)
            seq = self._seq
            while self._notices and isinstance(event, RunStarted):
                self._write(self._notices.pop())
        return seq

    def flush(self) -> None:
        """Put waiting steps on disk now."""
        with self._closed_on_failure():
            self._commit()

    def close(self) -> None:
        """Close the run into one file and give the lock free; may be called twice."""
        if not self._open:
            return
        try:
            with _explained_failure(self.directory):
                self._commit(self._files.release_all(self._seq))
                close_into_one_file(self._connection)
        finally:
            self._abandon()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, event: Event) -> None:
        first = self._files.before(event, self._seq)
        if first:
            self._commit(first)
        row, metrics = event_rows(event, self._seq + 1)
        artefacts = self._files.take(event, row.seq)
        statements: list[Statement] = []
        retired: list[tuple[str, int]] = []
        if isinstance(event, CheckpointReached):
            retired = self._files.old_checkpoints(CHECKPOINTS_KEPT - 1)
        elif isinstance(event, RunFinished):
            retired = self._files.old_checkpoints(0)
        for path, seq in retired:
            statements.append(("DELETE FROM artefact WHERE path = ?", (path,)))
            statements.append(("UPDATE event SET payload = '{}' WHERE seq = ?", (seq,)))
        if isinstance(event, RunStarted) and self.resumption is not None and self.resumption.starts_over:
            statements.append(("DELETE FROM event WHERE kind = 'RunStarted'", ()))
        state = _FINAL_STATE.get(type(event), "running")
        if state != "running":
            statements.append(("UPDATE meta SET value = ? WHERE key = 'state'", (state,)))
        self._seq = row.seq
        self._events.append(row)
        self._metrics.extend(metrics)
        if not isinstance(event, StepMeasured) or time.monotonic() - self._committed_at >= BATCH_SECONDS:
            self._commit(artefacts, statements)
        for path, _ in retired:
            self._files.delete(path)
        self.state = state

    def _commit(self, artefacts: Sequence[Artefact] = (), statements: Sequence[Statement] = ()) -> None:
        """Put everything that waits, and these artefacts and statements, into one transaction."""
        if not (self._events or artefacts or statements):
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                self._connection.execute(sql, values)
            self._connection.executemany(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row.cells() for row in self._events]
            )
            self._connection.executemany("INSERT INTO metric VALUES (?, ?, ?)", self._metrics)
            rows = [artefact.row for artefact in artefacts]
            self._connection.executemany("INSERT INTO artefact VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk may have ended the transaction already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._events.clear()
        self._metrics.clear()
        self._committed_at = time.monotonic()

    @contextlib.contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        """After a failed write the order of things is no longer certain: nothing more is written."""
        try:
            with _explained_failure(self.directory):
                yield
        except UserError:
            self._abandon()
            raise

    def _abandon(self) -> None:
        self._open = False
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._lock.release()


_NO_WRITE_AHEAD_LOG = Notice(
    "warning",
    "The file system does not allow a write-ahead log: the writer and the readers of this record wait for "
    "each other. A local disk is faster.",
)


@contextlib.contextmanager
def _handed_on(lock: RunLock) -> Iterator[RunLock]:
    """Release the lock if its new owner could not be made."""
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


@contextlib.contextmanager
def _explained_failure(directory: RunDirectory) -> Iterator[None]:
    """Turn a full or forbidden disk into a message that names the path and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(directory) from error
        raise UserError(f"{directory.root} cannot be written: {error.strerror}.") from error
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise _full(directory) from error
        raise UserError(f"{directory.database} cannot be written: {error}.") from error


def _full(directory: RunDirectory) -> UserError:
    return UserError(
        f"The disk that holds {directory.root} is full. What was recorded so far is intact: free some space, "
        f"then `hyperprune-lab resume {directory.root}`."
    )
