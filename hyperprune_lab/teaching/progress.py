"""What a learner has solved so far, kept in one small file on the learner's own machine.

Knows nothing about right answers. Nothing is sent anywhere; losing the file loses ticks and nothing else, so that no
failure to read or write it is ever in the way of a lesson.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hyperprune_lab.teaching.feedback import Feedback

VARIABLE = "HYPERPRUNE_LAB_PROGRESS"
"""Names another file; ``off`` keeps nothing (notebooks are built and tested so)."""

_asked: dict[str, None] = {}


def progress_file() -> Path | None:
    """Where progress is kept, or None where it is switched off."""
    named = os.environ.get(VARIABLE)
    if named == "off":
        return None
    return Path(named).expanduser() if named else Path.home() / ".hyperprune-lab" / "progress.json"


def ask(name: str) -> None:
    """Let an exercise be known, in the order of the lesson; names begin with their lesson, as in ``01/patterns``."""
    _asked[name] = None


def note(name: str, solved: bool) -> None:
    """Count one attempt; what was solved once stays solved."""
    file = progress_file()
    if file is None:
        return
    known = read()
    entry = known.setdefault(name, {"attempts": 0, "solved": False})
    entry["attempts"] += 1
    entry["solved"] = entry["solved"] or solved
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".progress-")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(known, out, indent=1, sort_keys=True)
        Path(draft).replace(file)


def read() -> dict[str, dict[str, Any]]:
    """Attempts and successes by exercise; empty where there is no readable file."""
    file = progress_file()
    try:
        known = json.loads(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {
        str(name): {"attempts": int(entry.get("attempts", 0)), "solved": bool(entry.get("solved"))}
        for name, entry in known.items()
        if isinstance(entry, dict) and isinstance(entry.get("attempts", 0), int)
    }


def show_progress(lesson: str) -> Feedback:
    """The exercises of one lesson (``01``) with what became of them, as far as they have been met."""
    file = progress_file()
    if file is None:
        return Feedback(
            "note",
            "Your progress",
            "Which exercises you have solved appears here when you run this notebook yourself. "
            "It is kept on your machine only.",
        )
    known = read()
    names = [name for name in _asked if name.startswith(f"{lesson}/")]
    lines = []
    for name in names:
        entry = known.get(name, {"attempts": 0, "solved": False})
        state = "solved" if entry["solved"] else "open" if not entry["attempts"] else "not solved yet"
        tries = f", {entry['attempts']} tries" if entry["attempts"] > 1 else ""
        lines.append(f"{'✓' if entry['solved'] else '·'} {name.partition('/')[2]}: {state}{tries}")
    solved = sum(known.get(name, {}).get("solved", False) for name in names)
    return Feedback("note", f"{solved} of {len(names)} exercises of this notebook solved", "\n".join(lines))
