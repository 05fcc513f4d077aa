"""A JupyterLab server of its own and a page on one notebook, driven through headless Chromium.

Knows nothing about any view: it opens cells, runs them and remembers what the page complained of.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperprune_lab.cli.notebooks import lab_environment

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
_CONNECTED = """(() => {
  const kernel = window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel;
  return kernel && kernel.status === 'idle' && kernel.connectionStatus === 'connected';
})()"""
_CELLS = "[...window.jupyterapp.shell.currentWidget.content.model.cells].filter(cell => cell.type === 'code')"
_ALL_RUN = (
    f"{_CELLS}.every(cell => !cell.sharedModel.source.trim() || cell.executionCount !== null) && {_CONNECTED}"
)
_FAILED = (
    f"{_CELLS}.flatMap(cell => cell.outputs.toJSON())"
    ".filter(output => output.output_type === 'error').map(output => output.evalue)"
)
# What Jupyter itself says and no view can help.
_NOT_OURS = ("favicon", "Unsatisfied version", "source map")


class Laboratory:
    """A running server; ``page`` opens a notebook in it."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.browser, self._folder = browser, folder
        self._notebooks = folder / "notebooks"
        self._notebooks.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._token = secrets.token_hex(8)
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTER_DATA_DIR": "data",
            "IPYTHONDIR": "ipython",
        }
        environment = lab_environment() | {name: str(folder / part) for name, part in own.items()}
        root = Path(__file__).parents[2]
        environment["PYTHONPATH"] = os.pathsep.join([str(root), environment.get("PYTHONPATH", "")])
        self._log = (folder / "server.log").open("w")
        self._server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self._port}", "--ServerApp.port_retries=0"),
                *(f"--IdentityProvider.token={self._token}", f"--ServerApp.root_dir={self._notebooks}"),
                "--LabApp.expose_app_in_browser=True",
            ],
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api?token={self._token}", timeout=5)
                return
            except OSError:
                time.sleep(0.3)
        raise TimeoutError("the server did not come up")

    def notebook(self, cells: Sequence[str], width: int = 1440, height: int = 900) -> Any:
        """A page on a new notebook of these code cells, its kernel connected, nothing run yet."""
        return self.copy_of(json.dumps(_notebook(cells)), width, height)

    @contextmanager
    def copy_of(self, content: str, width: int = 1440, height: int = 900) -> Iterator[Notebook]:
        """The same for a notebook that there is: ``content`` is its file's text."""
        name = f"{secrets.token_hex(4)}.ipynb"
        (self._notebooks / name).write_text(content, encoding="utf-8")
        with self._page(width, height) as (page, complaints):
            page.goto(f"http://127.0.0.1:{self._port}/lab/tree/{name}?token={self._token}&reset")
            page.wait_for_function(_CONNECTED, timeout=120_000)
            yield Notebook(page, complaints)

    @contextmanager
    def file(self, path: Path, width: int = 1440, height: int = 900) -> Iterator[tuple[Any, list[str]]]:
        """A page on a file, which may ask for nothing else, and what it complains of."""
        with self._page(width, height) as (page, complaints):
            page.on("request", lambda asked: asked.url.startswith("http") and complaints.append(asked.url))
            page.goto(path.as_uri())
            yield page, complaints

    @contextmanager
    def _page(self, width: int, height: int) -> Iterator[tuple[Any, list[str]]]:
        page = self.browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        complaints: list[str] = []
        page.on("console", lambda told: told.type == "error" and complaints.append(told.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            yield page, complaints
        finally:
            page.close()

    def close(self) -> None:
        """End the server and its kernels."""
        self._server.terminate()
        self._server.wait(30)
        self._log.close()


class Notebook:
    """One open notebook."""

    def __init__(self, page: Any, complaints: list[str]) -> None:
        self.page = page
        self._complaints = complaints

    @property
    def complaints(self) -> list[str]:
        """Errors of the page and of its console that a view could have caused."""
        return [text for text in self._complaints if not any(known in text for known in _NOT_OURS)]

    def run_all(self) -> None:
        """Start all cells; does not wait for them."""
        self.page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def failures(self) -> list[str]:
        """What went wrong in cells, once all of them have been run."""
        self.page.wait_for_function(_ALL_RUN, timeout=240_000)
        return self.page.evaluate(_FAILED)

    def restart(self) -> None:
        """Restart the kernel, as the menu does, and wait for it."""
        self.page.evaluate("void window.jupyterapp.commands.execute('kernelmenu:restart')")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_timeout(500)
        self.page.wait_for_function(_CONNECTED, timeout=60_000)

    def cells(self) -> list[str]:
        """The sources of all cells as the notebook now has them."""
        return self.page.evaluate(
            "[...window.jupyterapp.shell.currentWidget.content.model.cells].map(cell => cell.sharedModel.source)"
        )

    def view(self, name: str) -> Any:
        """The root of a view by its identifier."""
        return self.page.locator(f'[data-hp-view="{name}"]').first

    def wait_for(self, name: str, **expected: str) -> None:
        """Wait until the view's data attributes (``state="finished"``) are as expected."""
        attributes = "".join(f'[data-hp-{key}="{value}"]' for key, value in expected.items())
        self.page.locator(f'[data-hp-view="{name}"]{attributes}').first.wait_for(timeout=60_000)


def _notebook(cells: Sequence[str]) -> dict[str, Any]:
    return {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def flags() -> list[str]:
    """How Chromium is started."""
    return _FLAGS
