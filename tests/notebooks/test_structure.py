"""What every notebook owes its readers, checked on the saved file without running it."""

from __future__ import annotations

import ast
import builtins
import copy
import re

import pytest

from hyperprune_lab.teaching.notebook import (
    EXERCISE,
    FOLDER,
    IGNORED,
    LARGEST_BYTES,
    LIVE,
    SOLUTION,
    as_text,
    named_notebooks,
    normalize,
    problems,
    read,
    tags,
)
from hyperprune_lab.teaching.student import student_copy

PATHS = named_notebooks([])
every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def cells_tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in tags(cell)]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def strict(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and IGNORED not in tags(cell)]


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def names_assigned(source):
    return {
        node.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}


def names_used(source):
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def test_there_are_notebooks():
    assert PATHS


@every_notebook
def test_it_opens_with_a_question_what_it_teaches_and_how_long_it_takes(path):
    card = read(path).cells[0].source
    assert re.match(r"# .+\?\n", card)
    assert "**What you will learn**" in card
    assert re.search(r"\d+ minutes to read", card)
    assert re.search(r"(second|minute)s? to run", card)
    assert len(re.findall(r"^- ", card, re.MULTILINE)) >= 3


@every_notebook
def test_it_ends_with_a_summary_and_a_way_on(path):
    headings = re.findall(r"^## (.+)$", prose(read(path)), re.MULTILINE)
    assert headings[-2:] == ["Summary", "Where to go next"]


@every_notebook
def test_it_asks_before_it_shows(path):
    """A prediction is asked for, and what came out is compared with it later."""
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    asked = [
        place
        for place, source in enumerate(code)
        if re.search(r"teaching\.predict\(|\blesson\.ask_\w+\(", source)
    ]
    told = [place for place, source in enumerate(code) if re.search(r"\.compare\(|\.reveal\(", source)]
    assert len(asked) == len(told) >= 1
    assert all(before < after for before, after in zip(asked, told, strict=True))


@every_notebook
def test_it_has_three_exercises_each_followed_by_its_folded_solution(path):
    cells = read(path).cells
    exercises = [place for place, cell in enumerate(cells) if EXERCISE in tags(cell)]
    assert len(exercises) >= 3
    for place in exercises:
        assert "..." in cells[place].source
        assert "Waiting for your answer" in repr(cells[place].outputs)
        solution = cells[place + 1]
        assert SOLUTION in tags(solution)
        assert solution.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
        assert "✓ Right" in repr(solution.outputs)


@every_notebook
def test_a_student_copy_runs_without_what_the_solutions_define(path):
    notebook = read(path)
    hidden = set().union(*(names_assigned(cell.source) for cell in cells_tagged(notebook, SOLUTION)))
    seen: set[str] = set(dir(builtins))
    for cell in student_copy(copy.deepcopy(notebook)).cells:
        if cell.cell_type == "code":
            assert not (names_used(cell.source) & hidden) - seen - names_assigned(cell.source), cell.source
            seen |= names_assigned(cell.source)


@every_notebook
def test_live_cells_are_not_compared_and_something_is_asserted_after_them(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    for place, cell in enumerate(cells):
        if LIVE in tags(cell):
            assert IGNORED in tags(cell)
            assert any("assert " in later.source for later in cells[place + 1 : place + 3]), cell.source


@every_notebook
def test_five_cells_or_more_print_numbers_that_are_compared(path):
    with_numbers = [cell for cell in strict(read(path)) if re.search(r"\d", printed(cell))]
    assert len(with_numbers) >= 5


@every_notebook
def test_every_picture_has_words(path):
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(output.data["text/plain"]) > 20
                assert "<Figure" not in output.data["text/plain"]


@every_notebook
def test_the_saved_file_is_small_clean_and_as_the_build_left_it(path):
    notebook = read(path)
    assert path.stat().st_size <= LARGEST_BYTES
    assert "widgets" not in notebook.metadata
    assert "widget-view" not in path.read_text(encoding="utf-8")
    assert problems(notebook) == []
    assert as_text(normalize(copy.deepcopy(notebook))) == path.read_text(encoding="utf-8")
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "run from top to bottom in a fresh kernel"


def links(notebook):
    return [target for target in re.findall(r"\]\(([^)#]+)\)", prose(notebook)) if "://" not in target]


@every_notebook
def test_its_links_lead_somewhere(path):
    for target in links(read(path)):
        assert (path.parent / target).exists(), target


@every_notebook
def test_a_student_copy_links_to_nothing_but_notebooks(path):
    copied = {notebook.name for notebook in PATHS}
    assert set(links(student_copy(read(path)))) <= copied


@every_notebook
def test_it_has_an_instructor_page(path):
    page = (FOLDER / "instructor" / f"{path.stem}.md").read_text(encoding="utf-8")
    for heading in ("## Timing", "## Answers", "## Common wrong ideas"):
        assert heading in page
    for cell in cells_tagged(read(path), EXERCISE):
        for check in re.findall(r"\bcheck_\w+", cell.source):
            assert f"`{check}`" in page
