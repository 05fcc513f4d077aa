"""Notebooks as plain text files and back, for writing them in an editor: cells divided by ``# %%``.

    python -m hyperprune_lab.teaching.percent NOTEBOOK.ipynb TEXT.py     (either way, by suffix)

The common percent format: ``# %% [markdown]`` opens a cell of text, whose lines are comments; ``tags=["live"]`` behind
the marker gives tags. Outputs are not kept. Knows nothing about executing.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from hyperprune_lab.errors import UserError
from hyperprune_lab.teaching.notebook import as_text, clear, normalize, read, tags

_MARKER = re.compile(r"^# %%(?P<markdown> \[markdown\])?(?: tags=(?P<tags>\[.*\]))?\s*$")


def parse(text: str) -> NotebookNode:
    """The notebook that a percent file spells out; cell ids follow from the contents.

    Raises:
        UserError: something stands before the first cell, a marker is misspelled, or a line of text is no comment.
    """
    notebook = nbformat.v4.new_notebook()
    cells: list[tuple[re.Match[str], list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%"):
            match = _MARKER.match(line)
            if match is None:
                raise UserError(f'line {number}: a cell opens with # %% or # %% [markdown] tags=["live"]')
            cells.append((match, []))
        elif cells:
            cells[-1][1].append(line)
        elif line.strip():
            raise UserError(f"line {number}: the file has to begin with # %%")
    seen: dict[str, int] = {}
    for match, lines in cells:
        source = "\n".join(lines).strip("\n")
        if match["markdown"]:
            cell = nbformat.v4.new_markdown_cell(
                "\n".join(_uncommented(line) for line in source.splitlines())
            )
        else:
            cell = nbformat.v4.new_code_cell(source)
        if match["tags"]:
            cell.metadata["tags"] = json.loads(match["tags"])
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:10]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        notebook.cells.append(cell)
    return notebook


def text_of(notebook: NotebookNode) -> str:
    """The percent file that spells out the notebook, without outputs."""
    parts = []
    for cell in notebook.cells:
        marker = "# %% [markdown]" if cell.cell_type == "markdown" else "# %%"
        if tags(cell):
            marker += f" tags={json.dumps(tags(cell))}"
        source = cell.source
        if cell.cell_type == "markdown":
            source = "\n".join(f"# {line}" if line else "#" for line in source.splitlines())
        parts.append(f"{marker}\n{source}\n")
    return "\n".join(parts)


def _uncommented(line: str) -> str:
    if line == "#":
        return ""
    if not line.startswith("# "):
        raise UserError(f"a cell of text consists of comments, but has the line {line[:60]!r}")
    return line[2:]


def main(arguments: list[str]) -> int:
    """Convert one file into the other."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    if source.suffix == ".ipynb":
        target.write_text(text_of(read(source)), encoding="utf-8")
    else:
        notebook = normalize(clear(parse(source.read_text(encoding="utf-8"))))
        target.write_text(as_text(notebook), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
