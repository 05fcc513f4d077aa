"""The commands that look: verify, evaluate, show, copy, regenerate, coverage, methods, doctor and lab.

Knows nothing about how anything is measured or stored; each asks one function and prints its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from hyperprune_lab.cli import options
from hyperprune_lab.cli.answer import answer
from hyperprune_lab.cli.tables import two_columns


def verify(run: options.Run, as_json: options.Json = False) -> None:
    """Check every mask and file of a run; exit code 1 where a pattern is broken or a file damaged."""
    from hyperprune_lab.record.verify import verify as verify_run

    found = verify_run(run)
    rows = [
        ("groups", f"{found.groups:,}"),
        ("violations", f"{found.violations:,}"),
        ("sha256", found.sha256),
    ]
    rows += [("damaged", text) for text in found.damaged] or [("damaged", "nothing")]
    answer(asdict(found), two_columns(rows, f"Masks of {run}"), as_json)
    if not found.sound:
        raise typer.Exit(1)


def show(run: options.Run, as_json: options.Json = False) -> None:
    """Sum up a run from its record: settings, progress, the worst modules, the result."""
    from hyperprune_lab.cli.summary import picture, summarize
    from hyperprune_lab.record.store import Store

    summary = summarize(Store(run))
    answer(summary, picture(summary), as_json)


def copy(
    run: options.Run,
    out: Annotated[Path, typer.Argument(help="The new folder.", show_default=False)],
    weights: Annotated[
        bool, typer.Option(help="Take the compensated weights along, the bulk of a record.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Copy a finished run, to be looked at elsewhere: masks, evidence and events, no weights unless asked for."""
    from hyperprune_lab.record.copy import copy_record

    copied = copy_record(run, out, weights=weights)
    size = sum(file.stat().st_size for file in copied.rglob("*") if file.is_file())
    rows = [("copy", str(copied)), ("size", f"{size / 1e6:.1f} MB")]
    answer({"run": str(copied), "bytes": size}, two_columns(rows, f"Copy of {run}"), as_json)


def evaluate(
    target: Annotated[str, typer.Argument(metavar="MODEL_OR_RUN", help="A model, or the folder of a run.")],
    text: Annotated[Path | None, typer.Option(help="A .txt file. Default: the embedded texts.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Of a run: dense, mask-only or compensated. Default: the last it has."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ... Default: the best there is.")] = None,
    window: Annotated[
        int | None, typer.Option(help="Tokens per window. Default: the model's context, at most 2048.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure perplexity of a model or of a run's result, by the field's protocol."""
    from hyperprune_lab.pipeline.evaluation import evaluate_target

    measured = evaluate_target(target, text, weights, device, window)
    answer(measured, two_columns(_rows(measured), target), as_json)


def regenerate(run: options.Run, as_json: options.Json = False) -> None:
    """Ask a run's network again and say how many groups it would still decide as recorded."""
    from hyperprune_lab.pipeline.regenerate import regenerate as regenerate_run

    report = regenerate_run(run)
    answer(report, two_columns(_rows(report), f"Masks of {run}, regenerated"), as_json)


def coverage(
    model: Annotated[str, typer.Option(help="A hub name, a local folder, or demo.")] = "demo",
    pattern: Annotated[str, typer.Option(help="n:m keeps n of every m weights.")] = "2:4",
    override: options.Overrides = None,
    trust_remote_code: options.Trust = False,
    as_json: options.Json = False,
) -> None:
    """Say which parameters of a model would be pruned, which not, and why."""
    from hyperprune_lab.models import coverage as cover
    from hyperprune_lab.models import open_model
    from hyperprune_lab.patterns import NMPattern

    wanted = NMPattern.parse(pattern)
    opened = open_model(model, trust_remote_code=trust_remote_code)
    covered = cover(opened.model, wanted, options.overrides(override or ()))
    rows = [
        {
            "name": row.name,
            "block": row.block,
            "shape": list(row.shape),
            "parameters": row.parameters,
            "status": row.status,
            "reason": row.reason,
            "pattern": None if row.pattern is None else str(row.pattern),
        }
        for row in covered.rows
    ]
    value = {
        "model": model,
        "pattern": str(wanted),
        "pruned_parameters": covered.pruned_parameters,
        "total_parameters": covered.total_parameters,
        "share": covered.share,
        "rows": rows,
    }
    answer(value, covered.table(), as_json)


def methods(as_json: options.Json = False) -> None:
    """List the pruning methods: what each does, where it comes from, what it costs."""
    from hyperprune_lab.methods.registry import method, method_names

    known = [method(name) for name in method_names()]
    fields = ("name", "summary", "reference", "kind", "cost", "updates_weights")
    value = [{name: getattr(one, name) for name in fields} for one in known]
    table = Table(title="Methods", title_justify="left", title_style="bold", pad_edge=False)
    for name in ("method", "what it does", "from", "kind", "cost"):
        table.add_column(name)
    for one in value:
        table.add_row(*(Text(one[column]) for column in ("name", "summary", "reference", "kind", "cost")))
    answer(value, table, as_json)


def doctor(as_json: options.Json = False) -> None:
    """Check this machine and installation, and say what to do about each trouble."""
    from hyperprune_lab.doctor import examine

    findings = examine()
    table = Table(box=None, show_header=False, pad_edge=False)
    colors = {"ok": "green", "warn": "yellow", "fail": "red"}
    for finding in findings:
        advice = f"\n→ {finding.advice}" if finding.advice else ""
        table.add_row(
            Text(finding.status, colors[finding.status]), finding.name, Text(finding.value + advice)
        )
    answer([vars(finding) for finding in findings], table, as_json)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def lab(
    port: Annotated[int, typer.Option(help="Port to listen on; the next free one is taken.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open the notebooks in JupyterLab."""
    from hyperprune_lab.cli.notebooks import open_lab

    open_lab(port, browser)


def _rows(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Plain values as rows; what lies in an object of its own is named after it."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{above}{name}: ")
        else:
            rows.append((above + name, f"{value:.4f}" if isinstance(value, float) else str(value)))
    return rows
