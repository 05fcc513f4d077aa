"""Notebook files: percent text and back, normalizing, what must not be saved, student copies, building."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import NotebookNode, v4

from hyperprune_lab.errors import UserError
from hyperprune_lab.teaching import build, notebook, percent, student

TEXT = """# %% [markdown]
# # What?
#
# A paragraph.

# %% tags=["exercise"]
answer = ...
print(answer)

# %% tags=["solution"]
print(6)

# %% [markdown] tags=["instructor"]
# Tell them.

# %% tags=["live", "nbval-ignore-output"]
import time

print(time.time())
"""

PREDICTION = """
from hyperprune_lab import teaching

guess = teaching.predict("Which?", a="x", b="z")
guess.compare("a", "y")
"""


def output(**data: str) -> NotebookNode:
    return v4.new_output("display_data", data={name.replace("_", "/"): value for name, value in data.items()})


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return v4.new_output("stream", name=name, text=text)


def one_cell(*outputs: NotebookNode, source: str = "1") -> NotebookNode:
    return v4.new_notebook(cells=[v4.new_code_cell(source, outputs=list(outputs))])


def test_a_percent_file_and_its_notebook_say_the_same():
    made = percent.parse(TEXT)
    assert [cell.cell_type for cell in made.cells] == ["markdown", "code", "code", "markdown", "code"]
    assert made.cells[0].source == "# What?\n\nA paragraph."
    assert percent.text_of(made) == TEXT
    nbformat.validate(made)
    assert percent.parse(TEXT) == made


def test_equal_cells_get_different_ids():
    made = percent.parse("# %%\n1\n\n# %%\n1\n")
    assert made.cells[0].id != made.cells[1].id


@pytest.mark.parametrize("text", ["x = 1\n# %%\n", "# %% [html]\n", "# %% [markdown]\nno comment\n"])
def test_a_misspelled_percent_file_is_refused(text):
    with pytest.raises(UserError):
        percent.parse(text)


def test_normalizing_leaves_nothing_that_a_second_build_would_change():
    view = output(text_plain="a view")
    view.data["application/vnd.jupyter.widget-view+json"] = {"model_id": "f00"}
    made = one_cell(stream("a\n"), stream("b\n"), stream("c\n", "stderr"), view)
    made.metadata["widgets"] = {"state": {}}
    made.metadata["language_info"] = {"name": "python", "version": "3.11.7"}
    made.cells[0].metadata = NotebookNode(execution={"iopub.execute_input": "now"}, tags=["live"])
    notebook.normalize(made)
    (cell,) = made.cells
    assert [entry.get("text") for entry in cell.outputs] == ["a\nb\n", "c\n", None]
    assert dict(cell.outputs[2].data) == {"text/plain": "a view"}
    assert dict(cell.metadata) == {"tags": ["live"]}
    assert set(made.metadata) == {"kernelspec", "language_info"}
    assert "version" not in made.metadata.language_info


def test_solutions_are_folded_away():
    made = notebook.normalize(percent.parse(TEXT))
    folded = [cell.metadata.get("jupyter", {}).get("source_hidden", False) for cell in made.cells]
    assert folded == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (one_cell(v4.new_output("error", ename="ValueError", evalue="bad", traceback=[])), "ValueError: bad"),
        (one_cell(stream("Warning!", "stderr")), "stderr"),
        (one_cell(stream("saved to /home/ada/run")), "/home/ada/run"),
        (one_cell(output(text_html="<a href='/tmp/x/y'>")), "/tmp/x/y"),
        (one_cell(source="open('/work/x')"), "/work/x"),
        (one_cell(stream("x" * 1_000_001)), "bytes"),
    ],
)
def test_what_must_not_be_saved_is_told(made, says):
    (problem, *_) = notebook.problems(made)
    assert says in problem


def test_what_may_be_saved_is_not_complained_about():
    pictures = output(image_png="/home/" * 9)
    assert notebook.problems(one_cell(stream("https://x.org/home/ada data/models 1/2"), pictures)) == []


def test_a_student_copy_has_the_questions_and_none_of_the_answers():
    copy = student.student_copy(percent.parse(TEXT))
    text = notebook.as_text(copy)
    assert "answer = ..." in text
    assert "print(6)" not in text
    assert "Tell them" not in text
    assert len(copy.cells) == 3


def test_student_copies_never_replace_somebodys_work(monkeypatch, tmp_path):
    folder, out = tmp_path / "notebooks", tmp_path / "out"
    folder.mkdir()
    (folder / "01_what.ipynb").write_text(notebook.as_text(percent.parse(TEXT)))
    monkeypatch.setattr(notebook, "FOLDER", folder)
    assert student.main(["--out", str(out), "01"]) == 0
    (out / "01_what.ipynb").write_text("my work")
    assert student.main(["--out", str(out)]) == 2
    assert (out / "01_what.ipynb").read_text() == "my work"
    assert student.main(["--out", str(out), "77"]) == 2
    monkeypatch.setattr(notebook, "FOLDER", tmp_path / "nowhere")
    assert student.main(["--out", str(out)]) == 2


def test_a_built_notebook_is_the_same_when_it_is_built_again(tmp_path):
    path = tmp_path / "01_what.ipynb"
    text = f"{TEXT}\n# %%\n{PREDICTION}"
    contents = []
    for _ in range(2):
        path.write_text(notebook.as_text(percent.parse(text)))
        build.build(path)
        made = notebook.read(path)
        (live,) = [cell for cell in made.cells if "live" in notebook.tags(cell)]
        live.outputs = []
        contents.append(notebook.as_text(made))
    assert contents[0] == contents[1]
    assert "widget-view" not in contents[0]
    assert "Measured: a) x" in contents[0]
    assert "6\\n" in contents[0]


def test_a_failing_notebook_is_not_saved(tmp_path):
    path = tmp_path / "01_what.ipynb"
    for code, says in (("1 / 0", "ZeroDivisionError"), ("import sys\nprint(1, file=sys.stderr)", "stderr")):
        before = notebook.as_text(percent.parse(f"# %%\n{code}\n"))
        path.write_text(before)
        with pytest.raises(UserError, match=says):
            build.build(path)
        assert path.read_text() == before
