"""The commands that run something: prune, resume and compare.

Knows nothing about how pruning works: it follows a stream of events to its end and prints the result.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperprune_lab.cli import options
from hyperprune_lab.cli.answer import answer, complain, messages, say
from hyperprune_lab.cli.progress import ProgressView
from hyperprune_lab.cli.tables import results_table, two_columns
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Event, RunFailed, RunFinished, RunStopped
from hyperprune_lab.extras import need
from hyperprune_lab.runs import NEW, new_folder

if TYPE_CHECKING:
    from hyperprune_lab.pipeline.control import RunControl

FOUR_METHODS = "magnitude,wanda,sparsegpt,hyperprune"


@options.with_run_options
def prune(
    given: options.RunOptions,
    method: Annotated[
        str | None, typer.Option(help="One of those that `methods` lists. Default: hyperprune.")
    ] = None,
    out: options.Out = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background, also after this terminal closes.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Prune a model, leave a record of everything, print what it is worth and what it cost."""
    from hyperprune_lab.pipeline.control import FileControl
    from hyperprune_lab.pipeline.launch import launch
    from hyperprune_lab.pipeline.session import run_to_record

    chosen = {} if method is None else {"method": method}
    config = options.configuration({**given.settings(), **chosen})
    folder = out or new_folder(NEW, config.method, str(config.pattern))
    if detach:
        pid = launch(config, folder, detach=True)
        rows = [("process", str(pid)), ("record", str(folder)), ("look", f"hyperprune-lab show {folder}")]
        answer({"run": folder, "pid": pid}, two_columns(rows, "Running in the background"), as_json)
        return
    with stop_on_signal(FileControl(folder)) as control:
        results = follow(run_to_record(config, folder, control=control))
    answer(results[-1], results_table(results), as_json)


def resume(run: options.Run, as_json: options.Json = False) -> None:
    """Go on with an interrupted run, to the same masks as if nothing had happened."""
    from hyperprune_lab.pipeline.control import FileControl
    from hyperprune_lab.pipeline.session import resume_record

    with stop_on_signal(FileControl(run)) as control:
        results = follow(resume_record(run, control=control))
    answer(results[-1], results_table(results), as_json)


@options.with_run_options
def compare(
    given: options.RunOptions,
    methods: Annotated[str, typer.Option(help="Methods, separated by commas.")] = FOUR_METHODS,
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Prune a model by several methods under one protocol and print them side by side."""
    from hyperprune_lab.pipeline.compare import compare as compare_runs
    from hyperprune_lab.pipeline.control import RunControl

    need("torch", "transformers")  # of the workers, who could only say it late
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names:
        raise UserError("There is nothing to compare: name methods, as in --methods wanda,hyperprune.")
    configs = [options.configuration(_for_method(name, given.settings())) for name in names]
    folder = out or new_folder(NEW, "compare", str(configs[0].pattern))
    with stop_on_signal(RunControl()) as control:
        results = follow(compare_runs(configs, folder, control=control))
    answer(results, results_table(results), as_json)


def follow(events: Iterator[Event]) -> list[dict[str, Any]]:
    """Show the events of one or several runs as they happen; return the results, in order.

    Raises typer.Exit with code 1 where a run failed, and 130 where it was stopped.
    """
    results: list[dict[str, Any]] = []
    failure: RunFailed | None = None
    stopped = False
    with ProgressView(messages()) as view:
        for event in events:
            view.show(event)
            match event:
                case RunFinished():
                    results.append(event.result)
                case RunFailed():
                    failure = event
                case RunStopped():
                    stopped = True
    if stopped:
        say("What was done is kept: `hyperprune-lab resume` goes on from the last checkpoint.")
        raise typer.Exit(128 + signal.SIGINT)
    if failure is not None:
        complain(f"{failure.module}: {failure.cause}" if failure.module else failure.cause)
        raise typer.Exit(1)
    return results


@contextmanager
def stop_on_signal(control: RunControl) -> Iterator[RunControl]:
    """``control``, which stops its run on Ctrl-C or SIGTERM; a second signal ends the process at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        restore()
        say("Stopping after this step. Ctrl-C again leaves at once.")
        control.stop()

    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in handled}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield control
    finally:
        restore()


def _for_method(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a comparison as one method takes them: HyperPrune's own reach no other."""
    own = () if name == "hyperprune" else ("preset", "residual_logits")
    return {key: value for key, value in settings.items() if key not in own} | {"method": name}
