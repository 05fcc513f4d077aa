"""The run control as a static picture: the run to come, the one on the desk with its bar of blocks, and the shelf.

Knows nothing about runs: it draws what ``run_control`` gathered, in the words of its text.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hyperprune_lab.views import run_control_words as words
from hyperprune_lab.views import theme
from hyperprune_lab.views.check_words import Fact, check_facts, check_headline, form_lines, form_words

if TYPE_CHECKING:
    from hyperprune_lab.views.run_control import RunControlData, Shown

_LEFT_PX = 14
_LINE_PX = 19
_COLUMNS = 4
_WIDEST = {False: 150, True: 30}
"""Characters of a line, across the picture and in one column of facts."""
_MOST_RUNS = 8


@dataclass
class _Page:
    """What stands where, from the top, in pixels; its height is known when everything is on it."""

    palette: theme.Palette
    height: float = 12.0
    texts: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float, dict[str, Any]]] = field(default_factory=list)

    def write(self, text: str, **style: Any) -> None:
        """One or more lines."""
        for line in textwrap.wrap(text, _WIDEST[False], subsequent_indent="   ") or [""]:
            self.texts.append((_LEFT_PX, self.height, line, style))
            self.height += _LINE_PX

    def gap(self, pixels: float = 7.0) -> None:
        self.height += pixels

    def rule(self) -> None:
        """A thin line across."""
        self.gap()
        wide = theme.WIDTH_PX - 2 * _LEFT_PX
        self.boxes.append((_LEFT_PX, self.height, wide, 1, {"color": self.palette.grid}))
        self.gap(9)

    def facts(self, facts: list[Fact]) -> None:
        """Labels above values, in columns."""
        wide = (theme.WIDTH_PX - 2 * _LEFT_PX) / _COLUMNS
        for start in range(0, len(facts), _COLUMNS):
            deepest = self.height
            for column, fact in enumerate(facts[start : start + _COLUMNS]):
                x, y = _LEFT_PX + column * wide, self.height
                self.texts.append((x, y, fact.label, {"fontsize": _points(11), "color": self.palette.soft}))
                y += 16
                values = textwrap.wrap(fact.value, _WIDEST[True])
                remarks = textwrap.wrap(fact.remark, _WIDEST[True] + 2)
                for line in values:
                    self.texts.append((x, y, line, {"fontweight": "bold"}))
                    y += 17
                for line in remarks:
                    self.texts.append((x, y, line, {"fontsize": _points(11), "color": self.palette.soft}))
                    y += 16
                deepest = max(deepest, y)
            self.height = deepest + 5


def draw_run_control(data: RunControlData, theme_name: theme.Theme) -> Figure:
    """Everything that the text tells, in the same words, with a bar for the blocks."""
    palette = theme.PALETTES[theme_name]
    page = _Page(palette)
    page.write("What will happen, and what is happening?", fontsize=_points(14), fontweight="bold")
    page.gap(4)
    page.write(f"Next run: {form_words(data.form)}")
    for line in form_lines(data.form):
        page.write(line, color=palette.error if line.startswith("To mend") else palette.soft)
    if data.trouble:
        page.write(data.trouble, color=palette.error)
    if data.looked is not None:
        page.rule()
        page.write(check_headline(data.looked), fontweight="bold")
        page.facts(check_facts(data.looked.answer or {}))
    if data.shown is not None:
        page.rule()
        _draw_run(page, data.shown, data.seq)
    page.rule()
    page.write(f"Runs: {words.counts(data.shelf)}.")
    for entry in data.shelf[:_MOST_RUNS] if data.shelf_open else ():
        page.write(words.entry_words(entry), color=palette.soft)
    return _drawn(page, theme_name)


def _draw_run(page: _Page, shown: Shown, seq: int) -> None:
    palette, progress = page.palette, shown.progress
    page.write(f"{words.title(shown.entry)}   {theme.shown_name(shown.entry.name)}", fontweight="bold")
    moment = f"replay of event {seq}" if shown.replayed else f"event {seq}"
    page.write(f"{shown.entry.state}, {moment}", color=palette.soft)
    if shown.at_work:
        page.write("  ›  ".join(f"{part.name} ({words.STAGE_WORDS[part.state]})" for part in progress.stages))
        _draw_bar(page, shown)
        page.write(words.place(progress))
        page.gap(3)
    page.facts(words.shown_facts(shown))
    for line in (words.ended(shown), words.steering(shown)):
        if line:
            page.write(line, color=palette.error if shown.entry.state == "failed" else palette.soft)


def _draw_bar(page: _Page, shown: Shown) -> None:
    """A segment a block: solid behind, part of it at work, an outline to come; one segment for whole-model stages."""
    palette, progress = page.palette, shown.progress
    share = progress.step / progress.steps if progress.steps else 0.0
    whole = not progress.blocks or (
        progress.block is None and progress.steps > 0 and not progress.blocks_done
    )
    count = 1 if whole else progress.blocks
    wide = (theme.WIDTH_PX - 2 * _LEFT_PX) / count
    page.gap(3)
    for number in range(count):
        x, now = _LEFT_PX + number * wide, whole or number == progress.block
        part = 1.0 if not whole and number in progress.blocks_done else share if now else 0.0
        gap = min(2.0, 0.2 * wide)
        page.boxes.append(
            (x, page.height, part * (wide - gap), 16, {"color": palette.accent, "linewidth": 0})
        )
        edge = {
            "fill": False,
            "edgecolor": palette.accent if now else palette.line,
            "linewidth": 1.6 if now else 0.8,
        }
        page.boxes.append((x, page.height, wide - gap, 16, edge))
    page.height += 22


def _drawn(page: _Page, theme_name: theme.Theme) -> Figure:
    height = page.height + 6
    with theme.drawing(theme_name, int(height)) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, theme.WIDTH_PX)
        axes.set_ylim(int(height), 0)
        axes.axis("off")
        for x, y, wide, high, style in page.boxes:
            axes.add_patch(Rectangle((x, y), wide, high, **style))
        for x, y, text, style in page.texts:
            axes.text(x, y, text, va="top", **({"fontsize": _points(12)} | style))
    return figure


def _points(pixels: float) -> float:
    return pixels * 72 / theme.DPI
