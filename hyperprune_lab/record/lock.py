"""One writer a run: a lock file that names its owner and dies with it.

Knows nothing about what is written under the lock.

The kernel's lock on the file (``flock``) is released when its holder ends, however it ends, so a killed
run is free at once and a copied one is free everywhere. The owner's process id, start time and machine
stand in the file: they name the owner to people, decide where a file system has no locks, and unmask a
lock that only a child of the dead owner still holds. The start time makes a reused process id no owner.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hyperprune_lab.errors import UserError

_PATIENCE_SECONDS = 1.0
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


@dataclass(frozen=True)
class Owner:
    """The process that writes a run; ``machine`` tells hosts, boots and containers apart."""

    pid: int
    started: str
    host: str
    machine: str

    @classmethod
    def this_process(cls) -> Owner:
        return cls(os.getpid(), _started(os.getpid()) or "", platform.node(), _machine())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def dead(self) -> bool:
        """Whether the owner is known to have ended; False where nothing is known, as on another machine."""
        return self.machine == _machine() and _started(self.pid) != self.started


class RunLock:
    """Held by the writer from ``acquire`` to ``release``."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> RunLock:
        """Become the only writer; takes over a lock whose owner has ended.

        Raises:
            UserError: another process writes this run; names it.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            owner = _read_owner(descriptor)
            held = _lock(descriptor, fcntl.LOCK_EX)
            if held is False:
                # Someone holds it: the owner, a child the owner left behind, or a reader having a look.
                os.close(descriptor)
                if owner is not None and owner.dead:
                    path.unlink(missing_ok=True)
                elif time.monotonic() > deadline:
                    raise _refusal(path, owner)
                else:
                    time.sleep(0.02)
                continue
            if held is None and owner is not None and not owner.dead:
                os.close(descriptor)
                raise _refusal(path, owner)
            if not _is_still_at(path, descriptor):
                os.close(descriptor)
                continue
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(Owner.this_process())).encode("ascii"), 0)
            os.fsync(descriptor)
            return cls(path, descriptor)

    def release(self) -> None:
        """Give the run free; may be called twice."""
        if self._descriptor >= 0:
            if _is_still_at(self.path, self._descriptor):
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def owner_of(path: Path) -> Owner | None:
    """Who writes the run now; None if nobody does. Takes nothing over and writes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        owner = _read_owner(descriptor)
        held = _lock(descriptor, fcntl.LOCK_SH)
        if held is True or owner is None or owner.dead:
            return None
        return owner
    finally:
        os.close(descriptor)


def _refusal(path: Path, owner: Owner | None) -> UserError:
    who = str(owner) if owner is not None else "another process"
    return UserError(
        f"{path.parent} is being written by {who}. Wait for it, or stop it; reading is possible meanwhile."
    )


def _lock(descriptor: int, kind: int) -> bool | None:
    """True: got it. False: someone holds it. None: this file system has no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def _is_still_at(path: Path, descriptor: int) -> bool:
    """Whether ``path`` is the very file that is open, not one that replaced it meanwhile."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def _read_owner(descriptor: int) -> Owner | None:
    try:
        fields = json.loads(os.pread(descriptor, 4096, 0))
        return Owner(
            int(fields["pid"]), str(fields["started"]), str(fields["host"])[:80], str(fields["machine"])
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _started(pid: int) -> str | None:
    """When a process began, in its system's own notation; None if there is no such process."""
    if pid <= 0:
        return None
    if os.path.isdir("/proc/self"):
        try:
            # Fields follow the command in parentheses, which may itself hold spaces and parentheses.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        # A zombie has ended; only its parent has not noticed yet.
        return None if fields[0] in "ZX" else fields[19]
    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip() or None


def _machine() -> str:
    """Where process ids mean the same: host, boot and container."""
    parts = [platform.node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(os.stat("/proc/self/ns/pid").st_ino))
    except OSError:
        pass
    return "/".join(parts)
