"""The application: all commands under one name, and what becomes of errors.

Knows nothing about any single command.

Exit codes: 0 done; 1 the answer is no (violated or damaged masks, a failed run, an unfit machine); 2 a
mistake in what was asked, told in one paragraph; 130 stopped on request.
"""

from __future__ import annotations

import errno
import signal
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hyperprune_lab import __version__
from hyperprune_lab.cli import checking, inspecting, reporting, running
from hyperprune_lab.cli.answer import complain, say
from hyperprune_lab.errors import UserError
from hyperprune_lab.extras import EXTRA_OF, missing


class Commands(TyperGroup):
    """The group of all commands, where errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a person's mistake ends with exit code 2 and its message."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            complain(str(error))
            raise typer.Exit(2) from None
        except ModuleNotFoundError as error:
            if error.name not in EXTRA_OF:
                raise
            complain(str(missing(error.name)))
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            complain(f"The disk is full: {error}. Free some space or choose another folder with --out.")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            say("Stopped.")
            raise typer.Exit(128 + signal.SIGINT) from None


app = typer.Typer(
    name="hyperprune-lab",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Prune language models to n:m sparsity with a hypernetwork, and see what happens inside. "
    "n:m keeps n of every m weights: 2:4 keeps 2 of every 4.",
)


def _version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"hyperprune-lab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave."),
    ] = None,
) -> None:
    pass


for command in (
    running.prune,
    running.resume,
    running.compare,
    checking.check,
    inspecting.verify,
    inspecting.evaluate,
    inspecting.show,
    inspecting.copy,
    inspecting.regenerate,
    inspecting.coverage,
    inspecting.methods,
    inspecting.doctor,
    inspecting.lab,
    reporting.report,
):
    app.command()(command)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="hyperprune-lab")
