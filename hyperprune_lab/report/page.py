"""The report: one run as one HTML file that works without a kernel, without a network, without this package.

Knows nothing about what the views show. The page holds the very modules that draw the views in a notebook.
"""

from __future__ import annotations

import base64
import html
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperprune_lab import __version__
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.report.book import Book, Writer, facts_of
from hyperprune_lab.widgets import assets
from hyperprune_lab.widgets.view import View

LARGEST_BYTES = 15_000_000
LARGEST_EMBEDDED_BYTES = 4_000_000
"""What the report of a run of the embedded model may weigh."""
EMBEDDED_MODEL = "demo"
_FOLDER = Path(__file__).parent
_MARGIN_BYTES = 60_000


@dataclass(frozen=True)
class Report:
    """What was written: the file, its size, and what it does not hold."""

    path: Path
    bytes: int
    left_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"path": str(self.path), "bytes": self.bytes, "left_out": list(self.left_out)}


def write_report(
    run: Run, out: Path | str, *, reference: Run | None = None, most_bytes: int | None = None
) -> Report:
    """Write the report of ``run`` to the file ``out``, replacing it.

    Raises:
        UserError: nothing is recorded yet, the folder is not there, or ``most_bytes`` is too few.
    """
    path = Path(out).expanduser()
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the file, such as {path / 'report.html'}.")
    if not path.parent.is_dir():
        raise UserError(f"There is no folder {path.parent} to write the report to.")
    if not run.started:
        raise UserError("The run is starting; nothing is recorded yet that a report could show.")
    embedded = str(run.started.get("model", {}).get("name", "")) == EMBEDDED_MODEL
    limit = most_bytes or (LARGEST_EMBEDDED_BYTES if embedded else LARGEST_BYTES)
    text, left = page(run, reference=reference, most_bytes=limit)
    _write(path, text)
    return Report(path, len(text.encode()), left)


def page(
    run: Run, *, reference: Run | None = None, most_bytes: int = LARGEST_BYTES
) -> tuple[str, tuple[str, ...]]:
    """The page as text, and what it does not hold.

    Raises:
        UserError: the record is damaged, or there are too few bytes.
    """
    writer = Writer(run, reference)
    scripts, styles = _scripts(writer.views), _styles(writer.views)
    # Compressed bytes stand in the page as letters, four for three.
    room = (most_bytes - len((scripts + styles).encode()) - _MARGIN_BYTES) * 3 // 4
    book = writer.write(max(0, room))
    name = run.directory.root.name
    book.cover = {
        "title": name,
        "facts": [list(pair) for pair in facts_of(run)],
        "left": book.left,
        "made": f"One run of HyperPrune Lab {__version__} as one file: it needs no network and sends nothing. "
        "Click, drag and use the keys as in the notebook; ? lists them.",
    }
    text = _page(name, _words(book), scripts, styles, book)
    size = len(text.encode())
    if size > most_bytes:
        raise UserError(f"The page would have {size:,} bytes, more than {most_bytes:,}: allow it more.")
    return text, tuple(book.left)


def _words(book: Book) -> str:
    """The report for readers without scripts: every view in words."""
    told = []
    for name, frame in book.frames.items():
        entry = next(iter(book.entries[name].values()))[-1]
        told.append(f"{frame['caption']['question']}\n{book.pool[entry[1 + book.own[name].index('twin')]]}")
    return "\n\n".join(told)


def _page(title: str, words: str, scripts: str, styles: str, book: Book) -> str:
    packed = base64.b64encode(book.packed()).decode("ascii")
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{html.escape(title)} · HyperPrune Lab</title>
<style>
{styles}
</style>
</head>
<body>
<main id="report"></main>
<noscript><h1>{html.escape(title)}</h1><pre>{html.escape(words)}</pre></noscript>
<script type="text/plain" id="book">{packed}</script>
<script type="module">
{scripts}
</script>
</body>
</html>
"""


def _styles(views: Mapping[str, View]) -> str:
    shared = assets.css("")
    own = dict.fromkeys(str(view._css).removeprefix(shared) for view in views.values())
    return "\n".join([shared, *own, _read("page.css")])


def _scripts(views: Mapping[str, View]) -> str:
    """The module of every view in a scope of its own, and the desk that they share on paper."""
    scopes = ",\n".join(f"{name}: {_scope(str(view._esm))}" for name, view in views.items())
    code = f"const openReport = {_scope(assets.esm('paper'))};\nopenReport({{\n{scopes}\n}});"
    if "</script" in code.lower() or "<!--" in code:
        raise RuntimeError("a view's module cannot stand in a page")
    return code


def _scope(module: str) -> str:
    """A module's one export as an expression."""
    before, mark, after = module.partition("export default")
    if not mark or "export default" in after:
        raise RuntimeError("a view's module has one default export")
    return f"(() => {{\n{before}return {after.lstrip()}\n}})()"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=".report-", suffix=".html", delete=False
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
