"""The Lab in a real JupyterLab: what a person sees and does, through the views' data attributes."""

from __future__ import annotations

import json

import pytest

from hyperprune_lab import events as ev
from tests.widgets.tinyrun import live_run, write_run, write_until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

_SELECTED = "([root, wanted]) => document.querySelector(root).dataset.hpSelection === wanted"
VIEWS = ("map", "mask", "outliers", "reconstruction", "forgetting", "hypernetwork")
OTHERS = ("findings", "compare", "control", "scrubber")


def opening(path) -> str:
    return f"from hyperprune_lab import Lab\nlab = Lab({str(path)!r})\nlab"


def separate(path) -> list[str]:
    """All views of one desk, each in a cell of its own."""
    first = "\n".join(
        [
            "from hyperprune_lab import ModelMap, MaskExplorer, OutlierChannels",
            "from hyperprune_lab import Reconstruction, Forgetting, Hypernetwork",
            "from hyperprune_lab import Compare, Findings, RunControl, Scrubber",
            "from hyperprune_lab.widgets.desk import Desk",
            f"desk = Desk({str(path)!r})",
        ]
    )
    names = ("ModelMap", "MaskExplorer", "OutlierChannels", "Reconstruction", "Forgetting", "Hypernetwork")
    names += ("Findings", "Compare", "RunControl", "Scrubber")
    return [first, *(f"{name}(desk)" for name in names)]


def cells_with_values(notebook) -> int:
    return notebook.view("map").locator("[data-module][data-value]:not([data-value=''])").count()


def test_a_selection_in_the_map_moves_every_view(laboratory, tmp_path):
    run = write_run(tmp_path / "run")
    module = run.modules()["module"].iloc[4]
    with laboratory.notebook(separate(tmp_path / "run")) as notebook:
        notebook.run_all()
        for name in (*VIEWS, *OTHERS):
            notebook.wait_for(name, state="finished")
        notebook.view("map").locator(f'[data-module="{module}"]').first.click()
        selected = json.dumps([module], separators=(",", ":"))
        for name in (*VIEWS, *OTHERS):
            notebook.page.wait_for_function(
                '([name, wanted]) => document.querySelector(`[data-hp-view="${name}"]`).dataset.hpSelection === wanted',
                arg=[name, selected],
            )
        assert notebook.complaints == []


def test_keys_inside_a_view_leave_the_notebook_as_it_is(laboratory, tmp_path):
    write_run(tmp_path / "run")
    sources = separate(tmp_path / "run")
    with laboratory.notebook(sources) as notebook:
        notebook.run_all()
        for name in (*VIEWS, *OTHERS):
            notebook.wait_for(name, state="finished")
            notebook.view(name).focus()
            for key in ("b", "a", "d", "d", "x", "ArrowDown", "ArrowUp", "Home", "End"):
                notebook.page.keyboard.press(key)
            notebook.page.keyboard.press("Escape")
        assert notebook.cells() == sources
        assert notebook.complaints == []


def test_the_map_fills_while_the_run_is_written(laboratory, tmp_path):
    writer, stream, run = live_run(tmp_path / "run")
    with laboratory.notebook([opening(tmp_path / "run")]) as notebook:
        notebook.run_all()
        notebook.wait_for("map", state="live")
        assert cells_with_values(notebook) == 0
        seen = [0]
        for _ in range(2):
            write_until(writer, stream, ev.BlockFinished)
            now = run.last_seq
            notebook.page.wait_for_function(
                "seq => Number(document.querySelector('[data-hp-view=\"map\"]').dataset.hpSeq) >= seq",
                arg=now,
            )
            seen.append(cells_with_values(notebook))
        assert 0 < seen[1] < seen[2]
        for event in stream:
            writer.write(event)
        writer.close()
        notebook.wait_for("map", state="finished")
        assert notebook.complaints == []


def test_a_restarted_kernel_loses_nothing(laboratory, tmp_path):
    write_run(tmp_path / "run")
    with laboratory.notebook([opening(tmp_path / "run")]) as notebook:
        notebook.run_all()
        notebook.wait_for("map", state="finished")
        drawn = cells_with_values(notebook)
        notebook.restart()
        assert cells_with_values(notebook) == drawn
        notebook.run_all()
        notebook.page.wait_for_timeout(500)
        notebook.wait_for("map", state="finished")
        assert cells_with_values(notebook) == drawn
