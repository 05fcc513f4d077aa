"""Pictures of every view in every state, theme and width, and what a person could not read in them.

    python -m tests.browser.gallery --out pictures [--views map,mask]

Views stand on pages of their own, without a server: the modules that draw in a notebook, on a model that stands still.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hyperprune_lab
from hyperprune_lab import events as ev
from hyperprune_lab.runs import example
from hyperprune_lab.widgets import assets
from hyperprune_lab.widgets.desk import Desk
from tests.browser.laboratory import CHROMIUM, flags
from tests.widgets.tinyrun import live_run, write_until

VIEWS = {
    "map": "ModelMap",
    "mask": "MaskExplorer",
    "outliers": "OutlierChannels",
    "reconstruction": "Reconstruction",
    "forgetting": "Forgetting",
    "hypernetwork": "Hypernetwork",
    "control": "RunControl",
    "compare": "Compare",
    "findings": "Findings",
}
STATES = ("empty", "live", "replayed", "finished")
THEMES = ("light", "dark")
WIDTHS = (1008, 700)
_BEHIND = {"light": "#ffffff", "dark": "#111111"}

_FAULTS = (Path(__file__).parent / "faults.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Picture:
    """One view as it was drawn, and what is wrong with it."""

    name: str
    faults: tuple[str, ...]


def faults_of(root: Any) -> list[str]:
    """What cannot be read in the element ``root`` of a page, in words."""
    found: list[str] = root.evaluate(_FAULTS)
    return found


@contextmanager
def desk_in(state: str, folder: Path) -> Iterator[Desk]:
    """A desk with a run in this state: an example, or a small one in the making."""
    with ExitStack() as stack:
        desk = Desk()
        stack.callback(desk.close)
        if state == "live":
            writer, stream, run = live_run(folder / "live")
            stack.callback(writer.close)
            write_until(writer, stream, ev.BlockFinished)
            desk.open(run)
        elif state != "empty":
            desk.open(example("paper" if state == "replayed" else "hyperprune"))
        if state == "replayed":
            assert desk.run is not None
            desk.moment = desk.run.last_seq // 2
        yield desk


def page_of(view: Any, theme: str) -> str:
    """A page that draws the view as it is now."""
    view.desk.theme = theme
    state = json.dumps(view.frame()).replace("</", "<\\/")
    drawing = str(view._esm).replace("export default", "const drawing =", 1)
    model = assets.static_model().replace("export function", "function", 1)
    return (
        f'<!doctype html><meta charset="utf-8"><style>body{{margin:8px;background:{_BEHIND[theme]}}}{view._css}'
        f'</style><div id="host"></div><script type="module">\n{drawing}\n{model}\n'
        f"drawing.render({{model: staticModel({state}), el: document.getElementById('host')}});\n</script>"
    )


def pictures(browser: Any, view_name: str, state: str, out: Path | None = None) -> Iterator[Picture]:
    """The view in this state, in both themes and widths; PNG files in ``out``."""
    with tempfile.TemporaryDirectory() as folder, desk_in(state, Path(folder)) as desk:
        view = getattr(hyperprune_lab, VIEWS[view_name])(desk)
        if view.failure is not None:
            raise view.failure
        for theme in THEMES:
            text = page_of(view, theme)
            for width in WIDTHS:
                page = browser.new_page(viewport={"width": width + 16, "height": 900})
                complaints: list[str] = []
                page.on("console", lambda told, to=complaints: told.type == "error" and to.append(told.text))
                page.on("pageerror", lambda error, to=complaints: to.append(str(error)))
                page.set_content(text)
                page.wait_for_function(
                    "document.querySelector('[data-hp-view]')?.dataset.hpSeq !== undefined"
                )
                page.wait_for_timeout(100)
                root = page.locator("[data-hp-view]").first
                name = f"{view_name}-{state}-{width}-{theme}"
                if out is not None:
                    root.screenshot(path=str(out / f"{name}.png"))
                yield Picture(name, (*complaints, *faults_of(root)))
                page.close()
        view.close()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags())
        yield browser
        browser.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures; 1 if something in them cannot be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", default=",".join(VIEWS))
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    bad = 0
    with chromium() as browser:
        for view_name in asked.views.split(","):
            for state in STATES:
                for picture in pictures(browser, view_name, state, asked.out):
                    bad += bool(picture.faults)
                    print(picture.name, *picture.faults, sep="\n  ", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
