"""The JavaScript of every view: small enough, whole after squeezing, safe, and counting as Python counts."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hyperprune_lab.views import theme
from hyperprune_lab.widgets import assets

FOLDER = Path(assets.__file__).parent
VIEWS = sorted(path.stem for path in (FOLDER / "js").glob("*.js") if "frame({" in path.read_text())
SOURCES = sorted((FOLDER / "js").rglob("*.js"))
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def run_node(code: str, folder: Path) -> str:
    file = folder / "test.mjs"
    file.write_text(code, encoding="utf-8")
    assert NODE is not None
    done = subprocess.run([NODE, str(file)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_views():
    assert "model_map" in VIEWS


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_text_never_becomes_markup(file):
    text = file.read_text(encoding="utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in text
    # What squeezing and the shared scope ask for.
    assert not re.search(r"^\s*import\s", text, re.MULTILINE)
    assert not [line for line in text.splitlines() if line.count("`") % 2], (
        "a template literal over several lines"
    )
    assert not re.search(r"\$\{[^}`]*`", text), "a template literal inside another one"


@needs_node
@pytest.mark.parametrize("view", VIEWS)
def test_a_squeezed_module_is_still_javascript(view, tmp_path):
    run_node(assets.esm(view) + "\n", tmp_path)


@needs_node
def test_squeezing_changes_no_string_and_no_meaning(tmp_path):
    source = """
    // a comment = gone
    const a = "x = y , z", b = 'it\\'s // ( )', c = `1 + 2 = ${ 1 + 2 } , ok`;
    const d = "a , b".replace(/ , /g, "-").match(/[ ,=/]|b/)[0];
    const e = 4 / 2 / 1, f = [1, 2].map((n) => n - -1), g = 1 < 2 ? "yes : no" : null;
    export default 0;
    console.log(JSON.stringify([a, b, c, d, e, f, g]));
    """
    squeezed = assets._squeezed(source)
    assert "comment" not in squeezed
    assert len(squeezed) < len(source) * 0.8
    assert run_node(squeezed, tmp_path) == run_node(source, tmp_path)


@needs_node
def test_numbers_read_the_same_in_the_browser_and_in_python(tmp_path):
    numbers = [
        0.0,
        1e-7,
        3.4e-5,
        0.00099,
        0.0563,
        0.0999,
        0.5,
        0.993,
        0.999,
        1.0,
        1.25,
        0.125,
        12.5,
        0.99999,
        7.77,
        12.0,
        59.7,
        61.2,
        3599.0,
    ]
    numbers += [3661.0, 123456.0, 9147168.0, 2.5e9, -0.25, -3.2e-6]
    ours = {
        "fmtError": theme.fmt_error,
        "fmtNumber": theme.fmt_number,
        "fmtShare": theme.fmt_share,
        "fmtRatio": theme.fmt_ratio,
        "fmtSigned": theme.fmt_signed,
        "fmtSeconds": lambda value: theme.fmt_seconds(abs(value)),
        "fmtCount": lambda value: theme.fmt_count(abs(value)),
    }
    shared = "\n".join((FOLDER / f"js/shared/{name}.js").read_text() for name in ("format",))
    calls = ",".join(
        f"{name}: numbers.map((n) => {name}({'Math.abs(n)' if name in ('fmtSeconds', 'fmtCount') else 'n'}))"
        for name in ours
    )
    theirs = json.loads(
        run_node(f"{shared}\nconst numbers = {numbers};\nconsole.log(JSON.stringify({{{calls}}}));", tmp_path)
    )
    assert theirs == {name: [call(number) for number in numbers] for name, call in ours.items()}
    nothing = run_node(
        f"{shared}\nconsole.log([fmtError, fmtShare, fmtCount].map((f) => f(null)).join());", tmp_path
    )
    assert nothing.strip() == "–,–,–"


@needs_node
def test_scales_and_colors(tmp_path):
    constants = "\n".join(f"const {name}={json.dumps(value)};" for name, value in theme.constants().items())
    scales = (FOLDER / "js/shared/scales.js").read_text()
    code = """
    const log = scaleOf("log", [1e-3, 1], [0, 300]), lin = scaleOf("linear", [0, 1], [10, 110]);
    console.log(JSON.stringify({
      log: [1e-4, 1e-3, 0.01, 0.1, 1, 5].map(log), back: log.invert(200), clamped: [1e-4, 0.5, 2].map(log.clamped),
      ticks: log.ticks(), lin: [0, 0.25, 2].map(lin), linTicks: lin.ticks(5), wide: scaleOf("linear", [0, 37]).ticks(4),
      ends: [cividis(0), cividis(1), cividis(7)], ink: [inkOn("#ffffff"), inkOn("#00224e")],
      method: [methodStyle("wanda", "light").color, methodStyle("unheard of", "dark").label],
    }));
    """
    found = json.loads(run_node(f"{constants}\n{scales}\n{code}", tmp_path))
    assert found["log"] == pytest.approx([0, 0, 100, 200, 300, 300])
    assert found["back"] == pytest.approx(0.1)
    assert found["clamped"] == [-1, 0, 1]
    assert found["ticks"] == [0.001, 0.01, 0.1, 1]
    assert found["lin"] == [10, 35, 110]
    assert found["linTicks"] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert found["wide"] == [0, 10, 20, 30]
    assert found["ends"] == ["#00224e", "#fee838", "#fee838"]
    assert found["ink"] == ["#000000", "#ffffff"]
    assert found["method"] == [theme.METHODS["wanda"].light, "unheard of"]


@pytest.mark.parametrize("view", VIEWS)
def test_a_module_stays_small(view):
    assert len(assets.esm(view).encode()) < assets.LARGEST_BYTES


def test_no_text_is_smaller_than_it_may_be():
    for file in (FOLDER / "css").glob("*.css"):
        text = re.sub(r"::before \{[^}]*\}", "", file.read_text(encoding="utf-8"))
        sizes = [float(size) for size in re.findall(r"font(?:-size)?:[^;}]*?(\d+(?:\.\d+)?)px", text)]
        assert all(size >= theme.SMALLEST_FONT_PX for size in sizes), file.name


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_and_marks_stand_out(name):
    palette = theme.PALETTES[name]
    for color in (palette.ink, palette.soft, palette.accent, palette.good, palette.warning, palette.error):
        assert contrast(color, palette.background) >= 4.5
    for color in (palette.ink, palette.soft):
        assert contrast(color, palette.panel) >= 4.5
    assert contrast(palette.line, palette.background) >= 3
    for method in theme.METHODS.values():
        assert contrast(getattr(method, name), palette.background) >= 3, method.label
    looks = {(method.dash, method.marker) for method in theme.METHODS.values()}
    assert len(looks) == len(theme.METHODS)


def test_formats():
    assert [theme.fmt_error(v) for v in (None, math.nan, math.inf, -math.inf, 0, 0.0563, 3.4e-5)] == [
        *("–", "–", "∞", "−∞", "0", "0.056", "3.4e−5"),
    ]
    assert [theme.fmt_share(v) for v in (0.5, 0.004, 0.996, 1.0, None)] == [
        "50 %",
        "0.4 %",
        "99.6 %",
        "100 %",
        "–",
    ]
    assert [theme.fmt_bytes(v) for v in (12, 5.6e6, 123e9, None)] == ["12 B", "5.6 MB", "123 GB", "–"]
    assert [theme.fmt_tick(v) for v in (0.1, 1.0, 1000.0, 0.025)] == ["0.1", "1", "1000", "0.025"]
    assert theme.shown_name("a\nb\x1b[0m") == "a\ufffdb\ufffd[0m"
    assert len(theme.shown_name("x" * 500)) <= 80


def test_a_foreign_method_always_looks_the_same():
    assert theme.method_style("mine") == theme.method_style("mine")
    assert theme.method_style("mine").label == "mine"
