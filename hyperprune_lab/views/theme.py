"""How everything looks: palettes for light and dark, methods' colors, fixed domains, number formats.

Knows nothing about any one view. The browser gets the same constants, so that the live picture, the static
one and the text agree.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

Theme = Literal["light", "dark"]

WIDTH_PX = 1008
DPI = 100
PNG_SCALE = 2
SMALLEST_FONT_PX = 11

ERROR_DOMAIN = (1e-3, 1.0)
"""Relative errors, on a log scale, in every view."""
SHARE_DOMAIN = (0.0, 1.0)
RATIO_DOMAIN = (0.5, 2.0)
"""A value over its reference, on a log scale around 1."""
SECONDS_DOMAIN = (1e-2, 1e3)

NONE = "–"
"""Not applicable."""
NOT_YET = "not yet"
"""Will be known later; not zero."""

# matplotlib's settings are global and not safe between threads: everything that draws holds this lock.
RENDER_LOCK = threading.RLock()


@dataclass(frozen=True)
class Palette:
    """Colors of one theme. ``ink`` and ``soft`` are for text (at least 4.5:1), ``line`` and ``grid`` for rules."""

    background: str
    panel: str
    ink: str
    soft: str
    line: str
    grid: str
    accent: str
    good: str
    warning: str
    error: str
    neutral: str


PALETTES: dict[Theme, Palette] = {
    "light": Palette(
        background="#ffffff",
        panel="#f5f6f8",
        ink="#1c2128",
        soft="#57606a",
        line="#8a929c",
        grid="#e1e4e8",
        accent="#0072b2",
        good="#00805d",
        warning="#8f6200",
        error="#b93a00",
        neutral="#d9dce0",
    ),
    "dark": Palette(
        background="#161a1f",
        panel="#20252c",
        ink="#e8ebef",
        soft="#aab2bc",
        line="#77808b",
        grid="#343b44",
        accent="#56b4e9",
        good="#2ec99a",
        warning="#e6a61c",
        error="#ff8a5c",
        neutral="#454c55",
    ),
}


@dataclass(frozen=True)
class MethodStyle:
    """One method in every picture: its color in each theme, its dash (pixels on, off) and its marker."""

    label: str
    light: str
    dark: str
    dash: tuple[int, ...]
    marker: str


# Okabe and Ito's colors; orange, sky blue and purple a little darker on white, blue lighter on black, so that
# every mark stands out 3:1. Dash and marker say the same again.
METHODS: dict[str, MethodStyle] = {
    "dense": MethodStyle("dense", "#57606a", "#aab2bc", (1, 3), "s"),
    "magnitude": MethodStyle("magnitude", "#b97f00", "#e69f00", (2, 2), "v"),
    "wanda": MethodStyle("Wanda", "#0072b2", "#56b4e9", (6, 3), "o"),
    "sparsegpt": MethodStyle("SparseGPT", "#00805d", "#2ec99a", (8, 2, 2, 2), "D"),
    "hyperprune": MethodStyle("HyperPrune", "#d55e00", "#f0804a", (), "^"),
    "prior": MethodStyle("prior", "#b0588a", "#cc79a7", (4, 2), "P"),
    "descent": MethodStyle("coordinate descent", "#b0588a", "#cc79a7", (4, 2, 1, 2), "X"),
    "alps": MethodStyle("ALPS", "#6b6a00", "#f0e442", (10, 3), "p"),
}

_OTHER = (("#57606a", "#aab2bc"), ("#7a5cb8", "#b9a4e6"), ("#8c564b", "#d0a198"))
_DIVERGING = {
    "light": ("#0072b2", "#7fb4d6", "#d9dce0", "#f0b55f", "#b85f00"),
    "dark": ("#56b4e9", "#3f7ea3", "#454c55", "#a8731f", "#f0a030"),
}


def method_style(name: str) -> MethodStyle:
    """The style of a method; one of a foreign package gets a quiet color of its own, always the same."""
    if name in METHODS:
        return METHODS[name]
    light, dark = _OTHER[sum(name.encode("utf-8", "surrogatepass")) % len(_OTHER)]
    return MethodStyle(name, light, dark, (3, 3, 1, 3), "*")


def magnitudes() -> Colormap:
    """Cividis, for values that have a size."""
    return mpl.colormaps["cividis"]


def deviations(theme: Theme = "light") -> Colormap:
    """Blue below, grey at, orange above the middle, for values that have a sign."""
    return LinearSegmentedColormap.from_list("deviations", _DIVERGING[theme])


def constants() -> dict[str, Any]:
    """What the browser needs to look the same."""
    cividis = magnitudes()
    return {
        "PALETTES": {name: asdict(palette) for name, palette in PALETTES.items()},
        "METHODS": {name: asdict(style) for name, style in METHODS.items()},
        "CIVIDIS": [to_hex(cividis(step / 16)) for step in range(17)],
        "DIVERGING": _DIVERGING,
        "ERROR_DOMAIN": ERROR_DOMAIN,
    }


# -- numbers, the same in every view, in Python and in the browser


def known(value: float | None) -> bool:
    """Whether a value is a number: None and NaN are not."""
    return value is not None and not math.isnan(value)


def fmt_error(value: float | None) -> str:
    """A relative error with two digits that count: ``0.056``, ``1.2``, ``3.4e-5``."""
    return _number(value, 2)


def fmt_number(value: float | None) -> str:
    """Any number with three digits that count."""
    return _number(value, 3)


def fmt_share(value: float | None) -> str:
    """A share as a percentage: ``93 %``; two more digits where it would round to all or nothing."""
    if value is None or math.isnan(value):
        return NONE
    percent = 100.0 * value
    near_an_end = 0 < abs(percent) < 1 or 99 < percent < 100
    return f"{_fixed(percent, 1 if near_an_end else 0)} %".replace("-", "−")


def fmt_ratio(value: float | None) -> str:
    """A value over its reference: ``0.56×``."""
    return NONE if value is None or math.isnan(value) else f"{_fixed(value, 2)}×"


def fmt_signed(value: float | None, digits: int = 2) -> str:
    """A number that always shows its sign."""
    if value is None or math.isnan(value):
        return NONE
    return ("" if value < 0 else "+") + _fixed(value, digits).replace("-", "−")


def fmt_tick(value: float, _: object = None) -> str:
    """A number on an axis: ``0.1``, not ``0.10``. Fits matplotlib's ``FuncFormatter``."""
    text = _number(value, 6)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def fmt_count(value: float | None) -> str:
    """A count with thin spaces: ``9 147 168``."""
    return NONE if value is None or math.isnan(value) else f"{int(value):,}".replace(",", "\u202f")


def fmt_seconds(value: float | None) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if value is None or math.isnan(value):
        return NONE
    if value < 9.95:
        return f"{_fixed(value, 1)} s"
    whole = int(_fixed(value, 0))
    if whole < 60:
        return f"{whole} s"
    minutes, seconds = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def fmt_bytes(value: float | None) -> str:
    """A size: ``5.6 MB``."""
    if value is None or math.isnan(value):
        return NONE
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def fmt_shape(out_features: int, in_features: int) -> str:
    """``768 × 288`` (outputs × inputs)."""
    return f"{out_features} × {in_features}"


def shown_name(name: str, longest: int = 80) -> str:
    """A name from a model as one line of text: control characters become visible, the middle of a long one goes."""
    visible = "".join(character if character.isprintable() else "\ufffd" for character in name)
    if len(visible) <= longest:
        return visible
    half = (longest - 1) // 2
    return f"{visible[:half]}…{visible[-half:]}"


def _number(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exact = Decimal(value)
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), ROUND_HALF_UP)
    exponent = rounded.adjusted()
    if -4 <= exponent <= 5:
        text = _fixed(value, max(0, digits - 1 - exponent))
    else:
        text = f"{_fixed(float(rounded.scaleb(-exponent)), digits - 1)}e{exponent}"
    return text.replace("-", "−")


def _fixed(value: float, digits: int) -> str:
    """Rounded as browsers do, so that both say the same: a tie goes away from zero."""
    if abs(value) > 1e15:
        return "∞" if math.isinf(value) else f"{value:.{digits}f}"
    return str(Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


# -- static pictures


@contextmanager
def drawing(theme: Theme, height_px: int, width_px: int = WIDTH_PX) -> Iterator[Figure]:
    """An empty figure of this size in this theme, drawn on while the render lock is held.

    Object interface only: the figure belongs to no window and no global list.
    """
    with RENDER_LOCK, mpl.rc_context(_settings(PALETTES[theme])):
        figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def png(figure: Figure, theme: Theme = "light") -> bytes:
    """The figure as a PNG at twice its size."""
    buffer = io.BytesIO()
    with RENDER_LOCK, mpl.rc_context(_settings(PALETTES[theme])):
        figure.savefig(buffer, format="png", dpi=DPI * PNG_SCALE, facecolor=PALETTES[theme].background)
    return buffer.getvalue()


def _settings(palette: Palette) -> Any:
    # matplotlib counts points, 72 an inch: 11 px at 100 dpi are 7.9 points.
    small, normal, large = (px * 72 / DPI for px in (SMALLEST_FONT_PX, 12, 14))
    return {
        "font.family": "sans-serif",
        "font.size": normal,
        "axes.titlesize": large,
        "axes.labelsize": normal,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
        "figure.facecolor": palette.background,
        "axes.facecolor": palette.background,
        "savefig.facecolor": palette.background,
        "text.color": palette.ink,
        "axes.labelcolor": palette.ink,
        "axes.titlecolor": palette.ink,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.edgecolor": palette.line,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "grid.color": palette.grid,
        "grid.linewidth": 0.8,
        "xtick.color": palette.line,
        "ytick.color": palette.line,
        "xtick.labelcolor": palette.soft,
        "ytick.labelcolor": palette.soft,
        "legend.frameon": False,
        "legend.labelcolor": palette.ink,
        "lines.linewidth": 1.4,
        "hatch.color": palette.line,
        "hatch.linewidth": 0.6,
        "text.parse_math": False,
        "path.simplify": True,
    }
