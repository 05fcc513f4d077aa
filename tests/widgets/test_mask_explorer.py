"""The mask explorer without a browser: questions in, tiles out; one writer; the record's numbers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperprune_lab.analysis.masktiles import reference_mask
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import BlockFinished, BlockStarted, ModuleDecided
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views.mask_source import MaskSource
from hyperprune_lab.widgets import assets
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.mask_explorer import MaskExplorer
from hyperprune_lab.widgets.view import PADDED_BYTES
from tests.analysis.worlds import World, make_world, name_of
from tests.widgets import tinyrun
from tests.widgets.wire import Wire, tell

MODULE = "model.layers.1.mlp.up_proj"
UP = name_of(1, "mlp.up_proj")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run whose weights are beside it."""
    return make_world(tmp_path_factory.mktemp("world"))


def opened(source: Run | Desk, module: str = MODULE, **options: Any) -> MaskExplorer:
    desk = source if isinstance(source, Desk) else Desk(source)
    desk.select([module])
    view = MaskExplorer(desk, **options)
    assert desk.settle()
    assert view.failure is None
    return view


def ask(view: MaskExplorer, wire: Wire, places: list[Any], **what: Any) -> Any:
    """Ask for tiles as the browser does; the answer's content and its buffers."""
    number = len(wire.messages) + 1
    asked = {"name": "tiles", "version": view.payload["version"], "measure": "keep_rate", "side": "ours"}
    tell(view, "ask", id=number, key="tiles-0", what={**asked, "places": places, **what}, serial=number)
    assert view.desk.settle()
    (answer,) = [one for one in wire.answers() if one.data["content"]["id"] == number]
    assert "pump" in answer.thread
    assert sum(map(len, answer.buffers)) >= PADDED_BYTES
    content = answer.data["content"]
    return content["content"], answer.buffers if content["ok"] else None


def test_the_module_stays_small():
    assert len(assets.esm("mask_explorer", "mask_tiles", "mask_paint").encode()) < assets.LARGEST_BYTES
    assert str(MaskExplorer._esm) == assets.esm("mask_explorer", "mask_tiles", "mask_paint")


def test_a_finished_run_opens_at_its_worst_module(run: Run):
    view = MaskExplorer(run)
    assert view.desk.settle()
    assert view.state == "finished"
    assert view.payload["module"] == view.selection[0]
    assert view.group is not None
    assert view.group["sentence"] in view.twin
    assert view.twin == view.text
    assert "group" not in view.payload
    view.close()


def test_tiles_come_by_request(run: Run, wire: Wire):
    view = opened(run)
    described, buffers = ask(view, wire, [["bits", 0, 0, 0], ["deviation:ours", 0, 0, 0]])
    assert described == [[8, 16, "bits"], [8, 16, "deviation"]]
    packed = np.frombuffer(buffers[0], np.uint8).reshape(2, 8, 2)
    bits = np.unpackbits(packed, axis=2, bitorder="little").astype(bool)
    np.testing.assert_array_equal(bits[0], run.mask(MODULE))
    np.testing.assert_array_equal(bits[1], reference_mask(run, MODULE, "wanda").unpack())
    rates = (np.frombuffer(buffers[1], np.uint8).reshape(8, 16).astype(float) - 1) / 254 - 0.5
    np.testing.assert_allclose(rates[0], run.mask(MODULE).mean(0) - 0.5, atol=1 / 254)
    view.close()


def test_nonsense_is_answered_with_a_reason(run: Run, wire: Wire):
    view = opened(run)
    for places, what, words in (
        ([["bits", 0, 9, 0]], {}, "no tile"),
        ([["over", 0, 0, 0]], {"measure": "taste"}, "no such measure"),
        ([["weights", 0, 0, 0]], {}, "only masks can be shown"),
        ([["bits", 0, 0, 0]], {"version": "gone"}, "not open any more"),
        ([["bits", "x", 0, 0]], {}, "ValueError"),
    ):
        content, buffers = ask(view, wire, places, **what)
        assert buffers is None
        assert words in content
    view.close()


def test_rulers_come_by_request(run: Run, wire: Wire):
    view = opened(run)
    tell(
        view, "ask", id=1, key="rulers", what={"name": "rulers", "version": view.payload["version"]}, serial=1
    )
    assert view.desk.settle()
    keep, theirs, errors, loud, _ = wire.answers()[0].buffers
    np.testing.assert_allclose(np.frombuffer(keep, "<f4"), run.mask(MODULE).mean(0))
    np.testing.assert_allclose(
        np.frombuffer(theirs, "<f4"), reference_mask(run, MODULE, "wanda").unpack().mean(0)
    )
    assert len(errors) == 4 * 8
    assert len(loud) == 4 * 16
    view.close()


def test_what_takes_long_is_made_aside_and_announced(world: World, wire: Wire, monkeypatch):
    ready = {"now": False}
    tile = MaskSource.tile

    def slow(self, measure, side, level, y, x, wait=True):
        made = ready["now"] or wait or measure == "keep_rate"
        return tile(self, measure, side, level, y, x, wait) if made else None

    monkeypatch.setattr(MaskSource, "tile", slow)
    monkeypatch.setattr(MaskSource, "prepare", lambda *_: ready.update(now=True))
    view = opened(world.run, UP, measure="kept_score")
    described, _ = ask(view, wire, [["over", 0, 0, 0]], measure="kept_score")
    assert described == [[0, 0, "later"]]
    end = time.monotonic() + 5
    while not any(one.data.get("content") == {"kind": "ready"} for one in wire.messages):
        assert time.monotonic() < end
        time.sleep(0.01)
    described, buffers = ask(view, wire, [["over", 0, 0, 0]], measure="kept_score")
    assert described == [[20, 24, "kept score"]]
    assert len(buffers[0]) == 20 * 24
    view.close()


def test_what_fails_aside_is_said_once_asked_again(world: World, wire: Wire, monkeypatch):
    def fail(*_: Any) -> None:
        raise UserError("The disk is gone.")

    monkeypatch.setattr(MaskSource, "tile", lambda *_, wait=True, **__: None if not wait else fail())
    monkeypatch.setattr(MaskSource, "coarsest", lambda self, *_: self.overview.deviation(0, 0, 0))
    monkeypatch.setattr(MaskSource, "prepare", fail)
    view = opened(world.run, UP)
    assert ask(view, wire, [["over", 0, 0, 0]])[0] == [[0, 0, "later"]]
    end = time.monotonic() + 5
    while not view._failures:
        assert time.monotonic() < end
        time.sleep(0.01)
    content, _ = ask(view, wire, [["over", 0, 0, 0]])
    assert content == "The disk is gone."
    view.close()


def test_weights_are_sent_where_they_are(world: World, wire: Wire):
    view = opened(world.run, UP)
    assert view.payload["weights"]
    described, buffers = ask(view, wire, [["weights", 0, 0, 0]])
    assert described == [[20, 24, "weights"]]
    weights = np.frombuffer(buffers[0], "<f4")[: 20 * 24].reshape(20, 24)
    np.testing.assert_array_equal(weights, world.weights[UP])
    view.close()


def test_a_group_is_explained_and_little_else_is_sent(run: Run, wire: Wire):
    view = opened(run)
    before = len(wire.messages)
    tell(view, "group", module=MODULE, row=3, group=2, serial=5)
    assert view.desk.settle()
    assert view.group is not None
    assert (view.group["row"], view.group["group"]) == (3, 2)
    assert "row 3, group 2 (inputs 8 to 11): Kept" in view.text
    sent = [one.data["state"] for one in wire.messages[before:] if one.kind == "update"]
    assert sent
    assert all("payload" not in state for state in sent)
    tell(view, "group", module=MODULE, row=10**9, group=-5, serial=6)
    assert view.desk.settle()
    assert (view.group["row"], view.group["group"]) == (7, 0)
    view.close()


def test_groups_are_pinned_and_let_go(run: Run):
    view = opened(run)
    for row in range(4):
        tell(view, "pin", row=row, group=1)
    assert view.desk.settle()
    assert view.pins == [(MODULE, 3, 1), (MODULE, 2, 1), (MODULE, 1, 1)]
    assert [card["row"] for card in view.pinned] == [3, 2, 1]
    assert "pinned, row 2, group 1" in view.text
    tell(view, "pin", row=2, group=1)
    assert view.desk.settle()
    assert [card["row"] for card in view.pinned] == [3, 1]
    view.desk.select(["model.layers.0.mlp.up_proj"])
    assert view.desk.settle()
    assert view.pinned == []
    view.close()


def test_it_goes_from_difference_to_difference(run: Run):
    view = opened(run)
    differ = run.mask(MODULE) != reference_mask(run, MODULE, "wanda").unpack()
    places = [tuple(place) for place in np.argwhere(differ.reshape(8, 4, 4).any(2)).tolist()]
    here = (0, -1)
    for place in places:
        tell(view, "next", row=here[0], group=here[1])
        assert view.desk.settle()
        here = view.desk.groups[MODULE]
        assert here == place
    tell(view, "previous", row=here[0], group=here[1])
    assert view.desk.settle()
    assert view.desk.groups[MODULE] == places[-2]
    # No probabilities were recorded: nothing to go to, nothing happens.
    tell(view, "recorded", row=0, group=0)
    assert view.desk.settle()
    assert view.desk.groups[MODULE] == places[-2]
    view.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pins", [["a"]]),
        ("pins", 3),
        ("window", ["x"]),
        ("side", "left"),
        ("against", "me"),
        ("height", 10),
        ("folder", 3),
    ],
)
def test_nonsense_from_the_browser_changes_nothing(run: Run, name: str, value: Any):
    view = opened(run)
    before = view.frame()
    tell(view, "option", name=name, value=value)
    tell(view, "pin", row="x", group=None)
    tell(view, "next", row=1)
    assert view.desk.settle()
    assert view.frame() == before
    assert view.failure is None
    view.close()


def test_the_window_is_told_and_can_be_set(run: Run):
    view = opened(run)
    assert "in view" not in view.text
    view.look(rows=(2, 5), inputs=(4, 12))
    assert view.desk.settle()
    assert view.options["window"] == [2, 4, 5, 12]
    assert "in view: rows 2 to 4, inputs 4 to 11 (groups 1 to 2)" in view.twin
    tell(view, "option", name="window", value=[0, 0, 8, 16])
    assert view.desk.settle()
    assert "in view" not in view.twin
    view.close()


def test_sides_measures_and_the_other_mask_are_chosen(run: Run, tmp_path: Path):
    other = tinyrun.write_run(tmp_path / "other run", tinyrun.Tiny(seed=1))
    view = opened(Desk(run, reference=other), side="difference")
    assert view.payload["shown"]["difference"] == "shifted"
    assert "this run's mask against Wanda's" in view.text
    view.against = "reference"
    assert view.desk.settle()
    assert view.payload["sides"][1] == ["theirs", "other run"]
    assert "against other run:" in view.twin
    view.measure = "pattern"
    assert view.desk.settle()
    assert view.payload["shown"]["ours"] == "diversity"
    with pytest.raises(UserError, match="no measure"):
        view.measure = "taste"
    view.close()


def test_weights_are_found_in_the_folder_that_is_named(tmp_path: Path):
    world = make_world(tmp_path / "world", blocks=1)
    moved = world.model.rename(tmp_path / "moved")
    view = opened(world.run, name_of(0, "mlp.up_proj"))
    assert not view.payload["weights"]
    assert "masks only" in view.twin
    tell(view, "option", name="folder", value=str(moved))
    assert view.desk.settle()
    assert view.payload["weights"]
    assert "weights: read from the model's files" in view.twin
    tell(view, "option", name="folder", value=str(tmp_path))
    assert view.desk.settle()
    assert not view.payload["weights"]
    assert view.state == "finished"
    view.close()


def test_a_new_mask_of_the_focus_gets_a_new_name(live):
    writer, stream, run = live
    desk = Desk(run)
    desk.select(["model.layers.0.mlp.up_proj"])
    view = MaskExplorer(desk)
    tinyrun.write_until(writer, stream, ModuleDecided)
    assert desk.settle()
    assert view.payload["status"] == "waiting"
    assert view.group is None
    tinyrun.write_until(writer, stream, BlockFinished)
    assert desk.settle()
    assert view.payload["status"] == "decided"
    first = view.payload["version"]
    tinyrun.write_until(writer, stream, BlockStarted)
    assert desk.settle()
    assert view.payload["version"] == first
    # A later stage decides it again.
    mask = ~run.mask("model.layers.0.mlp.up_proj")
    writer.write(ModuleDecided("model", 0, "model.layers.0.mlp.up_proj", "2:4", mask, {"error_rel": 0.1}))
    writer.write(BlockFinished("model", 0, 0.1, 1))
    writer.flush()
    assert desk.settle()
    assert view.payload["version"] != first
    assert view.seq == run.last_seq
    # And any earlier moment still shows the earlier mask.
    desk.moment = run.last_seq - 2
    assert desk.settle()
    assert view.payload["version"] == first
    view.close()


def test_a_page_without_a_kernel_gets_what_it_can_draw(run: Run):
    view = opened(run)
    frame = view.frame()
    assert {piece[0] for piece in frame["payload"]["tiles"]} == {
        *("deviation:ours", "deviation:theirs", "shifted:difference", "bits"),
    }
    assert len(frame["payload"]["rulers"]) == 4
    assert "rulers" not in view.payload
    assert frame["group"] == view.group
    view.close()


def test_it_needs_no_run_and_no_selection(run: Run):
    view = MaskExplorer()
    assert view.state == "empty"
    view.desk.open(run)
    view.desk.select([])
    assert view.desk.settle()
    assert "Select a module" in view.twin
    assert view.payload["status"] == "nothing selected"
    view.close()


def test_pandas_code_runs(run: Run):
    view = opened(run)
    space: dict[str, Any] = {}
    exec(view.code, space)
    np.testing.assert_array_equal(space["mask"], run.mask(MODULE))
    view.close()
