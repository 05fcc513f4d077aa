"""Notebook files: where they lie, what their cells are tagged, and how one is written so that two builds are alike.

Knows nothing about executing them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from hyperprune_lab.errors import UserError

FOLDER = Path(__file__).parents[2] / "notebooks"
LARGEST_BYTES = 1_000_000

SOLUTION = "solution"
"""A cell with an answer: folded away here, absent from student copies."""
EXERCISE = "exercise"
"""A cell with an answer to fill in."""
LIVE = "live"
"""A cell whose output differs from run to run; it is also tagged `IGNORED`, and a cell with an assertion follows."""
IGNORED = "nbval-ignore-output"
INSTRUCTOR = "instructor"
"""A cell for whoever teaches; absent from student copies."""

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_ABSOLUTE = re.compile(
    r"(?<![\w.:/\\<])(?:/(?:home|root|Users|tmp|work|usr|opt|var|mnt|private)/|[A-Za-z]:\\\\?)[^\s\"'<>]+"
)


def named_notebooks(names: list[str]) -> list[Path]:
    """The project's notebooks whose names begin so (``01``), or all of them.

    Raises:
        UserError: a name fits none, or there are none at all.
    """
    known = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
    if not known:
        raise UserError(f"There are no notebooks in {FOLDER}: they come with a checkout of the project.")
    if not names:
        return known
    chosen: list[Path] = []
    for name in names:
        found = [path for path in known if path.name.startswith(Path(name).name)]
        if not found:
            raise UserError(
                f"There is no notebook {name!r}. There are: {', '.join(path.stem for path in known)}."
            )
        chosen += found
    return chosen


def read(path: Path) -> NotebookNode:
    """A notebook file.

    Raises:
        UserError: it cannot be read as one.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise UserError(f"{path.name} is no notebook: {str(error).splitlines()[0]}") from None
    return notebook


def as_text(notebook: NotebookNode) -> str:
    """What stands in the file."""
    return nbformat.writes(notebook, version=4) + "\n"


def tags(cell: NotebookNode) -> list[str]:
    """The cell's tags."""
    return list(cell.metadata.get("tags", []))


def normalize(notebook: NotebookNode) -> NotebookNode:
    """Take out, in place, what differs between two builds of the same notebook or is dead without a kernel.

    Widget views, widget state, times of execution, versions of the kernel; neighboring pieces of the same stream
    become one. Solutions are folded away.
    """
    notebook.metadata = NotebookNode(
        {"kernelspec": NotebookNode(_KERNEL), "language_info": NotebookNode({"name": "python"})}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        kept: dict[str, Any] = {"tags": tags(cell)} if tags(cell) else {}
        if SOLUTION in tags(cell):
            kept["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
            for output in cell.outputs:
                _clean(output)
    return notebook


def clear(notebook: NotebookNode) -> NotebookNode:
    """Take out all outputs, in place."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def problems(notebook: NotebookNode) -> list[str]:
    """Why an executed notebook must not be saved; empty where it may.

    A failed cell, something on stderr (warnings are shown to readers, and differ between machines), paths of this
    machine, and too large a file.
    """
    found = []
    for place, cell in enumerate(notebook.cells):
        where = f"cell {place} ({_first_line(cell.source)})"
        found += [f"{where}: the path {path} is of this machine" for path in _ABSOLUTE.findall(cell.source)]
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"{where}: {output.ename}: {output.evalue}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"{where} writes to stderr: {output.text.strip()[:300]}")
            for text in _texts(output):
                found += [f"{where}: its output names {path}" for path in _ABSOLUTE.findall(text)]
    size = len(as_text(notebook).encode())
    if size > LARGEST_BYTES:
        found.append(f"the file would have {size:,} bytes; at most {LARGEST_BYTES:,} are good to read")
    return found


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    joined: list[NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else NotebookNode(output_type="")
        if output.output_type == before.output_type == "stream" and output.name == before.name:
            before.text += output.text
        else:
            joined.append(output)
    return joined


def _clean(output: NotebookNode) -> None:
    if "data" in output:
        output.data.pop(_WIDGET_VIEW, None)
    output.pop("transient", None)


def _texts(output: NotebookNode) -> list[str]:
    """All that is text in an output: images are not searched."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return list(output.traceback)
    data: dict[str, Any] = output.get("data", {})
    return [str(value) for mime, value in data.items() if not mime.startswith("image/") or "svg" in mime]


def _first_line(source: str) -> str:
    lines = source.strip().splitlines()
    return lines[0][:60] if lines else "empty"
