"""A run and its record together, in this process; ``launch`` puts them into one of their own.

Knows nothing about what the events mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Event, RunFailed, RunFinished
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import FileControl, RunControl, control_path
from hyperprune_lab.pipeline.launch import require_free
from hyperprune_lab.pipeline.run import Checkpoint, prune
from hyperprune_lab.record.writer import RecordWriter

_OWN_KEYS = ("hyperprune", "ladder", "evaluation", "window")


def run_to_record(config: RunConfig, out: Path, control: RunControl | None = None) -> Iterator[Event]:
    """Prune and record into ``out``, which must not exist; nothing is written if the input is at fault.

    The result in ``RunFinished`` gains ``run``, the record's path. Raises ``UserError``.
    """
    out = Path(out)
    require_free(out)
    yield from record_events(prune(config, control or FileControl(out)), out)


def record_events(events: Iterator[Event], out: Path) -> Iterator[Event]:
    """Record a run's events into ``out`` as they are taken; the folder is made when the first event is there."""
    first = next(events)
    with RecordWriter.create(out) as writer:
        yield from _recorded(_with(first, events), writer, out)


def resume_record(path: Path, control: RunControl | None = None) -> Iterator[Event]:
    """Go on with the run in ``path`` from its last checkpoint. Raises ``UserError``."""
    path = Path(path)
    with RecordWriter.resume(path) as writer:
        resumption = writer.resumption
        assert resumption is not None
        config = recorded_config(resumption.started["config"])
        control_path(path).unlink(missing_ok=True)
        checkpoint: Checkpoint | None = resumption.checkpoint
        yield from _recorded(prune(config, control or FileControl(path), checkpoint), writer, path)


def recorded_config(values: dict[str, object]) -> RunConfig:
    """The configuration of a recorded run; what the record adds for its readers is left out."""
    return RunConfig.from_json({name: value for name, value in values.items() if name not in _OWN_KEYS})


def _with(first: Event, rest: Iterator[Event]) -> Iterator[Event]:
    yield first
    yield from rest


def _recorded(events: Iterator[Event], writer: RecordWriter, path: Path) -> Iterator[Event]:
    try:
        for event in events:
            if isinstance(event, RunFinished):
                event = RunFinished(event.result | {"run": str(path)})
            writer.write(event)
            yield event
    except GeneratorExit:
        raise
    except BaseException as error:
        if writer.state == "running" and not isinstance(error, KeyboardInterrupt):
            failed = RunFailed(str(error) or type(error).__name__, type(error).__name__)
            _try_write(writer, failed)
        raise


def _try_write(writer: RecordWriter, event: Event) -> None:
    """Note the failure if the record still takes it; the error that caused it matters more than one in noting it."""
    try:
        writer.write(event)
    except (UserError, RuntimeError):
        return
