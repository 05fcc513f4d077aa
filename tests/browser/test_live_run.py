"""A real run of the embedded model, started and steered by clicking, in a kernel that is restarted meanwhile."""

from __future__ import annotations

import time

import pytest

from hyperprune_lab.pipeline.launch import steer
from hyperprune_lab.shelf import shelf

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

_FILLED = "[data-hp-view='map'] [data-module][data-value]:not([data-value=''])"


def cell(folder) -> str:
    return "\n".join(
        [
            "from IPython.display import display",
            "from hyperprune_lab import Desk, ModelMap, RunControl",
            "desk = Desk()",
            f"control = RunControl(desk, folders=[{str(folder)!r}], samples='32', compensation='none')",
            "display(control, ModelMap(desk))",
        ]
    )


def only_run(folder):
    entries = shelf([folder])
    return entries[0] if entries else None


def until(true, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "runs"
    for entry in shelf([tmp_path / "runs"]):
        if entry.running:
            steer(entry.path, "stop")
    until(lambda: not any(entry.running for entry in shelf([tmp_path / "runs"])))


def test_a_run_is_started_watched_paused_resumed_found_again_and_stopped(laboratory, folder):
    folder.mkdir()
    with laboratory.notebook([cell(folder)]) as notebook:
        page, control = notebook.page, notebook.view("control")

        def press(name: str) -> None:
            control.get_by_role("button", name=name).first.click()

        notebook.run_all()
        control.wait_for()
        press("Start")
        notebook.wait_for("map", state="live")
        # Cells fill while it runs.
        page.locator(_FILLED).nth(6).wait_for(state="attached", timeout=120_000)
        assert notebook.view("map").get_attribute("data-hp-state") == "live"
        filled = page.locator(_FILLED).count()

        press("Pause")
        notebook.wait_for("control", state="paused")
        until(lambda: only_run(folder).state == "paused")
        press("Resume")
        notebook.wait_for("control", state="live")

        # The kernel goes; the run does not. The cell, run again, finds it.
        run = only_run(folder)
        notebook.restart()
        assert only_run(folder).owner_pid == run.owner_pid
        notebook.run_all()
        page.wait_for_function(
            "filled => document.querySelectorAll(filled[0]).length >= filled[1]", arg=[_FILLED, filled]
        )
        notebook.wait_for("control", state="live")
        press("Stop")
        until(lambda: only_run(folder).state == "interrupted")
        notebook.wait_for("control", state="stale")
        assert only_run(folder).resumable
        assert notebook.complaints == []
