"""The database of a run: its tables, its version, and how it is opened for writing and for reading.

Knows nothing about what events mean.

Four tables, all strict:

``meta``      what holds for the whole run: ``state`` (running, stopped, failed, finished), ``software``,
              ``created``, ``generation`` (how often it was resumed), ``last_seq`` (numbers used before
              a resume).
``event``     one row per event in the order in which they happened. ``subject`` is the module or the
input that the
              event is about; ``payload`` holds the remaining fields as JSON, without arrays and without
              scalars.
``metric``    every scalar of every event: the values of a step, of a module, of an evaluation. NULL is
NaN; a scalar
              that was not measured has no row.
``artefact``  every file of the run, with size and SHA-256. ``seq`` is the event with which the file
became part
              of the run. The arrays and the mask of an event about (stage, block) lie in the first file
              of that (stage, block) whose ``seq`` is not smaller than the event's.

Sequence numbers grow for ever: what a resume trims is gone and its numbers are not used again.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.layout import RunDirectory

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4850524C  # "HPRL"
LARGEST_CELL_BYTES = 64 << 20
BUSY_SECONDS = 30.0


class ForeignRecord(UserError):
    """A database that is no record, or a record of a newer version: sound perhaps, but not ours to read."""


TABLES = {
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "event": (
        "CREATE TABLE event (seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, stage TEXT, "
        "block INTEGER, step INTEGER, subject TEXT, payload TEXT NOT NULL) STRICT"
    ),
    "event_by_kind": "CREATE INDEX event_by_kind ON event (kind, stage, block, subject)",
    "metric": (
        "CREATE TABLE metric (seq INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (seq, name)) "
        "STRICT, WITHOUT ROWID"
    ),
    "artefact": (
        "CREATE TABLE artefact (path TEXT PRIMARY KEY, kind TEXT NOT NULL, stage TEXT, block INTEGER, "
        "seq INTEGER NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID"
    ),
}

# File systems shared between hosts: the memory that a write-ahead log is coordinated by is not shared there.
_SHARED_FILE_SYSTEMS = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.s3fs",
    ]
)


def create_database(directory: RunDirectory, software: str) -> None:
    """Create the tables of a running run in one transaction, in a file that must not exist."""
    with open(directory.database, "xb"):
        pass
    connection = sqlite3.connect(directory.database, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES.values():
            connection.execute(statement)
        for entry in (
            ("state", "running"),
            ("software", software),
            ("created", repr(time.time())),
            ("generation", "0"),
            ("last_seq", "0"),
        ):
            connection.execute("INSERT INTO meta VALUES (?, ?)", entry)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    finally:
        connection.close()


def open_for_writing(directory: RunDirectory) -> tuple[sqlite3.Connection, bool]:
    """The writer's connection, and whether a write-ahead log is in use.

    Without it (shared file systems) everything works the same, but readers and the writer wait for each
    other.

    Raises:
        UserError: the database is damaged, foreign, or of a newer version.
    """
    with explained(directory):
        # The writer is used by one thread at a time, not always by the one that opened it.
        connection = sqlite3.connect(
            directory.database, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _guard(connection)
            _check_version(connection, directory)
            write_ahead = _use_write_ahead_log(connection, directory.root)
            connection.execute("PRAGMA synchronous = NORMAL" if write_ahead else "PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    return connection, write_ahead


@contextmanager
def reading(directory: RunDirectory, immutable: bool) -> Iterator[sqlite3.Connection]:
    """A read-only connection that sees one consistent moment, open for the length of the block only.

    ``immutable`` says that nobody can be writing: no lock is taken and nothing beside the file is
    looked at. A connection that stayed open would keep the writer from closing the run into one plain
    file.

    Raises:
        UserError: the database is damaged, foreign, of a newer version, or cannot be opened.
    """
    uri = f"file:{quote(str(directory.database.resolve()))}?mode=ro" + ("&immutable=1" if immutable else "")
    if immutable:
        _check_length(directory)
    with explained(directory):
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _guard(connection)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            _check_version(connection, directory)
            yield connection
        finally:
            connection.close()


def close_into_one_file(connection: sqlite3.Connection) -> None:
    """Fold the write-ahead log into the database, so that the run is one plain file again.

    If a reader is in the way for long, the log stays beside the file: everything is there, readers look
    at both.
    """
    connection.execute("PRAGMA busy_timeout = 5000")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) and "busy" not in str(error):
            raise


@contextmanager
def explained(directory: RunDirectory) -> Iterator[None]:
    """Turn what SQLite says about a damaged file into a message for people."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise
        raise UserError(f"{directory.database} cannot be opened: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{directory.database} is damaged ({error}). Nothing was changed; if there is a copy, use that."
        ) from error


def _guard(connection: sqlite3.Connection) -> None:
    """A database may come from anyone: nothing in it may call functions, and no cell may be huge."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_CELL_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")


def _check_length(directory: RunDirectory) -> None:
    """A closed database is as long as its header says; SQLite does not check that when told ``immutable``."""
    with open(directory.database, "rb") as file:
        header = file.read(100)
    page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    # A page size of 65536 does not fit its two bytes and is written as 1.
    if directory.database.stat().st_size != pages * (65536 if page_bytes == 1 else page_bytes):
        raise UserError(f"{directory.database} is damaged: it is shorter or longer than it says.")


def _check_version(connection: sqlite3.Connection, directory: RunDirectory) -> None:
    """Only exactly our tables are read: no views, triggers or generated columns, whoever wrote the file."""
    found = sorted(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not found:
        raise UserError(
            f"{directory.root} holds an empty record: the run ended before it began. Delete it, start again."
        )
    if application != APPLICATION_ID:
        raise ForeignRecord(f"{directory.database} is a database, but no record of a pruning run.")
    if version > SCHEMA_VERSION:
        raise ForeignRecord(
            f"{directory.root} was made by a newer version of HyperPrune Lab (record version {version}, "
            f"this one reads {SCHEMA_VERSION}): update HyperPrune Lab to open it."
        )
    if found != sorted(TABLES.items()):
        raise ForeignRecord(
            f"{directory.database} is damaged or foreign: its tables are not those of a record."
        )


def _use_write_ahead_log(connection: sqlite3.Connection, root: Path) -> bool:
    if _file_system(root) not in _SHARED_FILE_SYSTEMS:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            # The log's shared memory is touched by the first transaction: that is where some mounts refuse.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise
            mode = "refused"
        if mode == "wal":
            return True
    connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    return False


def _file_system(path: Path) -> str:
    """The type of the file system that holds ``path``, where the system says it; otherwise empty."""
    try:
        lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    resolved = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        mount = fields[1].replace("\\040", " ")
        if len(mount) >= len(best) and os.path.commonpath([mount, resolved]) == mount:
            best, kind = mount, fields[2]
    return kind
