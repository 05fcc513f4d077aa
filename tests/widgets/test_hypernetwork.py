"""The live view of the hypernetwork: grows step by step in place, follows the selection, goes back in time."""

from __future__ import annotations

import time

from hyperprune_lab import Hypernetwork
from hyperprune_lab import events as ev
from tests.widgets import tinyrun
from tests.widgets.wire import tell


def test_strips_grow_with_every_step(live):
    writer, stream, run = live
    view = Hypernetwork(run)
    assert view.payload["points"]["x"] == []
    domain = view.payload["domain"]
    for count in range(1, 7):
        tinyrun.write_until(writer, stream, ev.StepMeasured)
        assert view.desk.settle()
        assert len(view.payload["points"]["x"]) == count
        assert view.payload["domain"] == domain
        assert view.seq == run.last_seq
        assert view.twin == view.text
    for event in stream:
        writer.write(event)
    writer.close()
    assert view.desk.settle()
    assert (view.state, view.payload["finished"], view.failure) == ("finished", True, None)


def test_a_busy_run_sends_few_messages(live, wire):
    writer, stream, run = live
    view = Hypernetwork(run)
    view.desk.settle()
    wire.messages.clear()
    begun = time.monotonic()
    for event in stream:
        writer.write(event)
        time.sleep(0.005)
    writer.close()
    view.desk.settle()
    assert 1 <= len(wire.updates()) <= 15 * (time.monotonic() - begun)


def test_selection_zoom_and_fit(run):
    view = Hypernetwork(run)
    tell(view, "select", modules=[view.payload["leads"][1]])
    tell(view, "option", name="zoom", value=True)
    tell(view, "option", name="fit", value=True)
    assert view.desk.settle()
    assert (view.payload["selected"], view.payload["shown"]) == (1, [2, 4])
    assert view.payload["fitted"]
    assert "model.layers.1" in view.payload["histogram"]["note"]


def test_a_step_is_a_moment_that_all_views_can_go_to(run):
    view = Hypernetwork(run)
    tell(view, "moment", seq=view.payload["points"]["seq"][2])
    assert view.desk.settle()
    assert len(view.payload["points"]["x"]) == 3
    assert view.desk_state["replayed"]
    tell(view, "follow")
    assert view.desk.settle()
    assert len(view.payload["points"]["x"]) == 6


def test_another_method_says_that_there_is_no_network(tmp_path):
    view = Hypernetwork(tinyrun.write_run(tmp_path / "run", tinyrun.Tiny(method="wanda")))
    assert view.state == "finished"
    assert view.payload["message"].startswith("No hypernetwork: Wanda")
    assert view.failure is None


def test_the_code_it_offers_runs(run):
    view = Hypernetwork(run)
    exec(view.code, {})
    assert "network.pinned(run" in view.code
