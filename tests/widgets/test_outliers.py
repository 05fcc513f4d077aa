"""The outlier view without a browser: messages in, one writer, the record's numbers out."""

from __future__ import annotations

from typing import Any

import pytest

from hyperprune_lab.analysis.outliers import readers, summary
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import BlockFinished, ModuleDecided
from hyperprune_lab.record.reader import Run
from hyperprune_lab.widgets import outliers as widget
from hyperprune_lab.widgets.assets import LARGEST_BYTES
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.outliers import OutlierChannels
from tests.widgets import tinyrun


def tell(view: OutlierChannels, kind: str, **content: Any) -> None:
    view._received(view, {"kind": kind, "serial": view.heard + 1, **content}, [])
    assert view.desk.settle()


def test_a_finished_run_is_told_in_one_sentence(run: Run):
    view = OutlierChannels(run)
    assert view.desk.settle()
    assert view.state == "finished"
    step = view.payload["steps"][view.payload["step"]]
    full = summary(readers(run))
    assert step[1] == full.rule
    assert step[2] in view.text
    assert view.twin == view.text
    view.close()


def test_the_threshold_moves_by_message_and_goes_to_a_step(run: Run):
    view = OutlierChannels(run, threshold=6.1)
    assert view.threshold == 6.0
    tell(view, "option", name="threshold", value=11.0)
    assert view.threshold == 10.0
    assert view.options["threshold"] == 10.0
    assert view.payload["steps"][view.payload["step"]][0] == 10.0
    tell(view, "option", name="threshold", value="loud")
    assert view.threshold == 10.0
    assert "≥ 10 × median" in view.text
    view.close()


def test_inputs_are_chosen_by_message(run: Run):
    view = OutlierChannels(run)
    tell(view, "option", name="chosen", value="mlp.up_proj")
    tell(view, "option", name="block", value=1)
    assert {tuple(one[:2]) for one in view.payload["inputs"]} == {(1, "mlp.up_proj")}
    view.desk.select(["model.layers.2.self_attn.o_proj"])
    tell(view, "option", name="chosen", value="selection")
    assert {tuple(one[:2]) for one in view.payload["inputs"]} == {(2, "self_attn.o_proj")}
    view.close()


def test_a_click_takes_the_desk_to_the_channel(run: Run):
    desk = Desk(run)
    view = OutlierChannels(desk)
    module = "model.layers.1.mlp.up_proj"
    desk.groups = {module: (3, 0)}
    tell(view, "channel", module=module, channel=5)
    assert desk.hovered_channel == (module, 5)
    assert desk.groups[module] == (3, 1)
    assert desk.selection == (module,)
    assert view.payload["pinned"][1] == 5
    assert "pinned: block 1 up 5" in view.twin
    for broken in ({"module": module, "channel": 10_000}, {"module": "nobody", "channel": 0}, {"channel": 1}):
        tell(view, "channel", **broken)
        assert desk.hovered_channel == (module, 5)
    tell(view, "hover", module="", channel=None)
    assert view.payload["pinned"] is None
    view.close()


def test_a_live_run_grows_block_by_block(live):
    writer, stream, run = live
    view = OutlierChannels(run)
    tinyrun.write_until(writer, stream, ModuleDecided)
    assert view.desk.settle()
    assert view.state == "live"
    assert view.payload["points"] == []
    for count in (1, 2):
        tinyrun.write_until(writer, stream, BlockFinished)
        assert view.desk.settle()
        assert len(view.payload["blocks"]) == count
        assert view.payload["steps"][view.payload["step"]][2].startswith("So far: ")
        assert view.seq == run.last_seq
    view.close()


def test_a_large_run_is_read_bit_by_bit_and_words_are_complete(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(widget, "PATIENCE_SECONDS", 0.0)
    view = OutlierChannels(Run(run.directory.root))
    assert "still reading" not in view.text
    view.close()
    view = OutlierChannels(Run(run.directory.root))
    view.open()
    assert view.desk.settle()
    assert len(view.payload["blocks"]) == 3
    assert "still reading" not in view.payload["reading"]
    assert view.rounds >= 1
    view.close()


def test_options_are_checked_and_the_page_stays_small(run: Run):
    with pytest.raises(UserError, match="threshold"):
        OutlierChannels(run, thresold=3)
    assert len(str(OutlierChannels._esm).encode()) < LARGEST_BYTES
    view = OutlierChannels(run)
    assert "outliers.readers(run)" in view.frame()["code"]
    assert view.csv().startswith("block,input,channel,ratio")
    view.close()
