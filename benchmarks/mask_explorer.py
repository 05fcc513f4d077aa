"""How quick is the mask explorer on a large matrix? Tiles, blank tiles and frames, in a real JupyterLab in Chromium.

Writes a synthetic run of one 4096 x 11008 linear with its weights, opens it in JupyterLab with the settings of
`hyperprune-lab lab`, then zooms, jumps and drags as a person would. Prints, for each part, how long tiles took from
being wanted to being drawn, how often nothing at all could be drawn, and how many frames a second showed other pixels.

    python benchmarks/mask_explorer.py --chromium /usr/bin/chromium
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hyperprune_lab import events as ev
from hyperprune_lab.cli.notebooks import lab_environment
from hyperprune_lab.folders import weight_files, weights_digest
from hyperprune_lab.patterns import NMPattern, pack
from hyperprune_lab.record.tensors import write_tensors
from hyperprune_lab.record.writer import RecordWriter

MODULE = "model.layers.0.mlp.down_proj"
TOKEN = "benchmark"
READY = (
    "(() => { const k = window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel;"
    " return k && k.status === 'idle' && k.connectionStatus === 'connected'; })()"
)
# Counts frames whose pixels differ from the frame before, on a small copy of the canvas.
WATCH = """() => {
  const canvas = document.querySelector('[data-hp-view=mask] .hp-left canvas');
  const small = new OffscreenCanvas(64, 36).getContext('2d', { willReadFrequently: true });
  const seen = (window.hpSeen = { frames: 0, changed: 0, start: performance.now(), on: true });
  let before = '';
  const look = () => {
    small.drawImage(canvas, 64, 62, canvas.width - 64, canvas.height - 62, 0, 0, 64, 36);
    const now = small.getImageData(0, 0, 64, 36).data.join();
    seen.frames += 1;
    seen.changed += now !== before;
    before = now;
    if (seen.on) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
WATCHED = """() => {
  const seen = window.hpSeen;
  seen.on = false;
  const seconds = (performance.now() - seen.start) / 1000;
  return [seen.frames / seconds, seen.changed / seconds];
}"""


def write_run(folder: Path, rows: int, columns: int) -> Path:
    """A finished run of one linear: some loud inputs, Wanda-like masks, and the weights beside it."""
    rng = np.random.default_rng(0)
    pattern = NMPattern.parse("2:4")
    weight = rng.standard_normal((rows, columns), dtype=np.float32)
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    write_tensors(model / "model.safetensors", {f"{MODULE}.weight": weight.astype(np.float16)}, {})
    digest, covers = weights_digest(weight_files(model))
    rms = np.exp(0.5 * rng.standard_normal(columns)).astype(np.float32)
    rms[rng.integers(0, columns, 30)] *= 12
    score = np.abs(weight) * rms
    wanda = pattern.project(score)
    mask = pattern.project(score * rng.uniform(0.6, 1.4, score.shape).astype(np.float32))
    lost = np.square(score, out=score)
    errors = (lost * ~mask).sum(1) / lost.sum()
    row = {"name": MODULE, "block": 0, "shape": [rows, columns], "parameters": rows * columns}
    row |= {"status": "pruned", "reason": "", "pattern": str(pattern)}
    identity = {"name": str(model), "sha256": digest, "covers": covers}
    decided: dict[str, Any] = {
        "row_errors": errors,
        "row_energies": lost.sum(1) / lost.sum(),
        "mask_wanda": pack(wanda),
    }
    path = folder / "run"
    with RecordWriter.create(path) as writer:
        writer.write(ev.RunStarted({"method": "synthetic"}, {}, identity, {}, [row], ["layers"]))
        writer.write(ev.StageStarted("layers", 1))
        writer.write(ev.BlockStarted("layers", 0))
        writer.write(ev.InputMeasured("layers", 0, "down", (MODULE,), {"tokens": 1.0}, {"channel_rms": rms}))
        scalars = {"error_rel": float(errors.sum())}
        writer.write(ev.ModuleDecided("layers", 0, MODULE, str(pattern), mask, scalars, decided))
        writer.write(ev.BlockFinished("layers", 0, 1.0, 1))
        writer.write(ev.StageFinished("layers", 1.0))
        writer.write(ev.RunFinished({"method": "synthetic", "pattern": str(pattern)}))
    return path


@contextmanager
def jupyter(folder: Path, code: str, port: int) -> Iterator[str]:
    """A server of its own with one notebook that holds ``code``; yields the notebook's address."""
    for name in ("notebooks", "config/labconfig"):
        (folder / name).mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    settings = {"@jupyterlab/apputils-extension:notification": quiet}
    (folder / "config/labconfig/default_setting_overrides.json").write_text(json.dumps(settings))
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": code,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "notebooks/benchmark.ipynb").write_text(json.dumps(notebook))
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_DATA_DIR": "data",
        "IPYTHONDIR": "ipy",
    }
    environment = {**lab_environment(), **{name: str(folder / part) for name, part in own.items()}}
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
    command += [f"--ServerApp.root_dir={folder / 'notebooks'}", "--LabApp.expose_app_in_browser=True"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{address}/api?token={TOKEN}").close()
                    break
                except OSError:
                    time.sleep(0.25)
            yield f"{address}/lab/tree/benchmark.ipynb?token={TOKEN}&reset"
        finally:
            server.terminate()
            server.wait(30)


class Driver:
    """A person at the mask explorer, with a stop watch."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.root = page.locator("[data-hp-view=mask]").first
        self.canvas = self.root.locator(".hp-left canvas")
        self.rng = np.random.default_rng(1)
        self.all: list[float] = []

    def settled(self) -> None:
        """Until nothing is missing."""
        self.page.wait_for_function("document.querySelector('[data-hp-view=mask]').dataset.hpMissing === '0'")
        self.page.wait_for_timeout(60)

    def measured(self, name: str, act: Callable[[], None], frames: bool = False) -> None:
        """Do something, and print what it was like."""
        before = len(self._tiles()["times"])
        if frames:
            self.page.evaluate(WATCH)
        act()
        shown = self.page.evaluate(WATCHED) if frames else None
        self.settled()
        times = self._tiles()["times"][before:]
        self.all += times
        rate = f"{shown[1]:5.1f} of {shown[0]:5.1f}" if shown else ""
        print(f"{name:36}{figures(times)}  {rate}", flush=True)

    def press(self, key: str, times: int = 1, pause: int = 0) -> None:
        for _ in range(times):
            self.root.focus()
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(pause)
            self.settled()

    def jump(self) -> None:
        """To places that were never seen, as when a finding is followed."""
        for _ in range(12):
            row, column = self.rng.integers(0, 4096), self.rng.integers(0, 11008)
            self.root.focus()
            self.page.keyboard.press("g")
            self.page.keyboard.type(f"{row},{column}")
            self.page.keyboard.press("Enter")
            self.page.wait_for_timeout(40)
            self.settled()

    def drag(self) -> None:
        """Three seconds of panning, back and forth and on."""
        box = self.canvas.bounding_box()
        x, y = box["x"] + 120, box["y"] + 120
        end = time.monotonic() + 3
        self.page.mouse.move(x + 400, y + 150)
        self.page.mouse.down()
        step = 0
        while time.monotonic() < end:
            step += 1
            self.page.mouse.move(x + 400 - 6 * (step % 66), y + 150 - 2 * (step % 66))
            if step % 66 == 65:
                self.page.mouse.up()
                self.page.mouse.move(x + 400, y + 150)
                self.page.mouse.down()
        self.page.mouse.up()

    def wheel(self) -> None:
        """Into the matrix and out again with Ctrl and the wheel."""
        box = self.canvas.bounding_box()
        self.page.mouse.move(box["x"] + 300, box["y"] + 200)
        self.page.keyboard.down("Control")
        for delta in (*[-100] * 14, *[100] * 14):
            self.page.mouse.wheel(0, delta)
            self.page.wait_for_timeout(50)
        self.page.keyboard.up("Control")

    def _tiles(self) -> dict[str, Any]:
        return self.root.evaluate("(root) => root.parentElement.hpTiles")


def figures(times: list[float]) -> str:
    """Count, median and 95th percentile."""
    if not times:
        return f"{0:6d}{'–':>10}{'–':>10}"
    ordered = sorted(times)
    return f"{len(times):6d}{statistics.median(times):10.0f}{ordered[int(0.95 * len(times))]:10.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser's executable")
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--columns", type=int, default=11008)
    parser.add_argument("--port", type=int, default=8876)
    parser.add_argument("--run", type=Path, help="a run to look at instead of a synthetic one")
    options = parser.parse_args()

    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = options.run or write_run(folder, options.rows, options.columns)
        code = f"from hyperprune_lab.widgets.mask_explorer import MaskExplorer\nMaskExplorer({str(run)!r})"
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        with jupyter(folder, code, options.port) as address, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=options.chromium, headless=True, args=arguments)
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_function(READY)
            page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
            page.wait_for_function("document.querySelector('[data-hp-view=mask]')?.dataset.hpMissing === '0'")
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
            print(f"{'':36}{'tiles':>6}{'median ms':>10}{'p95 ms':>10}  frames a second that changed")
            driver = Driver(page)
            driver.measured("wheel in and out", driver.wheel)
            driver.press("0")
            for level, presses in (("overview", 2), ("overview, closer", 2), ("mask", 2), ("cells", 1)):
                driver.measured(f"zoom to {level}", lambda n=presses: driver.press("+", n))  # type: ignore[misc]
                driver.measured(f"drag: {level}", driver.drag, frames=True)
            driver.measured("jump: weights", driver.jump)
            driver.measured("drag: weights", driver.drag, frames=True)
            driver.press("d")
            driver.press("0")
            driver.measured("difference: zoom", lambda: driver.press("+", 4))
            driver.measured("difference: drag", driver.drag, frames=True)
            blank = driver._tiles()["blank"]
            print(f"{'all':36}{figures(driver.all)}  blank tiles: {blank}")
            browser.close()


if __name__ == "__main__":
    main()
