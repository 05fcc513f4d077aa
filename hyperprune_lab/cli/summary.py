"""A recorded run in a few lines: what it was asked, how far it came, what came out.

Knows nothing about how a record is stored, and needs neither pandas nor torch.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType

from hyperprune_lab.cli.tables import NOTHING, bytes_text, results_table, time_text, two_columns
from hyperprune_lab.record.store import RecordedEvent, Store

WORST = 5
_KINDS = (
    "StageStarted",
    "BlockFinished",
    "StageFinished",
    "ModuleDecided",
    "Notice",
    "RunStopped",
    "RunFailed",
)


def summarize(store: Store) -> dict[str, Any]:
    """Plain values about a run, running or not; ``worst`` are the modules with the largest relative error."""
    events = store.events(kinds=_KINDS)
    errors = {
        event.subject: event.scalars["error_rel"]
        for event in events
        if event.kind == "ModuleDecided" and "error_rel" in event.scalars
    }
    artefacts = store.artefacts()
    last_words = [event.payload for event in events if event.kind in ("RunStopped", "RunFailed")]
    first = store.events(kinds=("RunStarted",))
    return {
        "run": str(store.directory.root),
        "state": store.state,
        "owner": None if store.owner is None else str(store.owner),
        "started": first[0].time if first else None,
        "config": store.config,
        "stages": _stages(events),
        "worst": dict(sorted(errors.items(), key=lambda item: -item[1])[:WORST]),
        "notices": [
            f"{event.payload['level']}: {event.payload['message']}"
            for event in events
            if event.kind == "Notice"
        ],
        "last_words": last_words[-1] if last_words else None,
        "files": len(artefacts),
        "bytes": sum(file.bytes for file in artefacts),
        "result": store.result,
    }


def _stages(events: list[RecordedEvent]) -> list[dict[str, Any]]:
    """Every stage that began: how many of its blocks are done, and its seconds once it ended."""
    stages: dict[str, dict[str, Any]] = {}
    for event in events:
        name = event.stage or ""
        match event.kind:
            case "StageStarted":
                stages[name] = {"stage": name, "blocks": event.payload["blocks"], "done": 0, "seconds": None}
            case "BlockFinished":
                stages[name]["done"] += 1
            case "StageFinished":
                stages[name]["seconds"] = event.payload["seconds"]
    return list(stages.values())


def _settings(config: dict[str, Any]) -> str:
    """What was chosen, calibration included; what a preset expands to is left to the record."""
    flat = {name: value for name, value in config.items() if not isinstance(value, dict)}
    calibration = {f"calibration {name}": value for name, value in config.get("calibration", {}).items()}
    chosen = {
        name: value for name, value in {**flat, **calibration}.items() if value not in (None, False, [])
    }
    return ", ".join(f"{name} {value}" for name, value in chosen.items())


def picture(summary: dict[str, Any]) -> RenderableType:
    """The summary for people."""
    config = summary["config"]
    started = summary["started"]
    state = summary["state"] + (f", written by {summary['owner']}" if summary["owner"] else "")
    rows = [
        ("state", state),
        ("started", NOTHING if started is None else f"{datetime.fromtimestamp(started):%Y-%m-%d %H:%M:%S}"),
        ("settings", _settings(config)),
        ("files", f"{summary['files']}, {bytes_text(summary['bytes'])}"),
    ]
    for stage in summary["stages"]:
        took = "" if stage["seconds"] is None else f", {time_text(stage['seconds'])}"
        blocks = f"{stage['done']} of {stage['blocks']} blocks" if stage["blocks"] else "whole model"
        rows.append((f"stage {stage['stage']}", blocks + took))
    rows += [("large error", f"{name} {error:.4f}") for name, error in summary["worst"].items()]
    rows += [("notice", text) for text in summary["notices"]]
    if summary["last_words"] is not None:
        rows.append(("ended", summary["last_words"].get("cause") or summary["last_words"]["reason"]))
    parts: list[RenderableType] = [two_columns(rows, summary["run"])]
    if summary["result"] is not None:
        parts += ["", results_table([summary["result"]])]
    if summary["state"] in ("interrupted", "stopped", "failed"):
        parts.append(f"\nGo on with: hyperprune-lab resume {summary['run']}")
    return Group(*parts)
