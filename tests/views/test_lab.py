"""What the Lab's frame says about a run, held against the record."""

from __future__ import annotations

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.views import lab, theme
from tests.widgets import tinyrun


def test_the_strip_has_the_records_numbers(run):
    row = run.modules().iloc[2]
    data = lab.lab_data(run, selection=[row["module"], "another"], badge="finished")
    assert data.focus == f"{row['module']} and 1 more"
    expected = f"error {theme.fmt_error(row['error_rel'])}, Wanda {theme.fmt_error(row['error_rel_wanda'])}"
    assert lab.facts(data) == lab.payload(data)["facts"] == expected
    assert expected in lab.text(data)


def test_what_is_not_known_yet_is_not_zero(run):
    module = run.modules()["module"].iloc[-1]
    data = lab.lab_data(run, as_of=2, selection=[module])
    assert lab.facts(data) == f"error {theme.NOT_YET}"
    assert lab.facts(lab.lab_data(run)) == ""


def test_without_a_run_it_says_what_to_do():
    data = lab.lab_data(None)
    assert lab.text(data) == lab.NOTHING == lab.payload(data)["nothing"]
    assert "Start" in lab.NOTHING


def test_only_ends_of_blocks_and_errors_are_said_aloud(tmp_path):
    with RecordWriter.create(tmp_path / "run") as writer:
        for event in tinyrun.events():
            writer.write(event)
            if isinstance(event, ev.BlockFinished):
                break
        run = open_run(tmp_path / "run")
        seq, words = lab.lab_data(run).spoken
        assert (seq, words) == (run.last_seq, "Block 0 done in layers.")
        writer.write(ev.Notice("info", "nothing of weight"))
        assert lab.lab_data(run).spoken == (run.last_seq, "")
        writer.write(ev.Notice("error", "too few tokens <b>"))
        assert lab.lab_data(run).spoken == (run.last_seq, "too few tokens <b>")
        writer.write(ev.StepMeasured("layers", 1, 0, 2, {"loss": 1.0}))
        writer.flush()
        assert lab.lab_data(run).spoken[0] == run.last_seq - 1
        writer.write(ev.RunFailed("out of memory", "MemoryError"))
        assert lab.lab_data(run).spoken[1] == "The run failed: out of memory"


@pytest.mark.parametrize("name", ["light", "dark"])
def test_pictures_stand_one_below_the_other(run, name):
    one = lab.picture(lab.lab_data(run, badge="finished"), name)
    joined = lab.stacked([one, lab.picture(lab.lab_data(None), name)], name)
    assert joined.get_figheight() == pytest.approx(2 * one.get_figheight())
    assert theme.png(joined, name)[:4] == b"\x89PNG"
