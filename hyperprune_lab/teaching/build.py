"""Builds the notebooks: runs each in a fresh kernel and saves it as people will read it.

    python -m hyperprune_lab.teaching.build [names]

Without names, all of them. Nothing is saved where a cell fails or where the result must not be published (see
`hyperprune_lab.teaching.notebook.problems`). Knows nothing about what a notebook teaches.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from hyperprune_lab.errors import UserError
from hyperprune_lab.teaching import progress
from hyperprune_lab.teaching.notebook import (
    as_text,
    clear,
    named_notebooks,
    normalize,
    problems,
    read,
)

SECONDS = 120
"""What a notebook may take in all on two cores."""
_CELL_SECONDS = 100
_SLOW_SECONDS = 5.0

ENVIRONMENT = {progress.VARIABLE: "off", "PYTHONHASHSEED": "0", "TQDM_DISABLE": "1"}
"""What the kernel is started with: nothing of whoever builds shows in the result."""


def execute(notebook: NotebookNode, folder: Path) -> list[float]:
    """Run all cells, in place, in a fresh kernel whose working folder is ``folder``; return each cell's seconds.

    Raises:
        UserError: a cell failed, took too long, or ended the kernel; the message has its source and what was raised.
    """
    clear(notebook)
    seconds = [0.0] * len(notebook.cells)

    def begin(cell_index: int, **_: object) -> None:
        seconds[cell_index] -= time.monotonic()

    def end(cell_index: int, **_: object) -> None:
        seconds[cell_index] += time.monotonic()

    client = NotebookClient(
        notebook,
        timeout=_CELL_SECONDS,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=begin,
        on_cell_executed=end,
    )
    with _environment():
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise UserError(str(error)) from None
    return seconds


def build(path: Path) -> list[float]:
    """Run the notebook and save it over itself; return each cell's seconds.

    Raises:
        UserError: a cell failed, or the result must not be saved; the file is then as it was.
    """
    notebook = read(path)
    seconds = execute(notebook, path.parent)
    normalize(notebook)
    wrong = problems(notebook)
    if sum(seconds) > SECONDS:
        wrong.append(f"it took {sum(seconds):.0f} s, and may take {SECONDS} s")
    if wrong:
        listed = "\n".join(f"  {line}" for line in wrong)
        raise UserError(f"{path.name} is not saved:\n{listed}")
    path.write_text(as_text(notebook), encoding="utf-8")
    return seconds


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 where every notebook was saved."""
    parser = argparse.ArgumentParser(
        prog="python -m hyperprune_lab.teaching.build",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01")
    chosen = parser.parse_args(arguments)
    failed = 0
    try:
        paths = named_notebooks(chosen.names)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for path in paths:
        try:
            seconds = build(path)
        except UserError as error:
            print(error, file=sys.stderr)
            failed += 1
            continue
        print(f"{path.name}: {sum(seconds):.0f} s, {path.stat().st_size:,} bytes")
        cells = read(path).cells
        for place, spent in enumerate(seconds):
            if spent > _SLOW_SECONDS:
                print(f"  cell {place}: {spent:.1f} s  {cells[place].source.splitlines()[0][:70]}")
    return 1 if failed else 0


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


if __name__ == "__main__":
    sys.exit(main())
