"""The reconstruction view without a browser: messages in, one writer, the record's numbers out."""

from __future__ import annotations

from typing import Any

from hyperprune_lab.analysis import reconstruction as facts
from hyperprune_lab.events import BlockFinished, ModuleDecided, ModuleMeasured
from hyperprune_lab.record.reader import Run
from hyperprune_lab.widgets.assets import LARGEST_BYTES
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.reconstruction import Reconstruction
from tests.widgets import tinyrun

FOCUS = "model.layers.1.mlp.up_proj"


def tell(view: Reconstruction, kind: str, **content: Any) -> None:
    view._received(view, {"kind": kind, "serial": view.heard + 1, **content}, [])
    assert view.desk.settle()


def test_a_finished_run_shows_its_worst_linear(run: Run):
    view = Reconstruction(run)
    assert view.state == "finished"
    errors = facts.errors(run)
    ours = errors[errors["method"] == "this run"]
    assert view.payload["focus"] == ours.loc[ours["error_rel"].idxmax(), "module"]
    assert view.twin == view.text
    assert view.payload["parts"][0]["module"] == view.payload["focus"]
    view.close()


def test_the_selection_moves_the_causes(run: Run):
    desk = Desk(run)
    view = Reconstruction(desk)
    tell(view, "select", modules=[FOCUS])
    assert view.payload["focus"] == FOCUS
    assert FOCUS in view.twin
    tell(view, "option", name="fit", value=True)
    assert view.payload["fitted"]
    view.close()


def test_rows_and_channels_lead_the_mask_explorer(run: Run):
    desk = Desk(run)
    view = Reconstruction(desk)
    tell(view, "row", module=FOCUS, row=3)
    assert desk.groups[FOCUS] == (3, 0)
    assert desk.selection == (FOCUS,)
    assert desk.hovered_channel is None
    tell(view, "channel", module=FOCUS, channel=9)
    assert desk.groups[FOCUS] == (3, 2)
    assert desk.hovered_channel == (FOCUS, 9)
    for broken in ({"module": FOCUS, "row": 8}, {"module": FOCUS, "row": -1}, {"module": "nobody", "row": 0}):
        tell(view, "row", **broken)
        assert desk.groups[FOCUS] == (3, 2)
    view.close()


def test_a_live_run_grows_linear_by_linear(live):
    writer, stream, run = live
    view = Reconstruction(run)
    for count in (1, 2):
        tinyrun.write_until(writer, stream, ModuleDecided)
        assert view.desk.settle()
        assert sum(len(panel["ours"]) for panel in view.payload["panels"]) == count
        assert view.payload["headline"].startswith(f"So far {count} of 12 linears")
        assert view.seq == run.last_seq
    assert view.payload["rows"] == []
    tinyrun.write_until(writer, stream, BlockFinished)
    assert view.desk.settle()
    assert view.payload["rows"]
    assert "not yet" in view.payload["about_parts"]
    view.desk.select([FOCUS])
    tinyrun.write_until(writer, stream, ModuleMeasured)
    view.desk.select(["model.layers.0.self_attn.q_proj"])
    assert view.desk.settle()
    assert view.payload["parts"]
    view.close()


def test_a_replayed_moment_is_drawn_as_it_was(run: Run):
    desk = Desk(run)
    view = Reconstruction(desk)
    desk.moment = run.events(kinds=("BlockFinished",))[0].seq
    assert desk.settle()
    assert sum(len(panel["ours"]) for panel in view.payload["panels"]) == 4
    assert f"as_of={desk.moment}" in view.frame()["code"]
    view.close()


def test_the_page_stays_small(run: Run):
    assert len(str(Reconstruction._esm).encode()) < LARGEST_BYTES
    view = Reconstruction(run)
    assert view.csv().startswith("kind,block,method,error_rel")
    view.close()
