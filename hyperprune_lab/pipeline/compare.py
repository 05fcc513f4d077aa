"""Several runs under one protocol, one after the other, each in a process of its own so that memory is its own.

Knows nothing about what the runs do; it follows their records' events through a pipe of results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import CheckpointReached, Event, ModuleDecided, WeightsChanged
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import RunControl
from hyperprune_lab.pipeline.session import run_to_record

_NOT_SENT = (CheckpointReached, ModuleDecided, WeightsChanged)


def compare(configs: list[RunConfig], out: Path, control: RunControl | None = None) -> Iterator[Event]:
    """Yield the events of each run in turn (large ones excepted); records go to ``out/<method>``.

    Raises ``UserError`` where ``out`` exists or two runs would have the same name.
    """
    out = Path(out)
    if out.exists():
        raise UserError(f"{out} exists: choose another output directory, or delete this one.")
    names = [config.method for config in configs]
    if len(set(names)) < len(names):
        raise UserError(f"a method stands twice in {', '.join(names)}: name each once")
    for config in configs:
        replace(config)
    context = get_context("spawn")
    for config in configs:
        receiver, sender = context.Pipe(duplex=True)
        child = context.Process(
            target=_run, args=(config.to_json(), str(out / config.method), sender), daemon=True
        )
        child.start()
        sender.close()
        stopped = yield from _follow(receiver, control)
        child.join()
        if stopped:
            return


def _follow(receiver: Connection, control: RunControl | None) -> Iterator[Event]:
    told = False
    while True:
        if control is not None and control.stopping and not told:
            receiver.send("stop")
            told = True
        if not receiver.poll(0.2):
            continue
        try:
            message = receiver.recv()
        except EOFError:
            return told
        if isinstance(message, str):
            raise UserError(message)
        yield message


def _run(values: dict[str, object], out: str, sender: Connection) -> None:
    control = RunControl()
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        for event in run_to_record(RunConfig.from_json(values), Path(out), control):
            if sender.poll():
                sender.recv()
                control.stop()
            if not isinstance(event, _NOT_SENT):
                sender.send(event)
    except UserError as error:
        sender.send(str(error))
    finally:
        sender.close()
