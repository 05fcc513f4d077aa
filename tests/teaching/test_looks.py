"""Feedback and presentation as they reach a page."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hyperprune_lab.teaching.feedback import Feedback, marked_up
from hyperprune_lab.teaching.presentation import present


def test_feedback_escapes_what_it_is_given_and_sets_code():
    page = Feedback("wrong", "<script>", "use `W < 0`\nthen stop")._repr_html_()
    assert "<script>" not in page
    assert "<code>W &lt; 0</code>" in page
    assert page.count("margin-top") == 2


@pytest.mark.parametrize(("kind", "mark"), [("right", "✓"), ("wrong", "✗"), ("open", "…"), ("note", "→")])
def test_feedback_is_told_apart_without_color(kind, mark):
    assert repr(Feedback(kind, "Title")).startswith(mark)
    assert mark in Feedback(kind, "Title")._repr_html_()


@pytest.mark.parametrize(("asked", "given"), [(1.5, "1.5"), (0.1, "1"), (99, "3")])
def test_presentation_scales_text_and_views_within_reason(asked, given):
    assert f"--hp-scale: {given};" in present(scale=asked)._repr_html_()


def test_presentation_can_be_switched_off():
    assert "--hp-scale: 1;" in present(on=False)._repr_html_()
    assert "off" in repr(present(on=False))


def test_every_name_of_the_facade_is_what_it_says_whatever_was_imported_before():
    from hyperprune_lab import teaching

    for _ in range(2):
        assert all(callable(getattr(teaching, name)) for name in teaching.__all__)


def test_lessons_are_read_and_checked_without_torch():
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from hyperprune_lab import teaching\n"
        "from hyperprune_lab.teaching.lessons import hypernetwork, n_m, scores\n"
        "sys.exit(0 if scores.check_pair_cost(0.4) and teaching.present() else 1)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("is *this* it?", "is <em>this</em> it?"),
        ("`a * b * c`", "<code>a * b * c</code>"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("x*y*z", "x*y*z"),
        ("*<b>*", "<em>&lt;b&gt;</em>"),
    ],
)
def test_words_are_marked_up_and_nothing_else_is(text, marked):
    assert marked_up(text) == marked
