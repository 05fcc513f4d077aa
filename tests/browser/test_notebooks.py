"""The first notebook and the one with a live run, as a newcomer meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FILLED = "[data-hp-view='map'][data-hp-state='live'] [data-module][data-value]:not([data-value=''])"


def unrun(name: str) -> str:
    """The text of a notebook before anything was run in it."""
    saved = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in saved["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(saved)


def test_the_first_notebook_runs_from_top_to_bottom_and_shows_a_finished_run(laboratory):
    with laboratory.copy_of(unrun("00_start_here")) as notebook:
        notebook.run_all()
        notebook.wait_for("lab", state="finished")
        notebook.wait_for("map", state="finished")
        assert json.loads(notebook.view("map").get_attribute("data-hp-selection"))
        assert notebook.failures() == []
        assert notebook.complaints == []


def test_the_live_notebook_runs_from_top_to_bottom_and_its_map_fills_while_the_run_works(laboratory):
    with laboratory.copy_of(unrun("07_live_lab")) as notebook:
        notebook.run_all()
        notebook.page.locator(FILLED).nth(6).wait_for(state="attached", timeout=120_000)
        assert notebook.failures() == []
        # The last cells look at the recorded run again: the same Lab, a map and a scrubber of their own.
        notebook.wait_for("lab", state="finished")
        assert notebook.page.locator("[data-hp-view='scrubber']").count() > 0
        assert notebook.complaints == []
