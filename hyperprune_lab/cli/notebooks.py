"""JupyterLab on the project's notebooks, with the server settings that its views want.

Knows nothing about what stands in the notebooks.

The settings lie in the folder ``jupyter`` beside this file and are added to Jupyter's configuration path for
this server only; what a person has configured elsewhere still counts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hyperprune_lab.cli.answer import say
from hyperprune_lab.errors import UserError
from hyperprune_lab.extras import need

SETTINGS = Path(__file__).parent / "jupyter"
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def lab_command(port: int, browser: bool) -> list[str]:
    """The command line of the server; to root, as in a container, Jupyter wants to be told.

    Raises:
        UserError: JupyterLab is not installed, or the package does not run from a checkout with notebooks.
    """
    need("jupyterlab")
    if not NOTEBOOKS.is_dir():
        raise UserError(f"There are no notebooks at {NOTEBOOKS}: `lab` works from a checkout of the project.")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={NOTEBOOKS}",
        f"--ServerApp.port={port}",
    ]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def lab_environment() -> dict[str, str]:
    """The environment of the server: Jupyter also looks for settings in our folder."""
    paths = [str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    return {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in paths if path)}


def open_lab(port: int, browser: bool) -> None:
    """Become the JupyterLab server."""
    command = lab_command(port, browser)
    say(f"JupyterLab on {NOTEBOOKS}. Ctrl-C twice ends it; runs that were started from it go on.")
    os.execve(command[0], command, lab_environment())
