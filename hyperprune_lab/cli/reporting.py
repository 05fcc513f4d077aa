"""The command that shares a run: report.

Knows nothing about what stands in a report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperprune_lab.cli import options
from hyperprune_lab.cli.answer import answer
from hyperprune_lab.cli.tables import two_columns
from hyperprune_lab.extras import need


def report(
    run: options.Run,
    out: Annotated[
        Path | None,
        typer.Option(help="The HTML file; replaced if it is there. Default: the run's name, here."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The folder of a run to hold this one against.", metavar="RUN")
    ] = None,
    megabytes: Annotated[
        float | None,
        typer.Option(help="What the file may weigh at most. Default: 4 for the embedded model, else 15."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write a run as one HTML file that opens anywhere: no network, no kernel, nothing to install."""
    need("anywidget", "matplotlib", "pandas")
    from hyperprune_lab.record.reader import open_run
    from hyperprune_lab.report.page import write_report

    opened = open_run(run)
    path = Path(f"{opened.directory.root.resolve().name}.html") if out is None else out
    held_against = None if reference is None else open_run(reference)
    most = None if megabytes is None else int(megabytes * 1e6)
    written = write_report(opened, path, reference=held_against, most_bytes=most)
    rows = [("report", str(written.path)), ("size", f"{written.bytes / 1e6:.1f} MB")]
    rows += [("left out", words) for words in written.left_out]
    answer(written.to_json(), two_columns(rows, f"Report of {run}"), as_json)
