"""Names and paths inside a run directory.

Knows nothing about what the files hold.

A run is one directory::

    run.sqlite                              events, metrics, and the list of artefacts with their
    digests lock                                    exists while a process writes; names its owner
    masks/<stage>-<block>.safetensors       bit-packed masks of a block, as a stage decided them
    evidence/<stage>-<block>.safetensors    arrays measured on the way: statistics, errors, shares,
    losses weights/<stage>-<block>.safetensors     weights after compensation
    network/<stage>.safetensors             the hypernetwork and its embeddings
    checkpoint/<event>.safetensors          what a bit-identical resume needs; only while the run is
    unfinished

A file that is written again for the same stage and block gets a version,
``<stage>-<block>.2.safetensors``: nothing that the database names is ever overwritten, so a kill at any
moment leaves every named file whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from hyperprune_lab.errors import UserError

DATABASE = "run.sqlite"
LOCK = "lock"
FOLDERS = ("masks", "evidence", "weights", "network", "checkpoint")
SUFFIX = ".safetensors"
_RELATIVE = re.compile(rf"({'|'.join(FOLDERS)})/[A-Za-z0-9_][A-Za-z0-9_.-]{{0,199}}\.safetensors")


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / DATABASE

    @property
    def lock(self) -> Path:
        return self.root / LOCK

    def require(self) -> None:
        """Check that this looks like a run, without opening anything.

        Raises:
            UserError: no directory, no database in it, or a database that is a link.
        """
        if not self.root.is_dir():
            raise UserError(f"{self.root} is not a run: there is no such directory.")
        if not self.database.exists():
            raise UserError(
                f"{self.root} is not a run: it has no {DATABASE}. A run is what `prune --out` leaves behind."
            )
        for suffix in ("", "-wal", "-shm", "-journal"):
            path = self.root / (DATABASE + suffix)
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise UserError(
                    f"{path} is a link or no plain file: refused, because a run holds only its own."
                )

    def free_name(self, folder: str, name: str, taken: Callable[[str], bool]) -> str:
        """The first relative path that is not ``taken``: of ``name``, then ``name.2``, ``name.3`` ..."""
        version = 1
        while taken(relative := f"{folder}/{name}{f'.{version}' if version > 1 else ''}{SUFFIX}"):
            version += 1
        return relative

    def resolve(self, relative: str) -> Path:
        """The file behind a path that the database names.

        Raises:
            UserError: the path leaves the directory, passes through a link, or is no plain file.
        """
        if _RELATIVE.fullmatch(relative) is None:
            raise UserError(
                f"{self.root}: the record names a file outside its own folders: {relative[:80]!r}."
            )
        path = self.root / relative
        try:
            folder, file = os.lstat(path.parent), os.lstat(path)
        except OSError as error:
            raise UserError(f"{path} is missing: the record names it.") from error
        if not stat.S_ISDIR(folder.st_mode) or not stat.S_ISREG(file.st_mode):
            raise UserError(f"{path} is a link or no plain file: refused, because a run holds only its own.")
        return path


def slug(stage: str) -> str:
    """A stage's name as a file name: itself where harmless, otherwise its harmless letters and a digest."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", stage):
        return stage
    digest = hashlib.sha256(stage.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{re.sub('[^A-Za-z0-9_]', '_', stage[:32])}_{digest}"


def block_name(stage: str, block: int) -> str:
    """File name of what a stage left for one block, without folder and suffix."""
    return f"{slug(stage)}-{block:03d}"


def escape(name: str) -> str:
    """A name of any characters as a tensor key: percent-encoded, never empty, never a reserved key."""
    key = quote(name, safe="", errors="surrogatepass")
    return {"": "%", "__metadata__": "%5F_metadata__"}.get(key, key)


def unescape(key: str) -> str:
    """Undo ``escape``."""
    return "" if key == "%" else unquote(key, errors="surrogatepass")
