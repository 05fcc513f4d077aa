"""Read a run as plain values and numpy arrays, while it is written or long after.

Knows nothing about tables or pictures; needs neither pandas nor torch, so that the numerics can read
runs as well.

A run may come from anyone: nothing outside its directory is opened, no file is used before its digest is
checked, and what does not fit is a ``UserError`` that names the file.
"""

from __future__ import annotations

import difflib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Arrays
from hyperprune_lab.record.artefacts import evidence_prefix
from hyperprune_lab.record.layout import RunDirectory, unescape
from hyperprune_lab.record.lock import Owner, owner_of
from hyperprune_lab.record.masks import PackedMask, read_masks
from hyperprune_lab.record.rows import EVENT_COLUMNS, EventColumns
from hyperprune_lab.record.schema import reading
from hyperprune_lab.record.tensors import check_file, read_tensors
from hyperprune_lab.record.values import decode

State = Literal["running", "interrupted", "stopped", "failed", "finished"]


@dataclass(frozen=True)
class RecordedEvent(EventColumns):
    """An event without its arrays. ``kind`` is the class in ``hyperprune_lab.events``.

    ``subject`` is the module, the input, or an evaluation's subject; ``scalars`` are its numbers (a step's
    ``values``); ``payload`` holds the fields that remain.
    """

    payload: dict[str, Any]
    scalars: dict[str, float]


class ArtefactRow(NamedTuple):
    """A file of the run, as the record describes it."""

    path: str
    kind: str
    stage: str | None
    block: int | None
    seq: int
    sha256: str
    bytes: int


class Store:
    """Read-only access to one run. Every call sees one consistent moment; files are read when asked for.

    Raises:
        UserError: from the constructor and from every method: no run, damaged, foreign, or of a newer
        version.
    """

    def __init__(self, path: Path | str) -> None:
        self.directory = RunDirectory(Path(path))
        self.directory.require()
        self._finished = False
        self._checked: set[tuple[str, int, int, int]] = set()
        self._finished = self._meta().get("state") == "finished"

    # -- the run
    # ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """``running`` while a live process holds the run; ``interrupted`` if it ended without a word."""
        match self._meta().get("state"):
            case "stopped":
                return "stopped"
            case "failed":
                return "failed"
            case "finished":
                return "finished"
        return "running" if self.owner is not None else "interrupted"

    @property
    def owner(self) -> Owner | None:
        """The process that writes the run now."""
        return owner_of(self.directory.lock)

    @property
    def generation(self) -> int:
        """How often the run was resumed. When it grows, events that were read may have been trimmed."""
        return int(self._meta().get("generation", "0"))

    @property
    def last_seq(self) -> int:
        """Number of the newest event, 0 before the first."""
        with self._reading() as connection:
            return connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0]

    def newest_seq(self, kinds: tuple[str, ...], as_of: int | None = None) -> int:
        """Number of the newest event of these kinds (up to event ``as_of``), 0 if there is none."""
        query = f"SELECT coalesce(max(seq), 0) FROM event WHERE kind IN ({', '.join('?' * len(kinds))})"
        values: list[Any] = list(kinds)
        if as_of is not None:
            query += " AND seq <= ?"
            values.append(as_of)
        with self._reading() as connection:
            return connection.execute(query, values).fetchone()[0]

    @property
    def started(self) -> dict[str, Any]:
        """The fields of ``RunStarted``; empty before it was written."""
        events = self.events(kinds=("RunStarted",))
        return events[-1].payload if events else {}

    @property
    def config(self) -> dict[str, Any]:
        return self.started.get("config", {})

    @property
    def environment(self) -> dict[str, Any]:
        return self.started.get("environment", {})

    @property
    def result(self) -> dict[str, Any] | None:
        """What the run ended with; None unless it is finished."""
        events = self.events(kinds=("RunFinished",))
        return events[-1].payload.get("result") if events else None

    def events(self, after: int = 0, kinds: tuple[str, ...] | None = None) -> list[RecordedEvent]:
        """Events with a number above ``after``, in order; of these kinds, or all."""
        chosen, values = "seq > ?", list[Any]([after])
        if kinds is not None:
            chosen += f" AND kind IN ({', '.join('?' * len(kinds))})"
            values += kinds
        with self._reading() as connection:
            rows = connection.execute(f"SELECT * FROM event WHERE {chosen} ORDER BY seq", values).fetchall()
            numbers = connection.execute(
                f"SELECT seq, name, value FROM metric WHERE seq IN (SELECT seq FROM event WHERE {chosen})",
                values,
            ).fetchall()
        scalars: dict[int, dict[str, float]] = {row[0]: {} for row in rows}
        for seq, name, value in numbers:
            scalars[seq][name] = np.nan if value is None else value
        return [self._recorded(row, scalars[row[0]]) for row in rows]

    # -- what it left
    # -------------------------------------------------------------------------------------------

    def artefacts(self) -> list[ArtefactRow]:
        """Every file of the run, in the order in which it became part of it."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM artefact ORDER BY seq, path").fetchall()
        return [ArtefactRow(*row) for row in rows]

    def packed_mask(self, module: str, stage: str | None = None, as_of: int | None = None) -> PackedMask:
        """The newest mask of ``module``, or the newest of one stage, or as it stood after event ``as_of``."""
        for _, file in self._filed("ModuleDecided", "masks", module, stage, as_of)[:1]:
            mask = read_masks(self._checked_path(file), module).get(module)
            if mask is None:
                raise UserError(f"{self.directory.root / file.path} is damaged: {module} is missing from it.")
            return mask
        raise self._no_such("ModuleDecided", module, "mask")

    def mask(
        self, module: str, stage: str | None = None, as_of: int | None = None
    ) -> Bool[np.ndarray, "out in"]:
        """As ``packed_mask``, one boolean a weight, true where it is kept."""
        return self.packed_mask(module, stage, as_of).unpack()

    def final_masks(self) -> Iterator[tuple[str, PackedMask]]:
        """The newest mask of every module, file by file; at most one file's masks are held at a time."""
        for file, modules in self.mask_files().items():
            yield from self.masks_in(file, modules).items()

    def mask_files(self, as_of: int | None = None) -> dict[ArtefactRow, list[str]]:
        """Where the newest mask of every module lies, or the newest as of event ``as_of``."""
        until = self.last_seq if as_of is None else as_of
        with self._reading() as connection:
            decisions = connection.execute(
                "SELECT subject, seq, stage, block FROM event WHERE kind = 'ModuleDecided' AND seq <= ? "
                "ORDER BY seq",
                (until,),
            ).fetchall()
            rows = connection.execute("SELECT * FROM artefact WHERE kind = 'masks' ORDER BY seq").fetchall()
        files: dict[tuple[str, int], list[ArtefactRow]] = {}
        for row in rows:
            files.setdefault((row[2], row[3]), []).append(ArtefactRow(*row))
        newest: dict[str, ArtefactRow] = {}
        for module, seq, stage, block in decisions:
            later = [file for file in files.get((stage, block), []) if file.seq >= seq]
            if later:
                newest[module] = later[0]
        modules: dict[ArtefactRow, list[str]] = {}
        for module, file in newest.items():
            modules.setdefault(file, []).append(module)
        return modules

    def masks_in(self, file: ArtefactRow, modules: list[str]) -> dict[str, PackedMask]:
        """The masks of these modules from one file."""
        masks = read_masks(self._checked_path(file))
        missing = [module for module in modules if module not in masks]
        if missing:
            raise UserError(f"{self.directory.root / file.path} is damaged: {missing[0]} is missing from it.")
        return {module: masks[module] for module in modules}

    def evidence(
        self,
        kind: Literal["module", "input", "block", "evaluation"],
        name: str | int | tuple[str, str],
        stage: str | None = None,
        as_of: int | None = None,
        block: int | None = None,
    ) -> Arrays:
        """The newest arrays measured about something; empty if none were recorded.

        ``name`` is a module's or an input's name, a block's index, or an evaluation's ``(state, subject)``.
        An input's name is unique only within its ``block``. A module's arrays are those that came with its
        newest decision and those measured since then.
        """
        match kind:
            case "module":
                return self._module_arrays(str(name), stage, as_of)
            case "input":
                filed = self._filed("InputMeasured", "evidence", str(name), stage, as_of, block)
                candidates = (
                    self._prefixed(file, evidence_prefix("InputMeasured", str(name))) for _, file in filed
                )
            case "block":
                filed = self._filed("BlockFinished", "evidence", None, stage, as_of, block=int(str(name)))
                candidates = (
                    self._prefixed(file, evidence_prefix("BlockFinished", None)) for _, file in filed
                )
            case "evaluation":
                return self._evaluation_arrays(name, as_of)
        return next((arrays for arrays in candidates if arrays), {})

    def weights(self, block: int, stage: str | None = None, as_of: int | None = None) -> Arrays:
        """The newest compensated weights of a block by parameter name; empty if it was not compensated."""
        chosen = [
            file
            for file in self.artefacts()
            if file.kind == "weights"
            and file.block == block
            and stage in (None, file.stage)
            and (as_of is None or file.seq <= as_of)
        ]
        return self._arrays(chosen[-1]) if chosen else {}

    def network(self, stage: str | None = None) -> tuple[Arrays, dict[str, Any]] | None:
        """The newest saved hypernetwork and its settings; None if the run has none."""
        files = [row for row in self.artefacts() if row.kind == "network" and stage in (None, row.stage)]
        if not files:
            return None
        with self._fitting():
            event = self.events(after=files[-1].seq - 1, kinds=("NetworkSaved",))[0]
            return self._arrays(files[-1]), event.payload["settings"]

    def checkpoint(self) -> tuple[dict[str, Any], Arrays] | None:
        """State and arrays of the last checkpoint; None if there is none, as in a finished run."""
        files = [row for row in self.artefacts() if row.kind == "checkpoint"]
        if not files:
            return None
        with self._fitting():
            event = self.events(after=files[-1].seq - 1, kinds=("CheckpointReached",))[0]
            return event.payload["state"], self._arrays(files[-1])

    def check(self, file: ArtefactRow) -> None:
        """Compare a file with the record, now, whatever was checked before."""
        check_file(self.directory.resolve(file.path), file.sha256, file.bytes)

    # -- inside
    # -------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        root, database = self.directory.root, self.directory.database.name
        beside = (self.directory.lock, root / f"{database}-wal", root / f"{database}-journal")
        with reading(
            self.directory, self._finished and not any(path.exists() for path in beside)
        ) as connection:
            yield connection

    def _meta(self) -> dict[str, str]:
        with self._reading() as connection:
            return dict(connection.execute("SELECT key, value FROM meta"))

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """What the record holds must fit what is made of it; a record that does not is damaged."""
        try:
            yield
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            database = self.directory.database
            raise UserError(f"{database} is damaged: an event's fields do not fit ({error!r}).") from error

    def _recorded(self, row: tuple[Any, ...], scalars: dict[str, float]) -> RecordedEvent:
        columns: dict[str, Any] = dict(zip(EVENT_COLUMNS, row, strict=True))
        text = columns.pop("payload")
        payload = decode(text, str(self.directory.database)) if isinstance(text, str) else None
        if not isinstance(payload, dict):
            raise UserError(f"{self.directory.database} is damaged: event {columns['seq']} holds no fields.")
        return RecordedEvent(**columns, payload=payload, scalars=scalars)

    def _filed(
        self,
        event_kind: str,
        file_kind: str,
        subject: str | None = None,
        stage: str | None = None,
        as_of: int | None = None,
        block: int | None = None,
    ) -> list[tuple[int, ArtefactRow]]:
        """Events about something with their files, newest first; events without a file are left out."""
        query = (
            "SELECT event.seq, min(file.seq), file.* FROM event JOIN artefact AS file "
            "ON file.kind = ? AND file.stage = event.stage AND file.block = event.block "
            "AND file.seq >= event.seq WHERE event.kind = ?"
        )
        values: list[Any] = [file_kind, event_kind]
        for column, value in (
            ("subject =", subject),
            ("stage =", stage),
            ("block =", block),
            ("seq <=", as_of),
        ):
            if value is not None:
                query += f" AND event.{column} ?"
                values.append(value)
        with self._reading() as connection:
            rows = connection.execute(
                f"{query} GROUP BY event.seq ORDER BY event.seq DESC", values
            ).fetchall()
        return [(row[0], ArtefactRow(*row[2:])) for row in rows]

    def _module_arrays(self, module: str, stage: str | None, as_of: int | None) -> Arrays:
        decisions = self._filed("ModuleDecided", "masks", module, stage, as_of)
        since = decisions[0][0] if decisions else 0
        arrays: Arrays = {}
        for kind in ("ModuleDecided", "ModuleMeasured"):
            for seq, file in reversed(self._filed(kind, "evidence", module, stage, as_of)):
                if seq >= since:
                    arrays |= self._prefixed(file, evidence_prefix(kind, module))
        return arrays

    def _prefixed(self, file: ArtefactRow, prefix: str) -> Arrays:
        arrays, _ = read_tensors(self._checked_path(file), prefix)
        return {unescape(key.removeprefix(prefix)): array for key, array in arrays.items()}

    def _evaluation_arrays(self, name: str | int | tuple[str, str], as_of: int | None) -> Arrays:
        files = {
            file.seq: file for file in self.artefacts() if file.kind == "evidence" and file.stage is None
        }
        for event in reversed(self.events(kinds=("EvaluationFinished",))):
            if (event.payload.get("state"), event.subject) == name and (as_of is None or event.seq <= as_of):
                return self._arrays(files[event.seq]) if event.seq in files else {}
        return {}

    def _arrays(self, file: ArtefactRow) -> Arrays:
        arrays, _ = read_tensors(self._checked_path(file))
        return {unescape(key): array for key, array in arrays.items()}

    def _checked_path(self, file: ArtefactRow) -> Path:
        """The file's path, once its digest was found to be the recorded one; again if it changed."""
        path = self.directory.resolve(file.path)
        status = os.stat(path)
        mark = (file.sha256, status.st_ino, status.st_size, status.st_mtime_ns)
        if mark not in self._checked:
            check_file(path, file.sha256, file.bytes)
            self._checked.add(mark)
        return path

    def _no_such(self, kind: str, name: str, what: str) -> UserError:
        with self._reading() as connection:
            rows = connection.execute("SELECT DISTINCT subject FROM event WHERE kind = ?", (kind,))
            known = [subject for (subject,) in rows if subject]
        if name in known:
            return UserError(f"{self.directory.root} has no such {what} of {name} on disk (yet).")
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        return UserError(f"{self.directory.root} has no {what} of {name[:120]!r}.{hint}")
