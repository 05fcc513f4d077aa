"""Student copies: the notebooks without solutions, without outputs, ready to be filled in.

    python -m hyperprune_lab.teaching.student --out FOLDER [names] [--keep-outputs]

Outputs go because they answer the questions that ask for a prediction. Knows nothing about what a notebook teaches.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nbformat import NotebookNode

from hyperprune_lab.errors import UserError
from hyperprune_lab.teaching.notebook import (
    INSTRUCTOR,
    SOLUTION,
    as_text,
    clear,
    named_notebooks,
    normalize,
    read,
    tags,
)


def student_copy(notebook: NotebookNode, keep_outputs: bool = False) -> NotebookNode:
    """The notebook, changed in place, without the cells that are not for students."""
    notebook.cells = [cell for cell in notebook.cells if not {SOLUTION, INSTRUCTOR} & set(tags(cell))]
    return normalize(notebook if keep_outputs else clear(notebook))


def write_copies(out: Path, names: list[str], keep_outputs: bool = False) -> list[Path]:
    """Write a copy of every notebook named (all of them, without names) into the folder ``out``.

    Raises:
        UserError: no such notebook, or a file is in the way: copies may hold somebody's work.
    """
    sources = named_notebooks(names)
    targets = [out / path.name for path in sources]
    in_the_way = [target.name for target in targets if target.exists()]
    if in_the_way:
        raise UserError(
            f"{out} already holds {', '.join(in_the_way)}: choose another folder, or move them away."
        )
    out.mkdir(parents=True, exist_ok=True)
    for source, target in zip(sources, targets, strict=True):
        target.write_text(as_text(student_copy(read(source), keep_outputs)), encoding="utf-8")
    return targets


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m hyperprune_lab.teaching.student",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 01")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--keep-outputs", action="store_true", help="leave pictures and numbers in")
    chosen = parser.parse_args(arguments)
    try:
        written = write_copies(chosen.out, chosen.names, chosen.keep_outputs)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
