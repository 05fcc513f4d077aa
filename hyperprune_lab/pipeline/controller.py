"""Who holds the reins of a live run: one interface steers, the others follow until one takes over.

Knows nothing about widgets. A courtesy between people, not a lock: whoever can write the folder can take over, and
the reins of an interface whose process has ended lie free.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from hyperprune_lab.record.lock import Owner

_FILE = "controller"
_LONGEST = 4096


@dataclass(frozen=True)
class Controller:
    """An interface that steers a run: ``token`` tells interfaces of one process apart."""

    token: str
    owner: Owner

    def __str__(self) -> str:
        return str(self.owner)


def controller_of(directory: Path | str) -> Controller | None:
    """Who steers the run; None where nobody does, or the one who did has ended."""
    try:
        with open(Path(directory) / _FILE, encoding="utf-8", errors="replace") as file:
            values = json.loads(file.read(_LONGEST))
        owner = values["owner"]
        found = Controller(
            str(values["token"])[:80],
            Owner(int(owner["pid"]), str(owner["started"]), str(owner["host"])[:80], str(owner["machine"])),
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return None if found.owner.dead else found


def take_reins(directory: Path | str, token: str) -> Controller:
    """Become the one who steers, whoever did before; raises ``OSError`` where the folder cannot be written."""
    path = Path(directory) / _FILE
    mine = Controller(token, Owner.this_process())
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(asdict(mine)), encoding="utf-8")
    temporary.replace(path)
    return mine


def drop_reins(directory: Path | str, token: str) -> None:
    """Let go of the reins if they are held by ``token``; nothing happens otherwise."""
    held = controller_of(directory)
    if held is not None and held.token == token:
        (Path(directory) / _FILE).unlink(missing_ok=True)
