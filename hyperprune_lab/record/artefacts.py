"""The files that a run's writer leaves: gathered by block, written whole, versioned, retired.

Knows nothing about transactions: it writes files and says which rows would make them part of the run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hyperprune_lab.events import (
    Arrays,
    BlockFinished,
    CheckpointReached,
    EvaluationFinished,
    Event,
    InputMeasured,
    ModuleDecided,
    ModuleMeasured,
    NetworkSaved,
    RunFailed,
    RunFinished,
    RunStopped,
    StageFinished,
    WeightsChanged,
)
from hyperprune_lab.record.layout import RunDirectory, block_name, escape, slug
from hyperprune_lab.record.masks import PackedMask, write_masks
from hyperprune_lab.record.tensors import Written, write_tensors
from hyperprune_lab.record.values import storable

_OfBlock = ModuleDecided | ModuleMeasured | InputMeasured | BlockFinished


@dataclass(frozen=True)
class Artefact:
    """A file that lies in the run's directory and waits to be named by the database."""

    path: str
    kind: str
    stage: str | None
    block: int | None
    seq: int
    written: Written

    @property
    def row(self) -> tuple[str, str, str | None, int | None, int, str, int]:
        """Its row of the table ``artefact``."""
        stage = None if self.stage is None else storable(self.stage)
        return self.path, self.kind, stage, self.block, self.seq, self.written.sha256, self.written.bytes


@dataclass
class _Gathered:
    """What a block has decided and measured since its last files were written."""

    masks: dict[str, PackedMask] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


class ArtefactFiles:
    """Holds the arrays of unfinished blocks in memory and writes files at the events that complete them."""

    def __init__(self, directory: RunDirectory, connection: sqlite3.Connection) -> None:
        self._directory = directory
        self._connection = connection
        self._gathered: dict[tuple[str, int], _Gathered] = {}

    def before(self, event: Event, last_seq: int) -> list[Artefact]:
        """Files to commit first: a module decided again must not replace what is still unwritten."""
        if not isinstance(event, ModuleDecided | ModuleMeasured | InputMeasured):
            return []
        gathered = self._gathered.get((event.stage, event.block), _Gathered())
        repeated = isinstance(event, ModuleDecided) and storable(event.module) in gathered.masks
        if repeated or any(key in gathered.arrays for key in _keyed(event)):
            return self._release([(event.stage, event.block)], last_seq)
        return []

    def take(self, event: Event, seq: int) -> list[Artefact]:
        """Gather the event's arrays; write the files that it completes.

        Raises:
            OSError: the disk is full or cannot be written.
            TypeError: an array is of a type that cannot be recorded.
        """
        match event:
            case ModuleDecided():
                gathered = self._gather(event)
                gathered.masks[storable(event.module)] = PackedMask.of(np.asarray(event.mask), event.pattern)
            case InputMeasured() | ModuleMeasured():
                self._gather(event)
            case BlockFinished():
                self._gather(event)
                return self._release([(event.stage, event.block)], seq)
            case WeightsChanged():
                name = block_name(event.stage, event.block)
                return [self._store("weights", name, event.stage, event.block, seq, event.weights)]
            case NetworkSaved():
                return [self._store("network", slug(event.stage), event.stage, None, seq, event.arrays)]
            case EvaluationFinished() if event.arrays:
                return [self._store("evidence", f"evaluation.{seq}", None, None, seq, event.arrays)]
            case CheckpointReached():
                # A resume trims to here and nothing before is told again: what was gathered must be on disk.
                checkpoint = self._store("checkpoint", str(seq), event.stage, event.block, seq, event.arrays)
                return [*self.release_all(seq), checkpoint]
            case StageFinished() | RunStopped() | RunFailed() | RunFinished():
                return self.release_all(seq)
        return []

    def release_all(self, seq: int) -> list[Artefact]:
        """Write everything that was gathered."""
        return self._release(list(self._gathered), seq)

    def old_checkpoints(self, kept: int) -> list[tuple[str, int]]:
        """Path and sequence number of all but the ``kept`` newest checkpoints."""
        return self._connection.execute(
            "SELECT path, seq FROM artefact WHERE kind = 'checkpoint' ORDER BY seq DESC LIMIT -1 OFFSET ?",
            (kept,),
        ).fetchall()

    def delete(self, path: str) -> None:
        """Delete a file that the database no longer names."""
        (self._directory.root / path).unlink(missing_ok=True)

    def _gather(self, event: _OfBlock) -> _Gathered:
        gathered = self._gathered.setdefault((event.stage, event.block), _Gathered())
        gathered.arrays.update(_keyed(event))
        return gathered

    def _release(self, blocks: Iterable[tuple[str, int]], seq: int) -> list[Artefact]:
        artefacts = []
        for stage, block in blocks:
            gathered = self._gathered.pop((stage, block))
            name = block_name(stage, block)
            if gathered.masks:
                relative, path = self._free("masks", name)
                artefacts.append(
                    Artefact(relative, "masks", stage, block, seq, write_masks(path, gathered.masks))
                )
            if gathered.arrays:
                relative, path = self._free("evidence", name)
                written = write_tensors(path, gathered.arrays, {})
                artefacts.append(Artefact(relative, "evidence", stage, block, seq, written))
        return artefacts

    def _store(
        self, kind: str, name: str, stage: str | None, block: int | None, seq: int, arrays: Arrays
    ) -> Artefact:
        relative, path = self._free(kind, name)
        written = write_tensors(path, {escape(key): array for key, array in arrays.items()}, {})
        return Artefact(relative, kind, stage, block, seq, written)

    def _free(self, folder: str, name: str) -> tuple[str, Path]:
        def taken(relative: str) -> bool:
            query = "SELECT 1 FROM artefact WHERE path = ?"
            return self._connection.execute(query, (relative,)).fetchone() is not None

        relative = self._directory.free_name(folder, name, taken)
        return relative, self._directory.root / relative


_FOLDER_OF_KIND = {
    "ModuleDecided": "module",
    "ModuleMeasured": "measured",
    "InputMeasured": "input",
    "BlockFinished": "block",
}


def evidence_prefix(event_kind: str, subject: str | None) -> str:
    """Where an event's arrays lie in its block's evidence file; a block's own have no ``subject``."""
    return f"{_FOLDER_OF_KIND[event_kind]}/{escape(storable(subject or ''))}/"


def _keyed(event: _OfBlock) -> Arrays:
    subject: str | None
    match event:
        case ModuleDecided() | ModuleMeasured():
            subject = event.module
        case InputMeasured():
            subject = event.input
        case BlockFinished():
            subject = None
    prefix = evidence_prefix(type(event).__name__, subject)
    return {prefix + escape(name): np.asarray(array) for name, array in event.arrays.items()}
