"""The live view of forgetting: grows with a run, selects blocks, holds a second run beside it."""

from __future__ import annotations

from hyperprune_lab import Forgetting
from hyperprune_lab import events as ev
from tests.widgets import tinyrun
from tests.widgets.wire import tell


def test_the_matrix_grows_by_a_row_a_block_on_one_scale(live):
    writer, stream, run = live
    view = Forgetting(run)
    assert (view.payload["blocks"], view.payload["asked"]) == (3, [])
    domain = view.payload["domain"]
    for block in range(3):
        tinyrun.write_until(writer, stream, ev.ForgettingMeasured)
        assert view.desk.settle()
        assert view.payload["asked"] == list(range(block + 1))
        assert view.payload["domain"] == domain
        assert view.seq == run.last_seq
        assert view.twin == view.text
    for event in stream:
        writer.write(event)
    writer.close()
    assert view.desk.settle()
    assert (view.state, view.payload["asked"]) == ("finished", [0, 1, 2, 3])


def test_steps_send_no_matrix(live, wire):
    writer, stream, run = live
    view = Forgetting(run)
    tinyrun.write_until(writer, stream, ev.BlockStarted)
    view.desk.settle()
    wire.messages.clear()
    tinyrun.write_until(writer, stream, ev.StepMeasured)
    view.desk.settle()
    sent = {name for message in wire.updates() for name in message.data["state"]}
    assert "seq" in sent
    assert "payload" not in sent


def test_a_click_on_a_block_moves_every_view_of_the_desk(run):
    view = Forgetting(run)
    other = Forgetting(view.desk, measure="divergence")
    tell(view, "select", modules=[view.payload["leads"][1]])
    assert view.desk.settle()
    assert [one.payload["selected"] for one in (view, other)] == [1, 1]
    assert "selected, block 1" in view.twin


def test_measure_fit_and_reference(run, tmp_path):
    view = Forgetting(run)
    tell(view, "option", name="measure", value="error_rel")
    tell(view, "option", name="fit", value=True)
    view.desk.reference = tinyrun.write_run(tmp_path / "other", tinyrun.Tiny(seed=1))
    assert view.desk.settle()
    assert view.payload["measure"]["name"] == "error_rel"
    assert view.payload["fitted"]
    assert view.payload["reference"]["name"] == "other"
    view.desk.reference = None
    assert view.desk.settle()
    assert view.payload["reference"] is None


def test_another_method_says_that_there_is_nothing_to_forget(tmp_path):
    view = Forgetting(tinyrun.write_run(tmp_path / "run", tinyrun.Tiny(method="wanda")))
    assert view.state == "finished"
    assert view.payload["message"].startswith("No shared network, nothing to forget.")
    assert view.csv() == "\r\n"
    assert view.failure is None


def test_the_code_it_offers_runs(run, tmp_path):
    other = tinyrun.write_run(tmp_path / "other")
    view = Forgetting(run, reference=other)
    exec(view.code, {})
    assert "forgetting.compare(run" in view.code
