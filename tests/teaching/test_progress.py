"""Progress: local, harmless, and silent where it cannot be kept."""

from __future__ import annotations

import pytest

from hyperprune_lab.teaching import exercise, progress


def test_a_lesson_lists_its_own_exercises_in_order():
    for name in ("98/first", "98/second", "97/other"):
        exercise.number(name, 1, because="", traps={}, otherwise="")
    progress.note("98/second", False)
    progress.note("98/second", True)
    shown = progress.show_progress("98")
    assert shown.title == "1 of 2 exercises of this notebook solved"
    assert shown.body.splitlines() == ["· first: open", "✓ second: solved, 2 tries"]


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"98/a": 3, "98/b": {"attempts": "x"}}'])
def test_a_damaged_file_counts_as_none(text):
    file = progress.progress_file()
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert progress.read() == {}
    progress.note("98/a", True)
    assert progress.read()["98/a"] == {"attempts": 1, "solved": True}


def test_a_place_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "a file" / "progress.json"))
    progress.note("98/a", True)
    assert progress.read() == {}


def test_switched_off_it_keeps_nothing_and_says_the_same_to_everybody(monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, "off")
    before = progress.show_progress("98")
    progress.note("98/a", True)
    assert progress.read() == {}
    assert progress.show_progress("98") == before
