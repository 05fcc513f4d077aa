"""From a whole mask to the reasons for one group, by mouse and by keyboard alone."""

from __future__ import annotations

import re

import pytest

from hyperprune_lab.analysis.groups import explain
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.runs import example

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

MODULE = "model.layers.3.mlp.down_proj"
CELL = f"""from hyperprune_lab import MaskExplorer
from hyperprune_lab.runs import example
view = MaskExplorer(example("hyperprune"))
view.desk.select([{MODULE!r}])
view"""
CARD = re.compile(r"row (\d+), group (\d+) \(inputs (\d+) to (\d+)\)")
CRUMB = re.compile(r"rows (\d+)–(\d+) › groups (\d+)–(\d+)")


@pytest.fixture
def explorer(laboratory):
    """The explorer as it opens: the whole mask of one linear, 288 x 768."""
    with laboratory.notebook([CELL]) as notebook:
        notebook.run_all()
        notebook.wait_for("mask", state="finished", missing="0")
        yield notebook
        assert notebook.complaints == []


def places(explorer) -> tuple[int, ...]:
    """First and last row and group in sight, as the breadcrumb says."""
    return tuple(map(int, CRUMB.search(explorer.view("mask").locator(".hp-crumb").inner_text()).groups()))


def wait_for_card(explorer, row: int, group: int) -> str:
    """The card's text once it explains this group and has heard of it from the kernel."""
    explorer.page.wait_for_function(
        "title => { const card = document.querySelector('[data-hp-view=mask] .hp-cardNode');"
        " return card.innerText.includes(title) && !card.classList.contains('hp-old'); }",
        arg=f"row {row}, group {group} (inputs {4 * group} to {4 * group + 3})",
    )
    return explorer.view("mask").locator(".hp-cardNode").inner_text()


def assert_explains(card: str, row: int, group: int) -> None:
    """The card gives the sentence and the patterns that the analysis gives, the cheapest first."""
    run = example("hyperprune")
    found = explain(run, MODULE, row, group, open_sources(run))
    assert found.sentence in card
    drawn = ["".join("■" if kept else "·" for kept in candidate.kept) for candidate in found.candidates]
    assert re.findall(r"[■·]{4}", card) == drawn
    ours = [candidate.ours for candidate in found.candidates]
    assert ["kept" in line for line in card.splitlines() if "■" in line] == ours


def test_by_mouse(explorer):
    page, view = explorer.page, explorer.view("mask")
    assert places(explorer) == (0, 287, 0, 191)
    canvas = view.locator(".hp-left canvas").bounding_box()
    x, y = canvas["x"] + canvas["width"] * 0.6, canvas["y"] + canvas["height"] * 0.6
    page.mouse.move(x, y)
    for _ in range(3):
        page.mouse.dblclick(x, y)
    explorer.wait_for("mask", missing="0")
    top, bottom, left, right = places(explorer)
    assert bottom - top < 30
    assert right - left < 30
    page.mouse.click(x, y)
    page.wait_for_function(
        "document.querySelector('[data-hp-view=mask] .hp-cardNode').innerText.includes('row')"
    )
    pointed = tuple(map(int, CARD.search(view.locator(".hp-cardNode").inner_text()).groups()))[:2]
    # Where the pointer is, the readout says the same place.
    page.mouse.move(x + 1, y)
    readout = view.locator(".hp-readout").inner_text()
    row, group = (int(re.search(f"{word} (\\d+)", readout).group(1)) for word in ("row", "group"))
    card = wait_for_card(explorer, row, group)
    assert (row, group) == tuple(map(int, CARD.search(card).groups()))[:2]
    assert pointed[0] in range(288)
    assert_explains(card, row, group)

    # Dragging moves what is under the pointer along with it.
    page.mouse.down()
    page.mouse.move(x - 150, y, steps=5)
    page.mouse.up()
    page.wait_for_function(
        "before => !document.querySelector('[data-hp-view=mask] .hp-crumb').innerText.includes(before)",
        arg=f"groups {left}–",
    )
    moved = places(explorer)
    assert moved[:2] == (top, bottom)
    assert moved[2] > left
    page.mouse.move(x - 149, y)
    assert f"(group {group})" in view.locator(".hp-readout").inner_text()


def test_by_keyboard(explorer):
    page, view = explorer.page, explorer.view("mask")

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    view.focus()
    press("g")
    page.keyboard.type("100, 37")
    press("Enter")
    assert_explains(wait_for_card(explorer, 100, 9), 100, 9)
    top, bottom, left, right = places(explorer)
    assert top <= 100 <= bottom
    assert left <= 9 <= right
    assert bottom - top < 30
    press("ArrowRight", "ArrowRight", "ArrowDown")
    assert_explains(wait_for_card(explorer, 101, 11), 101, 11)
    press("Home")
    wait_for_card(explorer, 101, 0)
    press("Enter")
    page.locator("[data-hp-view=mask] .hp-cardNode").get_by_text("row 101, group 0").first.wait_for()
    press("End")
    card = wait_for_card(explorer, 101, 191)
    # The pinned group stays in words below.
    page.wait_for_function(
        "document.querySelector('[data-hp-view=mask] .hp-cardNode').innerText.includes('row 101, group 0 ')"
    )
    assert_explains(card, 101, 191)
    press("0")
    page.wait_for_function(
        "document.querySelector('[data-hp-view=mask] .hp-crumb').innerText.includes('rows 0–287 › groups 0–191')"
    )
    press("\\")
    page.get_by_role("button", name="Wanda", pressed=True).wait_for()
