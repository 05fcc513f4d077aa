"""What all views share: messages, options, errors, twins."""

from __future__ import annotations

import json

import pytest
import traitlets

from hyperprune_lab.errors import UserError
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.plain import plain
from hyperprune_lab.widgets.view import PADDED_BYTES
from tests.widgets import tinyrun
from tests.widgets.plainview import CountView
from tests.widgets.wire import tell


def test_the_first_picture_travels_with_the_message_that_makes_the_widget(run, wire):
    view = CountView(run, level=3)
    (made,) = [one for one in wire.messages if "_esm" in one.data.get("state", {})]
    state = made.data["state"]
    assert (state["state"], state["seq"], state["payload"]["level"]) == ("finished", run.last_seq, 3)
    assert state["payload"]["none"] is None
    assert state["twin"] == view.text
    view.desk.settle()
    assert wire.updates() == []
    json.dumps(state, allow_nan=False)


def test_synced_traits_cannot_be_written(run):
    view = CountView(run)
    for name in ("payload", "state", "seq", "selection", "twin", "problem"):
        with pytest.raises(traitlets.TraitError):
            setattr(view, name, getattr(view, name))
    view.set_state({"state": "hacked", "payload": {}})
    assert view.state == "finished"


def test_linked_views_share_selection_and_moment(run):
    desk = Desk(run)
    one, other = CountView(desk), CountView(desk)
    tell(one, "select", modules=["model.layers.1.mlp.up_proj", "x"], serial=4)
    assert desk.settle()
    assert one.selection == other.selection == ["model.layers.1.mlp.up_proj", "x"]
    assert (one.heard, other.heard) == (4, 0)
    tell(other, "moment", seq=20)
    assert desk.settle()
    assert (one.seq, one.state, one.desk_state["replayed"]) == (20, "live", True)
    assert one.payload["decided"] < 12
    tell(one, "follow")
    assert desk.settle()
    assert other.seq == run.last_seq


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "select", "modules": "abc"},
        {"kind": "select", "modules": [1]},
        {"kind": "select", "modules": ["x" * 5000]},
        {"kind": "select"},
        {"kind": "option", "name": "state", "value": "live"},
        {"kind": "option", "name": "level", "value": 99},
        {"kind": "option", "name": "level", "value": "two"},
        {"kind": "option", "name": "measure", "value": "no such"},
        {"kind": "moment", "seq": -4},
        {"kind": "moment", "seq": "later"},
        {"kind": "theme", "value": "<script>"},
        {"kind": "hover", "module": 3, "channel": 1},
        {"kind": "ask", "id": "x", "what": {}},
        {"kind": "ask", "id": 1, "what": 3},
        {"kind": ["select"]},
        "select",
        None,
    ],
)
def test_nonsense_from_the_browser_changes_nothing(run, content):
    view = CountView(run)
    before = view.frame()
    view._handle_custom_msg(content, [])
    assert view.desk.settle()
    assert view.frame() == before


def test_messages_change_the_desk(run):
    view = CountView(run)
    tell(view, "scope", modules=["a", "b"], value="dense")
    tell(view, "scope", modules=["b"], value=None)
    tell(view, "hover", module="a", channel=7)
    tell(view, "group", module="a", row=2, group=5)
    tell(view, "theme", value="dark")
    assert dict(view.desk.scope) == {"a": "dense"}
    assert view.desk.hovered_channel == ("a", 7)
    assert view.desk.groups == {"a": (2, 5)}
    assert view.desk.settle()
    assert view.desk_state["theme"] == "dark"
    assert view.desk_state["hovered"] == ["a", 7]
    tell(view, "hover", module=None, channel=None)
    assert view.desk.hovered_channel is None
    tell(view, "own", number=1)
    assert view.heard_of == [("own", {"kind": "own", "number": 1})]


def test_options_are_named_and_checked(run):
    view = CountView(run, level=2, measure="some")
    assert view.options == {"level": 2, "measure": "some"}
    with pytest.raises(UserError, match="no option 'levle'"):
        CountView(run, levle=2)
    with pytest.raises(UserError, match="no measure 'none'"):
        view.measure = "none"


def test_an_error_keeps_the_last_picture_and_says_what_to_do(run):
    view = CountView(run, level=1)
    view.level = 7
    assert view.desk.settle()
    assert (view.state, view.payload["level"]) == ("error", 1)
    assert view.problem["cause"] == "level 7 is not there: take another"
    assert view.problem["button"]
    with pytest.raises(UserError, match="level 7"):
        _ = view.text
    view.level = 8
    assert view.desk.settle()
    assert view.problem["cause"] == "ZeroDivisionError: a mistake of the view"
    view.level = 2
    assert view.desk.settle()
    assert (view.state, view.problem, view.failure) == ("finished", None, None)


def test_a_run_that_vanishes_leaves_the_picture(tmp_path):
    import shutil

    run = tinyrun.write_run(tmp_path / "run", stop_after=20)
    view = CountView(run)
    shown = view.payload
    shutil.rmtree(tmp_path / "run")
    tell(view, "retry")
    assert view.desk.settle()
    assert (view.state, view.payload) == ("error", shown)
    assert "run" in view.problem["cause"]


def test_without_a_run_it_says_so():
    view = CountView()
    assert (view.state, view.payload) == ("empty", {})
    assert "No run is open" in view.twin


def test_questions_are_answered_once_and_padded(run, wire):
    view = CountView(run)
    tell(view, "ask", id=1, what={"name": "twice", "number": 4})
    tell(view, "ask", id=2, what={"name": "nothing"})
    tell(view, "ask", id=3, what={})
    assert view.desk.settle()
    first, second, third = wire.answers()
    assert first.data["content"] == {
        "kind": "answer",
        "id": 1,
        "ok": True,
        "content": {"is": 8},
        "padded": True,
    }
    assert first.buffers[0] == b"abc"
    assert sum(map(len, first.buffers)) == PADDED_BYTES
    assert second.data["content"]["content"] == "no such question"
    assert not second.data["content"]["ok"]
    assert third.data["content"]["content"].startswith("KeyError")


def test_of_questions_with_one_key_only_the_newest_is_answered(run, wire):
    import threading

    view = CountView(run)
    hold = threading.Event()
    view.desk.pump.do(lambda: hold.wait(5) and None)
    for number in range(5):
        tell(view, "ask", id=number, key="tile", what={"name": "twice", "number": number})
    tell(view, "ask", id=9, key="other", what={"name": "twice", "number": 1})
    hold.set()
    assert view.desk.settle()
    assert [one.data["content"]["id"] for one in wire.answers()] == [4, 9]


def test_a_view_that_no_page_shows_is_left_alone(run, wire):
    view = CountView(run)
    tell(view, "hello", id="page")
    tell(view, "bye", id="page")
    view.desk.settle()
    wire.messages.clear()
    view.level = 5
    assert view.desk.settle()
    assert wire.updates() == []
    tell(view, "hello", id="again")
    assert view.desk.settle()
    assert view.payload["level"] == 5


def test_pictures_and_tables_on_request(run, wire):
    view = CountView(run)
    tell(view, "ask", id=1, what={"name": "png"})
    tell(view, "ask", id=2, what={"name": "csv"})
    assert view.desk.settle()
    png, table = wire.answers()
    assert png.buffers[0].startswith(b"\x89PNG")
    assert table.buffers[0].decode() == "module,decided\r\n'=cmd(),12\r\n"


def test_a_snapshot_is_the_picture_and_the_text_of_now(run, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append((bundle, raw)))
    view = CountView(run)
    view.level = 3
    view.snapshot()
    ((bundle, raw),) = shown
    assert raw
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert "level 3" in bundle["text/plain"]


def test_what_a_cell_shows(run):
    view = CountView(run)
    bundle, _ = view._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == view.model_id
    assert bundle["text/plain"] == "CountView(tiny, finished · hyperprune 2:4)"


def test_code_opens_the_run(run):
    code = CountView(run).code
    space: dict[str, object] = {}
    exec(code, space)
    assert space["run"].last_seq == run.last_seq


def test_closing_leaves_the_desk_to_the_others(run):
    desk = Desk(run)
    one, other = CountView(desk), CountView(desk)
    one.close()
    one.close()
    other.level = 6
    assert desk.settle()
    assert other.payload["level"] == 6


def test_plain_values():
    import numpy as np

    value = {"a": np.float32("nan"), "b": np.arange(3), "c": (1.5, float("inf")), "d": "\ud800<b>", 4: {True}}
    assert plain(value) == {"a": None, "b": [0, 1, 2], "c": [1.5, None], "d": "?<b>", "4": [True]}
    with pytest.raises(TypeError, match="object"):
        plain(object())
