"""The static picture of the findings: the ranking on the left, the focused module on the right, trials below it.

Knows nothing about records: it draws what ``FindingsData`` holds.
"""

from __future__ import annotations

import math
from textwrap import wrap
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hyperprune_lab.views import findings_words as words
from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from hyperprune_lab.views.findings import FindingsData, Ranked, Trial

_ROW_PX = 34
_TOP_PX = 112
_MOST_ROWS = 13
_RIGHT_PX = 520
_LINE_PX = 16
_LETTERS = 74
"""What fits into a line on the right."""
_LOG_TIMES = math.log(4.0)


def picture(data: FindingsData, theme_name: theme.Theme) -> Figure:
    """Modules with their damage and their error over the trend; the focused one in words; what-ifs as intervals."""
    told = _paragraphs(data)
    rows = data.rows[:_MOST_ROWS]
    trials = [trial for trial in data.trials if trial.state == "done"][:4]
    right = (
        60 + sum(_LINE_PX * len(lines) + 8 for lines, _ in told) + (64 + 46 * len(trials) if trials else 0)
    )
    height = max(_TOP_PX + _ROW_PX * max(len(rows), 3) + 30, right + 50, 260)
    palette = theme.PALETTES[theme_name]
    with theme.drawing(theme_name, height) as figure:
        figure.set_layout_engine("none")

        def write(left: float, top: float, said: str, **style: object) -> None:
            figure.text(left / theme.WIDTH_PX, 1 - top / height, said, va="top", **style)  # type: ignore[arg-type]

        write(
            12,
            10,
            f"Why did this layer fail? ({theme.shown_name(data.run)}, event {data.seq})",
            fontsize=10.5,
            weight="bold",
        )
        write(12, 32, _fit(words.headline(data), 150), fontsize=9.4, weight="bold")
        note = " ".join(filter(None, (words.honesty(data), words.damage_note(data))))
        write(12, 53, _fit(note, 165), fontsize=8.6, color=palette.soft)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, theme.WIDTH_PX), ylim=(height, 0))
        axes.set_axis_off()
        if rows:
            _draw_ranking(axes, data, rows, theme_name)
        top = 82.0
        for lines, style in told:
            for line in lines:
                colored = {**style, "color": getattr(palette, str(style.get("color", "ink")))}
                write(_RIGHT_PX, top, line, **{"fontsize": 8.6, **colored})
                top += _LINE_PX
            top += 8
        if trials:
            _draw_trials(axes, trials, top, theme_name)
    return figure


def _fit(said: str, letters: int) -> str:
    return said if len(said) <= letters else f"{said[: letters - 1]}…"


def _paragraphs(data: FindingsData) -> list[tuple[list[str], dict[str, object]]]:
    """The focused module in words, paragraph by paragraph, with how each is written."""
    if data.focus is None:
        return []
    one = data.of(data.focus)
    told: list[tuple[str, dict[str, object]]] = [
        (theme.shown_name(data.focus), {"weight": "bold", "fontsize": 9.4})
    ]
    if one is not None:
        standing = " · ".join(f"{label} {value}" for label, value in words.standing_of(data, one))
        told.append((standing, {"color": "soft"}))
    if data.focus_note:
        told.append((data.focus_note, {}))
    for finding in data.focused[:3]:
        color = {"failure": "error", "warning": "warning", "note": "soft"}[finding.severity]
        sign = words.SIGNS[finding.severity]
        told.append((f"{sign} {finding.cause}", {"weight": "bold", "color": color}))
        told.append((theme.shown_name(finding.sentence, 600), {}))
        told.append((f"What to do: {finding.remedy}", {"color": "soft"}))
    return [(wrap(said, _LETTERS) or [""], style) for said, style in told]


# -- the ranking

_NAME, _DAMAGE, _TIMES = 44, (250, 355), (385, 480)


def _draw_ranking(
    axes: Axes, data: FindingsData, rows: tuple[tuple[int, Ranked], ...], theme_name: theme.Theme
) -> None:
    palette = theme.PALETTES[theme_name]
    soft = {"fontsize": 7.9, "color": palette.soft}
    axes.text(12, _TOP_PX - 24, f"{len(rows)} of {len(data.modules)} modules,", **soft)  # type: ignore[arg-type]
    axes.text(12, _TOP_PX - 10, data.order.label, **soft)  # type: ignore[arg-type]
    high = data.damage_domain[1]
    axes.text(_DAMAGE[0], _TOP_PX - 24, "damage, nats/token", **soft)  # type: ignore[arg-type]
    axes.text(_DAMAGE[0], _TOP_PX - 10, f"0 to {theme.fmt_error(high)}", **soft)  # type: ignore[arg-type]
    axes.text(_TIMES[0], _TOP_PX - 24, "error over trend", **soft)  # type: ignore[arg-type]
    axes.text(_TIMES[0], _TOP_PX - 10, "¼× to 4×", **soft)  # type: ignore[arg-type]
    for n, (place, one) in enumerate(rows):
        top = _TOP_PX + n * _ROW_PX
        if one.module == data.focus:
            axes.add_patch(
                Rectangle((6, top), 490, _ROW_PX - 2, fill=False, edgecolor=palette.ink, linewidth=1.4)
            )
        _draw_row(axes, place, one, top, high, theme_name)


def _draw_row(axes: Axes, place: int, one: Ranked, top: float, high: float, theme_name: theme.Theme) -> None:
    palette = theme.PALETTES[theme_name]
    color = {"failure": palette.error, "warning": palette.warning}.get(one.severity or "", palette.soft)
    axes.text(12, top + 13, str(place), fontsize=7.9, color=palette.soft)
    axes.text(30, top + 13, words.SIGNS[one.severity], fontsize=8.6, color=color, weight="bold")
    axes.text(_NAME, top + 13, f"block {one.block} {theme.shown_name(one.local, 24)}", fontsize=8.6)
    axes.text(_NAME, top + 27, words.cause_of(one), fontsize=7.9, color=color)
    left, right = _DAMAGE
    if one.damage is None:
        axes.text(left, top + 13, "not recorded", fontsize=7.9, color=palette.soft)
    else:
        scale = (right - left) / high
        axes.text(left, top + 13, words.damage_of(one), fontsize=7.9)
        axes.plot(
            [left, left + max(one.damage, 0.0) * scale],
            [top + 23] * 2,
            color=palette.accent,
            linewidth=4,
            solid_capstyle="butt",
        )
        if one.damage_se is not None:
            ends = [
                left + min(max(one.damage + sign * 2 * one.damage_se, 0.0), high) * scale for sign in (-1, 1)
            ]
            axes.plot(ends, [top + 23] * 2, color=palette.ink, linewidth=1)
    left, right = _TIMES
    middle = (left + right) / 2
    axes.text(left, top + 13, theme.fmt_ratio(one.times), fontsize=7.9)
    axes.plot([left, right], [top + 23] * 2, color=palette.grid, linewidth=1)
    axes.plot([middle] * 2, [top + 19, top + 27], color=palette.line, linewidth=1)
    if one.times is not None and one.times > 0:
        away = math.log(one.times) / _LOG_TIMES
        at = middle + min(max(away, -1.0), 1.0) * (right - left) / 2
        marker = ">" if away > 1 else "<" if away < -1 else "o"
        axes.plot([middle, at], [top + 23] * 2, color=palette.line, linewidth=1.4)
        axes.plot(at, top + 23, marker, color=palette.warning if away > 0 else palette.accent, markersize=5)


# -- trials


def _draw_trials(axes: Axes, trials: list[Trial], top: float, theme_name: theme.Theme) -> None:
    palette = theme.PALETTES[theme_name]
    reach = max(abs(end) for trial in trials for end in _interval(trial)) or 0.01
    left, right = _RIGHT_PX + 10, _RIGHT_PX + 200
    middle = (left + right) / 2
    axes.text(
        _RIGHT_PX,
        top + 12,
        "What if? Change of the loss, nats per token, 95 % interval",
        fontsize=8.6,
        weight="bold",
    )
    axes.text(left, top + 28, "better", fontsize=7.9, color=palette.soft)
    axes.text(right, top + 28, "worse", fontsize=7.9, color=palette.soft, ha="right")
    axes.plot([middle] * 2, [top + 22, top + 36 + 46 * len(trials)], color=palette.line, linewidth=1)
    colors = {"better": palette.good, "worse": palette.error, "unclear": palette.soft}
    for n, trial in enumerate(trials):
        assert trial.answer is not None
        y = top + 56 + 46 * n
        low, high, value = _interval(trial)
        how = words.outcome(trial.answer)
        place = [middle + end / reach * (right - left) / 2 for end in (low, high, value)]
        axes.plot(place[:2], [y, y], color=colors[how], linewidth=2)
        axes.plot(place[2], y, "o", color=colors[how], markersize=6)
        axes.text(right + 14, y - 4, _fit(words.setting_words(trial.setting), 44), fontsize=8.6)
        facts = words.effect_words(trial)
        axes.text(
            right + 14,
            y + 11,
            f"{words.OUTCOMES[how][1]}; perplexity {facts[1][1]}",
            fontsize=7.9,
            color=palette.soft,
        )


def _interval(trial: Trial) -> tuple[float, float, float]:
    assert trial.answer is not None
    difference = trial.answer["difference"]
    return difference["low"], difference["high"], difference["nats"]
