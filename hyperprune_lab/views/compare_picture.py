"""The comparison as a static picture: the same table, grid, agreement and colored words as the live view.

Knows nothing about runs: it draws what ``compare`` gathered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hyperprune_lab.analysis.tokenloss import SAME_NATS
from hyperprune_lab.views import theme
from hyperprune_lab.views.compare_columns import GROUPS, columns_at
from hyperprune_lab.views.compare_text import group_line, headline, map_other, named_other, token_line
from hyperprune_lab.views.compare_words import FULL_NATS
from hyperprune_lab.views.inks import ink_on

if TYPE_CHECKING:
    from hyperprune_lab.views.compare import CompareData
    from hyperprune_lab.views.compare_words import Page

_LEFT, _ROW, _GRID_ROW = 12, 20, 22
_NAMES_PX = 190
_LETTER_PX = 7.3
"""Of the monospaced letters that colored words are set in."""
_TEXT_LINES = 10
_TOKENS = 5
_MATRIX_PX = 430
_SMALL = theme.SMALLEST_FONT_PX * 72 / theme.DPI


def draw_comparison(data: CompareData, theme_name: theme.Theme) -> Figure:
    """Table, masks, words, from top to bottom."""
    grid = _GRID_ROW * max(len(data.map.rows), len(data.matrix.names)) + 66
    table = _ROW * (len(data.rows) + len(data.groups) + 2) + 14
    words = 24 if data.words.page is None else _ROW * (_TEXT_LINES + _TOKENS + 2) + 16
    height = 58 + table + grid + words
    with theme.drawing(theme_name, height) as figure:
        # Placed by hand, in pixels from the top left.
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, theme.WIDTH_PX)
        axes.set_ylim(height, 0)
        axes.axis("off")
        painter = _Painter(axes, data, theme_name)
        painter.say(
            _LEFT, 18, "What differs, and which words broke?", weight="bold", size=14 * 72 / theme.DPI
        )
        painter.say(_LEFT, 40, headline(data), weight="bold")
        painter.table(58)
        painter.grid(58 + table)
        painter.matrix(58 + table)
        painter.words(58 + table + grid)
    return figure


class _Painter:
    """Draws the parts on one pair of axes, in pixels."""

    def __init__(self, axes: Axes, data: CompareData, theme_name: theme.Theme) -> None:
        self.axes, self.data = axes, data
        self.focus = theme.shown_name(data.focus, 40)
        self.palette = theme.PALETTES[theme_name]
        self.magnitudes, self.deviations = theme.magnitudes(), theme.deviations(theme_name)

    def say(self, x: float, y: float, text: str, **look: Any) -> None:
        """Text as it is: a dollar sign begins no formula."""
        settings: Any = {"va": "center", "parse_math": False, "size": _SMALL} | look
        self.axes.text(x, y, text, **settings)

    def box(self, x: float, y: float, width: float, height: float, **look: Any) -> None:
        self.axes.add_patch(Rectangle((x, y), width, height, **look))

    def rule(self, y: float, color: str) -> None:
        self.axes.plot([_LEFT, theme.WIDTH_PX - _LEFT], [y, y], color=color, linewidth=0.8)

    def table(self, top: float) -> None:
        data, palette = self.data, self.palette
        measured = {c.key for c in data.columns if any(r.cells[c.key].value is not None for r in data.rows)}
        columns = columns_at(theme.WIDTH_PX, frozenset(measured))
        wide = (theme.WIDTH_PX - 2 * _LEFT - _NAMES_PX) / max(1, len(columns))
        rights = [_LEFT + _NAMES_PX + wide * (number + 1) for number in range(len(columns))]
        for name, words in GROUPS.items():
            places = [right for right, column in zip(rights, columns, strict=True) if column.group == name]
            if places:
                self.say((places[0] - wide + places[-1]) / 2, top + 8, words, ha="center", color=palette.soft)
        for right, column in zip(rights, columns, strict=True):
            self.say(right, top + 26, column.label, ha="right", color=palette.soft)
        y: float = top + 2 * _ROW
        for number in range(len(data.groups)):
            self.rule(y - 3, palette.line)
            self.say(_LEFT, y + 8, _cut(group_line(data, number), 150), color=palette.soft)
            y += _ROW
            for row in data.rows_of(number):
                if row.key == data.focus:
                    self.box(
                        _LEFT - 4, y - 1, theme.WIDTH_PX - 2 * _LEFT + 8, _ROW - 1, facecolor=palette.panel
                    )
                self._marker(_LEFT + 5, y + 8, row.standing.method)
                role = " (reference)" if row.key == data.reference else ""
                self.say(_LEFT + 16, y + 8, theme.shown_name(row.key, 26 - len(role) // 2) + role)
                for right, column in zip(rights, columns, strict=True):
                    cell = row.cells[column.key]
                    mark = {"best": " ★", "tied": " ☆"}.get(cell.mark, "")
                    weight = "bold" if cell.mark == "best" else "normal"
                    self.say(right, y + 8, cell.shown + mark, ha="right", weight=weight)
                y += _ROW

    def _marker(self, x: float, y: float, method: str) -> None:
        style = theme.method_style(method)
        color = style.light if self.palette is theme.PALETTES["light"] else style.dark
        self.axes.plot([x], [y], marker=style.marker, markersize=5, color=color, linestyle="none")

    def grid(self, top: float) -> None:
        found, palette = self.data.map, self.palette
        room = theme.WIDTH_PX - 2 * _LEFT - (_MATRIX_PX if len(self.data.matrix.names) > 1 else 0)
        title = f"{found.measure.label.capitalize()}: {self.focus} against {map_other(self.data)}"
        self.say(_LEFT, top + 8, _cut(title, int(room / 7)), weight="bold")
        labels = [theme.shown_name(name, 24) + (f" ×{n}" if n else "") for name, n in found.rows]
        left = _LEFT + 10 + 6.4 * max(map(len, labels), default=0)
        cell = min(44.0, (room - left) / max(1, found.blocks))
        every = next((step for step in (1, 2, 5, 10, 20) if cell * step >= 20), 50)
        for block in range(0, found.blocks, every):
            self.say(left + (block + 0.5) * cell, top + 26, str(block), ha="center", color=palette.soft)
        for row, label in enumerate(labels):
            self.say(_LEFT, top + 36 + (row + 0.5) * _GRID_ROW, label)
        for one in found.cells:
            at = (left + one.block * cell, top + 36 + one.row * _GRID_ROW + 1)
            size = (max(1.0, cell - 1), _GRID_ROW - 2)
            if one.value is None:
                hatch = {"excluded": "xxx", "decided": "////"}.get(one.status)
                self.box(*at, *size, fill=False, edgecolor=palette.line, linewidth=0.7, hatch=hatch)
                continue
            colors = self.deviations if found.measure.ratio else self.magnitudes
            fill = to_hex(colors(found.measure.place(one.value)))
            self.box(*at, *size, facecolor=fill, linewidth=0)
            if one in found.most and cell >= 30:
                shown = found.measure.form(one.value).rstrip(" %×\u202f")
                self.say(at[0] + size[0] / 2, at[1] + size[1] / 2, shown, ha="center", color=ink_on(fill))
        below = top + 36 + _GRID_ROW * max(len(labels), len(self.data.matrix.names)) + 12
        overall = "" if found.overall is None else f"{found.measure.form(found.overall)} overall. "
        most = ", ".join(f"{found.name_of(cell)} {found.measure.form(cell.value)}" for cell in found.most)
        told = found.problem or overall + (f"Most: {most}." if most else "")
        self.say(_LEFT, below, _cut(told, 150), color=palette.soft)

    def matrix(self, top: float) -> None:
        names, palette = self.data.matrix.names, self.palette
        if len(names) < 2:
            return
        left = theme.WIDTH_PX - _MATRIX_PX + 20
        cell = min(44.0, (_MATRIX_PX - 20 - 160 - _LEFT) / len(names))
        chance = self.data.matrix.chance
        by_chance = "" if chance is None else f" (by chance {theme.fmt_share(chance)})"
        self.say(left, top + 8, f"Groups kept alike, in %{by_chance}", weight="bold")
        for row, name in enumerate(names):
            y = top + 36 + row * _GRID_ROW
            self.say(left, y + _GRID_ROW / 2, f"{row + 1} {theme.shown_name(name, 22)}")
            for column, value in enumerate(self.data.matrix.values[row][:row]):
                at = (left + 160 + column * cell, y + 1)
                if value is None:
                    self.box(*at, cell - 2, _GRID_ROW - 2, fill=False, edgecolor=palette.line, hatch="////")
                    continue
                fill = to_hex(self.magnitudes(value))
                self.box(*at, cell - 2, _GRID_ROW - 2, facecolor=fill, linewidth=0)
                middle = (at[0] + cell / 2 - 1, y + _GRID_ROW / 2)
                self.say(*middle, f"{100 * value:.0f}", ha="center", color=ink_on(fill))
            if row < len(names) - 1:
                middle = (left + 159 + (row + 0.5) * cell, y + _GRID_ROW / 2)
                self.say(*middle, str(row + 1), ha="center", color=palette.soft)

    def words(self, top: float) -> None:
        words, palette = self.data.words, self.palette
        if words.page is None:
            self.say(_LEFT, top + 8, f"Words: {words.problem}", color=palette.soft)
            return
        title = f"Nats a token, {self.focus} against {named_other(self.data)}"
        where = f"{theme.shown_name(words.page.domain, 40)}, page {words.page.number + 1}"
        told = f"{title}; {where}; solid: worse, dotted: better, nothing within ±{SAME_NATS:g}"
        self.say(_LEFT, top + 8, _cut(told, 150), weight="bold")
        for x, y, piece, nats in _laid_out(words.page, words.has_text):
            self._token(_LEFT + x * _LETTER_PX, top + 20 + y * _ROW, piece, nats)
        below: float = top + 34 + _TEXT_LINES * _ROW
        for token in words.worst[:_TOKENS]:
            self.say(_LEFT, below + 8, _cut(token_line(token, words.has_text), 150), color=palette.soft)
            below += _ROW

    def _token(self, x: float, y: float, piece: str, nats: float | None) -> None:
        width, ink = len(piece) * _LETTER_PX, self.palette.ink
        if nats is not None and abs(nats) > SAME_NATS:
            strength = min(1.0, abs(nats) / FULL_NATS)
            end = to_hex(self.deviations(1.0 if nats > 0 else 0.0))
            blend = LinearSegmentedColormap.from_list("", [self.palette.background, end])
            fill = to_hex(blend(0.14 + 0.7 * strength))
            ink = ink_on(fill)
            self.box(x, y + 1, width, _ROW - 4, facecolor=fill, linewidth=0)
            style, thick = ("solid" if nats > 0 else "dotted"), 0.8 + 2 * strength
            under: Any = {"color": self.palette.ink, "linestyle": style, "linewidth": thick}
            self.axes.plot([x, x + width], [y + _ROW - 2] * 2, **under)
        if piece.strip():
            self.say(x, y + _ROW / 2 - 1, piece, family="monospace", color=ink)


def _laid_out(page: Page, has_text: bool) -> Iterator[tuple[int, int, str, float | None]]:
    """Column, line, text and difference of the page's tokens, for as many lines as there is room."""
    widest = int((theme.WIDTH_PX - 2 * _LEFT) / _LETTER_PX)
    x = y = 0
    for token in page.tokens:
        lines = (token.piece if has_text else "▪").split("\n")
        for number, piece in enumerate(lines):
            last = number == len(lines) - 1
            shown = theme.shown_name(piece if last else f"{piece}⏎", widest)
            if x + len(shown) > widest:
                x, y = 0, y + 1
            if y >= _TEXT_LINES:
                return
            if shown:
                yield x, y, shown, token.difference
            x += len(shown)
            if not last and x:
                x, y = 0, y + 1


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
