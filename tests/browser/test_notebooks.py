"""The first notebook as a newcomer meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_the_first_notebook_runs_from_top_to_bottom_and_shows_a_finished_run(laboratory):
    saved = json.loads((NOTEBOOKS / "00_start_here.ipynb").read_text(encoding="utf-8"))
    for cell in saved["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    with laboratory.copy_of(json.dumps(saved)) as notebook:
        notebook.run_all()
        notebook.wait_for("lab", state="finished")
        notebook.wait_for("map", state="finished")
        assert json.loads(notebook.view("map").get_attribute("data-hp-selection"))
        assert notebook.failures() == []
        assert notebook.complaints == []
