"""The shelf: which runs lie in some folders, what each is, how far it came, and who is at it.

Knows nothing about pictures, and needs neither torch nor pandas. A bad directory is an entry that says what is wrong
with it, never an exception.
"""

from __future__ import annotations

import math
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.layout import DATABASE, RunDirectory
from hyperprune_lab.record.lock import Owner, owner_of
from hyperprune_lab.record.schema import ForeignRecord, reading
from hyperprune_lab.record.values import decode

ShelfState = Literal["live", "paused", "interrupted", "finished", "failed", "foreign", "damaged"]
_KINDS = (
    "RunStarted",
    "StageStarted",
    "StageFinished",
    "RunPaused",
    "RunResumed",
    "RunStopped",
    "RunFailed",
    "RunFinished",
)
_DEPTH = 3
_MOST_ENTRIES = 1000
_LONGEST = 200
_PERPLEXITIES = {"dense": "dense_ppl", "mask-only": "mask_only_ppl", "compensated": "compensated_ppl"}


@dataclass(frozen=True)
class ShelfEntry:
    """One run. What is unknown is None.

    ``interrupted`` runs can be resumed; ``error`` then says whether they were stopped on request or ended without a
    word. It holds the cause of a failure, and what is wrong with a damaged or foreign directory. ``started`` and
    ``changed`` are seconds since 1970. ``blocks_done`` counts within the stage at work. ``owner_pid`` and
    ``owner_host`` name the process that writes the run now; it can be steered from here only if ``owner_here``.
    ``asked`` is the newest word in its control file (``pause`` while it has not yet been heard).
    """

    path: Path
    state: ShelfState
    method: str | None = None
    preset: str | None = None
    model: str | None = None
    pattern: str | None = None
    budget: str | None = None
    seed: int | None = None
    started: float | None = None
    changed: float | None = None
    stage: str | None = None
    stages: tuple[str, ...] = ()
    blocks_done: int = 0
    blocks: int | None = None
    dense_ppl: float | None = None
    mask_only_ppl: float | None = None
    compensated_ppl: float | None = None
    seconds: float | None = None
    last_seq: int = 0
    device: str | None = None
    owner_pid: int | None = None
    owner_host: str | None = None
    owner_here: bool = False
    asked: str | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def running(self) -> bool:
        """Whether a process is at it, working or paused."""
        return self.state in ("live", "paused")

    @property
    def resumable(self) -> bool:
        """Whether it can go on."""
        return self.state == "interrupted" or (self.state == "failed" and self.started is not None)

    @property
    def holds_gpu(self) -> str | None:
        """The GPU whose memory this run holds now, paused or not; None where it holds none."""
        return self.device if self.running and self.device not in (None, "cpu") else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, with ``name``, ``running``, ``resumable`` and ``holds_gpu``."""
        own = {name: getattr(self, name) for name in ("name", "running", "resumable", "holds_gpu")}
        return asdict(self) | {"path": str(self.path), "stages": list(self.stages)} | own


@dataclass
class _Cache:
    """Entries by folder, with the mark of the database that they were read from."""

    entries: dict[Path, tuple[tuple[int, ...], ShelfEntry, bool]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_CACHE = _Cache()


def shelf(folders: Iterable[Path | str]) -> list[ShelfEntry]:
    """The runs in these folders (each may be a run itself, or hold folders of runs): live ones first, then newest.

    Never raises for what it finds; a folder that is not there holds nothing.
    """
    found: dict[Path, ShelfEntry] = {}
    for folder in folders:
        for path in _runs(Path(folder), _DEPTH):
            if len(found) < _MOST_ENTRIES:
                found.setdefault(path.absolute(), entry_of(path))
    return sorted(found.values(), key=_order)


def entry_of(path: Path | str) -> ShelfEntry:
    """What lies in one run's folder; never raises for it."""
    directory = RunDirectory(Path(path))
    try:
        owner = owner_of(directory.lock)
        mark = _mark(directory)
        key = directory.root.absolute()
        with _CACHE.lock:
            known = _CACHE.entries.get(key)
        if known is not None and known[0] == mark:
            entry, paused = replace(known[1], path=directory.root), known[2]
        else:
            entry, paused = _read(directory, owner)
            with _CACHE.lock:
                _CACHE.entries[key] = (mark, entry, paused)
    except ForeignRecord as error:
        return ShelfEntry(directory.root, "foreign", error=_short(str(error)))
    except (UserError, OSError, sqlite3.Error) as error:
        return ShelfEntry(directory.root, "damaged", error=_short(str(error)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        cause = f"{directory.database} is damaged: its events do not fit ({error!r})."
        return ShelfEntry(directory.root, "damaged", error=_short(cause))
    return _with_owner(entry, paused, owner, directory)


def _order(entry: ShelfEntry) -> tuple[Any, ...]:
    return (not entry.running, -(entry.started or 0.0), str(entry.path))


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    """Folders with a database, not looking inside them; links are not followed below the first folder."""
    try:
        if os.path.lexists(folder / DATABASE):
            yield folder
            return
        if depth == 0:
            return
        inside = sorted(
            entry.path
            for entry in os.scandir(folder)
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        )
    except OSError:
        return
    for path in inside:
        yield from _runs(Path(path), depth - 1)


def _mark(directory: RunDirectory) -> tuple[int, ...]:
    """Changes when the database or its log does."""
    parts: list[int] = []
    for suffix in ("", "-wal", "-journal"):
        try:
            status = os.lstat(f"{directory.database}{suffix}")
            parts += [status.st_mtime_ns, status.st_size, status.st_ino]
        except OSError:
            parts += [0, 0, 0]
    return tuple(parts)


def _with_owner(entry: ShelfEntry, paused: bool, owner: Owner | None, directory: RunDirectory) -> ShelfEntry:
    """The entry with who is at it now: that changes without a word in the database."""
    if entry.state != "live":
        return entry
    if owner is None:
        return replace(
            entry, state="interrupted", error="its process ended without a word; it can be resumed"
        )
    return replace(
        entry,
        state="paused" if paused else "live",
        owner_pid=owner.pid,
        owner_host=owner.host,
        owner_here=owner.machine == Owner.this_process().machine,
        asked=_asked(directory),
    )


def _asked(directory: RunDirectory) -> str | None:
    try:
        return (directory.root / "control").read_text("ascii", "replace").strip()[:10] or None
    except OSError:
        return None


def _read(directory: RunDirectory, owner: Owner | None) -> tuple[ShelfEntry, bool]:
    """The entry as the database has it, with one look; ``live`` stands for everything that has not ended."""
    directory.require()
    # Told immutable, SQLite touches nothing beside the file: right where nobody can be writing, and then quicker.
    beside = any(os.path.lexists(f"{directory.database}{suffix}") for suffix in ("-wal", "-journal"))
    quiet = owner is None and not beside and not directory.lock.exists()
    with reading(directory, immutable=quiet) as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        rows = connection.execute(
            "SELECT seq, time, kind, stage, payload FROM event WHERE kind IN "
            f"({', '.join('?' * len(_KINDS))}) ORDER BY seq",
            _KINDS,
        ).fetchall()
        perplexities = connection.execute(
            "SELECT payload, value FROM event JOIN metric ON metric.seq = event.seq "
            "WHERE kind = 'EvaluationFinished' AND metric.name = 'perplexity' ORDER BY event.seq"
        ).fetchall()
        last_seq, changed = connection.execute(
            "SELECT coalesce(max(seq), 0), max(time) FROM event"
        ).fetchone()
        newest = {kind: (seq, moment, stage, payload) for seq, moment, kind, stage, payload in rows}
        done = 0
        if _at_work(newest):
            since, _, stage, _ = newest["StageStarted"]
            (done,) = connection.execute(
                "SELECT count(DISTINCT block) FROM event WHERE kind = 'BlockFinished' AND stage = ? AND seq > ?",
                (stage, since),
            ).fetchone()
    source = str(directory.database)
    entry = ShelfEntry(
        directory.root,
        _ended(meta.get("state")),
        changed=_number(changed),
        last_seq=int(last_seq),
        blocks_done=int(done),
        error=_cause(newest, source),
        **_identity(newest, source),
        **_quality(perplexities, source),
    )
    entry = replace(entry, **_progress(newest, entry, source))
    paused = newest.get("RunPaused", (0,))[0] > newest.get("RunResumed", (0,))[0]
    return entry, paused


def _ended(state: str | None) -> ShelfState:
    match state:
        case "finished":
            return "finished"
        case "failed":
            return "failed"
        case "stopped":
            return "interrupted"
    return "live"


def _identity(newest: Mapping[str, tuple[Any, ...]], source: str) -> dict[str, Any]:
    if "RunStarted" not in newest:
        return {}
    _, moment, _, text = newest["RunStarted"]
    payload = decode(text, source)
    config = payload["config"]
    blocks, seed = payload["model"].get("blocks"), config.get("seed")
    return {
        "started": _number(moment),
        "stages": tuple(_text(stage) or "" for stage in payload["stages"])[:32],
        "blocks": blocks if isinstance(blocks, int) else None,
        "seed": seed if isinstance(seed, int) else None,
        "device": _text(payload["environment"].get("device")),
        **{name: _text(config.get(name)) for name in ("method", "preset", "model", "pattern", "budget")},
    }


def _at_work(newest: Mapping[str, tuple[Any, ...]]) -> bool:
    """Whether the newest stage to begin has not ended."""
    return newest.get("StageStarted", (0,))[0] > newest.get("StageFinished", (0,))[0]


def _progress(newest: Mapping[str, tuple[Any, ...]], entry: ShelfEntry, source: str) -> dict[str, Any]:
    """The stage at work, or the next one where a stage has just ended: the last one never says that it begins."""
    if "RunFinished" in newest:
        result = decode(newest["RunFinished"][3], source).get("result") or {}
        last = entry.stages[-1] if entry.stages else None
        return {
            "seconds": _number(result.get("seconds")),
            "stage": last,
            "blocks_done": entry.blocks or 0,
        }
    stage = _text(newest["StageStarted"][2]) if "StageStarted" in newest else None
    if stage is not None and not _at_work(newest) and stage in entry.stages:
        stage = entry.stages[min(entry.stages.index(stage) + 1, len(entry.stages) - 1)]
    return {"stage": stage}


def _quality(rows: Iterable[tuple[str, float | None]], source: str) -> dict[str, Any]:
    """The newest perplexity of each state."""
    found: dict[str, Any] = {}
    for text, value in rows:
        name = _PERPLEXITIES.get(str(decode(text, source).get("state")))
        if name is not None:
            found[name] = _number(value)
    return found


def _cause(newest: Mapping[str, tuple[Any, ...]], source: str) -> str | None:
    """What the run's last words were; None where it went on after them."""
    resumed = newest.get("RunResumed", (0,))[0]
    for kind, key in (("RunFailed", "cause"), ("RunStopped", "reason")):
        if kind in newest and newest[kind][0] > resumed:
            return _short(str(decode(newest[kind][3], source).get(key)))
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _text(value: Any) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) else None


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST - 1]}…"
