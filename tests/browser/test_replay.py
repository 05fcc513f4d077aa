"""Time and looks, which all views of a desk share: the scrubber, JupyterLab's themes."""

from __future__ import annotations

import pytest

from hyperprune_lab.runs import example

from .gallery import faults_of
from .test_lab import VIEWS, cells_with_values

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

CELL = """from hyperprune_lab import Forgetting, Hypernetwork, MaskExplorer, ModelMap
from hyperprune_lab import OutlierChannels, Reconstruction, Scrubber
from hyperprune_lab.runs import example
from hyperprune_lab.widgets.desk import Desk
from IPython.display import display
desk = Desk(example("hyperprune"))
display(Scrubber(desk))
for name in (ModelMap, MaskExplorer, OutlierChannels, Reconstruction, Forgetting, Hypernetwork):
    display(name(desk))"""


@pytest.fixture(scope="module")
def desk(laboratory):
    """All linked views of one finished run, under one scrubber."""
    with laboratory.notebook([CELL], height=1400) as notebook:
        notebook.run_all()
        for name in ("scrubber", *VIEWS):
            notebook.wait_for(name, state="finished")
        yield notebook
        assert notebook.complaints == []


def wait_for_moment(notebook, seq: int) -> None:
    """Until every view shows this event."""
    for name in ("scrubber", *VIEWS):
        notebook.page.wait_for_function(
            "([name, seq]) => Number(document.querySelector(`[data-hp-view='${name}']`).dataset.hpSeq) === seq",
            arg=[name, seq],
        )


def test_the_scrubber_takes_every_view_back_and_forth(desk):
    run = example("hyperprune")
    ends = run.blocks("layers")["seq"].tolist()
    wait_for_moment(desk, run.last_seq)
    full = cells_with_values(desk)
    desk.view("scrubber").focus()
    desk.page.keyboard.press("Home")
    desk.page.wait_for_function("Number(document.querySelector('[data-hp-view=map]').dataset.hpSeq) < 10")
    assert cells_with_values(desk) == 0
    if int(desk.view("map").get_attribute("data-hp-seq")) < run.events(kinds=("StageStarted",))[0].seq:
        desk.page.keyboard.press("ArrowRight")
    for seen, seq in enumerate(ends[:3], 1):
        desk.page.keyboard.press("ArrowRight")
        wait_for_moment(desk, seq)
        assert cells_with_values(desk) == seen * full // len(ends)
    desk.page.keyboard.press("ArrowLeft")
    wait_for_moment(desk, ends[1])
    assert cells_with_values(desk) == 2 * full // len(ends)
    desk.page.keyboard.press("End")
    wait_for_moment(desk, run.last_seq)
    assert cells_with_values(desk) == full


def test_a_replay_goes_on_by_itself_and_stops_where_it_is_told(desk):
    run = example("hyperprune")
    scrubber = desk.view("scrubber")
    scrubber.get_by_role("button", name="Replay the run").click()
    desk.page.wait_for_function(
        "last => { const seq = Number(document.querySelector('[data-hp-view=map]').dataset.hpSeq);"
        " return seq > 40 && seq < last; }",
        arg=run.last_seq,
        polling=20,
    )
    scrubber.get_by_role("button", name="Pause the replay").click()
    desk.wait_for("scrubber", playing="false")
    desk.page.wait_for_timeout(500)
    stopped = int(scrubber.get_attribute("data-hp-seq"))
    assert 40 < stopped < run.last_seq
    desk.page.wait_for_timeout(700)
    assert int(scrubber.get_attribute("data-hp-seq")) == stopped
    wait_for_moment(desk, stopped)
    scrubber.get_by_role("button", name="end", exact=True).click()
    wait_for_moment(desk, run.last_seq)


def test_a_click_on_the_line_goes_to_that_second(desk):
    run = example("hyperprune")
    track = desk.view("scrubber").locator(".hp-track")
    box = track.bounding_box()
    desk.page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 12)
    desk.page.wait_for_function(
        "last => Number(document.querySelector('[data-hp-view=map]').dataset.hpSeq) < last", arg=run.last_seq
    )
    now, longest = (float(track.get_attribute(f"aria-{name}")) for name in ("valuenow", "valuemax"))
    assert now / longest == pytest.approx(0.25, abs=0.03)
    desk.page.keyboard.press("End")
    wait_for_moment(desk, run.last_seq)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_views_take_on_the_theme_of_jupyterlab_and_stay_readable(desk, theme):
    desk.page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
        f"JupyterLab {theme.title()}",
    )
    for name in VIEWS:
        desk.wait_for(name, theme=theme)
    desk.page.wait_for_timeout(300)
    for name in VIEWS:
        faults = [fault for fault in faults_of(desk.view(name)) if "scrolls sideways" not in fault]
        assert faults == [], name
