"""The command that looks before a run: check.

Knows nothing about how anything is estimated; it prints what was found.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from hyperprune_lab.cli import options
from hyperprune_lab.cli.answer import answer
from hyperprune_lab.cli.tables import NOTHING, bytes_text, millions, time_text, two_columns


@options.with_run_options
def check(
    given: options.RunOptions,
    method: Annotated[
        str | None, typer.Option(help="One of those that `methods` lists. Default: hyperprune.")
    ] = None,
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Say what a run would prune and what it would take, without starting it; exit code 1 where it could not begin."""
    from hyperprune_lab.pipeline.check import check as check_run

    chosen = {} if method is None else {"method": method}
    found = check_run({**given.settings(), **chosen}, out, ["runs"])
    answer(found, picture(found), as_json)
    if not found["ok"]:
        raise typer.Exit(1)


def picture(found: dict[str, Any]) -> RenderableType:
    """What was found, for people: blockers first."""
    rows: list[tuple[str, str]] = []
    if (model := found["model"]) is not None:
        rows.append(
            (
                "model",
                f"{model['name']}, {model['architecture']}, {millions(model['parameters'])} parameters in "
                f"{model['blocks']} blocks, {model['dtype']}",
            )
        )
    if (covered := found["coverage"]) is not None:
        rows.append(
            (
                "will be pruned",
                f"{covered['linears']} linears with {covered['pruned_parameters']:,} of "
                f"{covered['total_parameters']:,} parameters ({covered['share']:.1%})",
            )
        )
        rows += [
            (
                "stays as it is" if row["status"] == "dense" else "out of reach",
                f"{row['name']}, {millions(row['parameters'])}: {row['reason']}",
            )
            for row in covered["excluded"]
        ]
    if (data := found["data"]) is not None:
        rows.append(("reads", f"{data['samples']} windows of {data['window']} tokens: {data['source']}"))
    if (memory := found["memory"]) is not None:
        free = bytes_text(memory["available_bytes"])
        rows.append(
            ("memory", f"about {bytes_text(memory['needed_bytes'])} on {memory['device']}, {free} free")
        )
    if (seconds := found["seconds"]) is not None:
        rows.append(
            (
                "time",
                f"{time_text(seconds['low'])} to {time_text(seconds['high'])} (by {seconds['basis']})",
            )
        )
    if (disk := found["disk"]) is not None:
        free = bytes_text(disk["available_bytes"])
        rows.append(("disk", f"about {bytes_text(disk['needed_bytes'])}, {free} free in {disk['folder']}"))
    blockers = [Text(f"{one['field']}: {one['message']}", "red") for one in found["blockers"]]
    warnings = [Text(f"{one['field']}: {one['message']}", "yellow") for one in found["warnings"]]
    verdict = "This run can begin." if found["ok"] else "This run cannot begin like this:"
    return Group(
        two_columns(rows or [("checked", NOTHING)], "Before the run"), "", *warnings, verdict, *blockers
    )
