"""How a run is paused and stopped from outside: between two steps, never inside one.

Knows nothing about who asks: a signal handler, a widget, or a file in the run's directory.
"""

from __future__ import annotations

import threading
from pathlib import Path

_COMMANDS = ("run", "pause", "stop")


class RunControl:
    """A thread-safe switch with three positions; the run reads it between steps."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()

    def stop(self) -> None:
        """Ask the run to stop after the current step; what its last checkpoint holds is kept."""
        self._stop.set()
        self._go.set()

    def pause(self) -> None:
        """Ask the run to wait after the current step."""
        self._go.clear()

    def resume(self) -> None:
        """Let a paused run go on."""
        self._go.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    @property
    def paused(self) -> bool:
        """Whether the run is to wait."""
        return not self.stopping and not self._go.is_set()

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the run to be let go."""
        self._go.wait(seconds)


class FileControl(RunControl):
    """A control that another process moves by writing one word into ``control`` in the run's directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._path = control_path(directory)
        self._word = ""

    def _read(self) -> None:
        try:
            word = self._path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return
        if word == self._word:
            return
        self._word = word
        if word == "stop":
            self.stop()
        elif word == "pause":
            self.pause()
        elif word == "run":
            self.resume()

    @property
    def stopping(self) -> bool:
        self._read()
        return self._stop.is_set()


def control_path(directory: Path) -> Path:
    """The file that carries commands to a run in another process."""
    return directory / "control"


def send(directory: Path, command: str) -> None:
    """Tell the process that writes the run in ``directory`` to ``run``, ``pause`` or ``stop``."""
    if command not in _COMMANDS:
        raise ValueError(f"unknown command {command!r}")
    path = control_path(directory)
    temporary = path.with_suffix(".new")
    temporary.write_text(command, encoding="ascii")
    temporary.replace(path)
