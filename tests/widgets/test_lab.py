"""The Lab without a browser: one desk for all views, looks that can be told and gone back to, views at rest."""

from __future__ import annotations

import subprocess
import sys

import pytest
import traitlets

import hyperprune_lab
from hyperprune_lab import Desk, Lab
from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.widgets import lab as module
from hyperprune_lab.widgets.view import View
from tests.widgets import tinyrun
from tests.widgets.plainview import CountView
from tests.widgets.wire import tell


class Stand(CountView):
    """Stands for a view of another file."""

    compact = traitlets.Bool(False).tag(asked=True)


@pytest.fixture(autouse=True)
def plain_parts(monkeypatch):
    """Views of other files are tested in theirs: here a small one stands for those that are not asked for."""
    for part in module.PARTS:
        if part.name not in ("map", "mask", "outliers", "scrubber"):
            stand = type(part.public, (Stand,), {"view_name": part.name})
            monkeypatch.setitem(vars(hyperprune_lab), part.public, stand)


def part_of(lab, name):
    return next(part for part in lab.payload["views"] if part["name"] == name)


def test_all_views_share_one_desk(run):
    lab = Lab(run)
    chosen = run.modules()["module"].iloc[1]
    tell(lab["map"], "select", modules=[chosen])
    assert lab.desk.settle()
    assert lab.selection == lab["mask"].selection == lab["scrubber"].selection == [chosen]
    assert lab["mask"].payload["module"] == chosen
    assert chosen in lab.payload["focus"]
    assert all(view.desk is lab.desk for view in lab._made())


def test_views_are_made_when_they_are_first_shown_and_rest_when_they_are_not(run):
    lab = Lab(run, tab="findings")
    assert part_of(lab, "map")["id"] == lab["map"].model_id
    assert part_of(lab, "outliers")["id"] is None
    tell(lab, "shown", page="one", views=["control", "map", "outliers", "scrubber"])
    assert lab.desk.settle()
    outliers = lab["outliers"]
    assert part_of(lab, "outliers")["id"] == outliers.model_id
    resting = lab["findings"]
    before = resting.seq, resting.made
    lab.desk.moment = 5
    assert lab.desk.settle()
    assert (outliers.seq, lab.seq) == (5, 5)
    assert (resting.seq, resting.made) == before
    tell(lab, "shown", page="one", views=["map", "findings"])
    assert lab.desk.settle()
    assert resting.seq == 5
    # A second page that shows another view keeps it awake.
    tell(lab, "shown", page="two", views=["outliers"])
    lab.desk.moment = 9
    assert lab.desk.settle()
    assert (resting.seq, outliers.seq) == (9, 9)


def test_a_view_that_cannot_be_made_does_not_take_the_others_with_it(run, monkeypatch):
    class Broken(View):
        def __init__(self, *_, **__):
            raise RuntimeError("no such luck")

    monkeypatch.setitem(vars(hyperprune_lab), "Findings", Broken)
    lab = Lab(run)
    assert lab.failure is None
    assert part_of(lab, "findings") | {"id": None} == {
        **module.PARTS[3]._asdict(),
        "id": None,
        "failure": "RuntimeError: no such luck",
    }
    with pytest.raises(UserError, match="no view 'findings'"):
        lab["findings"]


def test_a_look_comes_back(run):
    lab = Lab(run)
    names = list(run.modules()["module"][:2])
    lab.desk.select(names)
    lab.desk.moment = 30
    lab.tab, lab.maximized = "outliers", "mask"
    lab["map"].measure = "kept_score"
    told = lab.look
    other = Lab(run).restore(told)
    assert other.look == told
    assert (other.desk.selection, other.desk.moment, other.maximized) == (tuple(names), 30, "mask")
    assert other["map"].measure == "kept_score"
    # What a look does not tell is as usual.
    other.restore("tab=findings")
    assert (other["map"].measure, other.desk.moment, other.maximized) == ("error_rel", None, "")


@pytest.mark.parametrize("look", ["tab=nowhere", "maximized=lab", "run=elsewhere", "what=ever", "select"])
def test_what_cannot_be_restored_is_said_and_changes_nothing(run, look):
    lab = Lab(run)
    before = lab.look
    with pytest.raises(UserError):
        lab.restore(look)
    assert lab.look == before


def test_a_look_from_elsewhere_leaves_what_this_run_does_not_know(run):
    lab = Lab(run)
    before = lab.desk.selection
    lab.restore("select=model.layers.77.x,<b>&map.measure=no_such_measure&gone.option=3&tab=compare")
    assert (lab.desk.selection, lab.tab, lab["map"].measure) == (before, "compare", "error_rel")


def test_back_goes_to_the_look_before(run):
    lab = Lab(run)
    usual = lab.look
    assert lab.payload["back"] is False
    names = list(run.modules()["module"])
    lab.desk.select(names[:1])
    lab.tab = "outliers"
    lab["map"].measure = "kept_score"
    assert lab.desk.settle()
    assert lab.payload["back"]
    for _ in range(2):
        tell(lab, "back")
    assert (lab.tab, lab["map"].measure, lab.desk.selection) == ("findings", "error_rel", tuple(names[:1]))
    lab.back()
    assert lab.look == usual
    lab.back()
    assert lab.look == usual
    assert lab.desk.settle()
    assert lab.payload["back"] is False


def test_the_tab_and_what_stands_beside_change_places(run):
    lab = Lab(run, tab="findings", beside="compare")
    lab.tab = "compare"
    assert (lab.tab, lab.beside) == ("compare", "findings")


def test_a_view_that_another_asks_for_comes_to_the_front(run):
    lab = Lab(run, tab="compare", maximized="map")
    lab.desk.show("outliers", threshold=4.0)
    assert (lab.tab, lab.maximized) == ("outliers", "")
    assert lab["outliers"].threshold == 4.0
    lab.desk.show("mask", side="theirs")
    assert (lab.pane, lab["mask"].side) == ("mask", "theirs")


def test_a_maximized_map_is_a_whole_one(run):
    lab = Lab(run)
    assert lab["map"].compact
    tell(lab, "option", name="maximized", value="map")
    assert not lab["map"].compact
    lab.maximized = ""
    assert lab["map"].compact


def test_the_mask_takes_the_room_there_is(run):
    lab = Lab(run)
    tell(lab, "room", mask=333)
    assert lab["mask"].height == 333
    tell(lab, "room", mask=10**9)
    assert lab["mask"].height == 4000
    tell(lab, "room", mask="much")
    assert lab["mask"].height == 4000


def test_a_reference_is_chosen_by_name(run, tmp_path):
    mine = tinyrun.write_run(tmp_path / "mine")
    tinyrun.write_run(tmp_path / "theirs", tinyrun.Tiny(seed=1))
    lab = Lab(mine)
    assert "theirs" in [one["name"] for one in lab.payload["references"]]
    tell(lab, "against", run="theirs")
    assert lab.desk.settle()
    assert lab.payload["reference"] == "theirs"
    assert "against=theirs" in lab.look
    tell(lab, "against", run="../../etc")
    assert lab.desk.reference.directory.root.name == "theirs"
    tell(lab, "against", run="")
    assert lab.desk.reference is None


def test_the_first_run_is_the_example_then_the_newest_then_none(run, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "example", lambda: run)
    lab = Lab()
    assert (lab.desk.run, lab.tour) == (run, True)

    def missing(*_):
        raise UserError("there is none")

    monkeypatch.setattr(module, "example", missing)
    monkeypatch.setattr(module, "home_of_runs", lambda: tmp_path)
    empty = Lab()
    assert (empty.state, empty.tour) == ("empty", False)
    assert empty.payload["nothing"]
    assert empty.text.startswith("No run is open")
    newest = tinyrun.write_run(tmp_path / "one")
    assert Lab().desk.run.directory.root == newest.directory.root
    assert Lab(run).tour is False


def test_it_follows_a_live_run_until_a_person_selects(live):
    writer, stream, run = live
    lab = Lab(run)
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    assert lab.desk.settle()
    assert lab.selection[0].startswith("model.layers.0.")
    assert lab.payload["spoken"][1] == "Block 0 done in layers."
    assert lab.payload["back"] is False
    chosen = run.modules()["module"].iloc[0]
    tell(lab["map"], "select", modules=[chosen])
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    assert lab.desk.settle()
    assert (lab.selection, lab.desk_state["following"]) == ([chosen], False)
    tell(lab, "follow")
    assert lab.desk.settle()
    assert lab.selection[0].startswith("model.layers.1.")


def test_text_and_picture_hold_every_view_that_is_shown(run, wire):
    lab = Lab(run, tab="outliers")
    told = lab.text
    assert told.startswith(lab.twin)
    for view in (lab["map"], lab["mask"], lab["outliers"]):
        assert view.text in told
    heights = [view.figure().get_figheight() for view in (lab["map"], lab["mask"], lab["outliers"])]
    assert lab.figure("dark").get_figheight() > sum(heights)
    tell(lab, "ask", id=1, what={"name": "png"})
    assert lab.desk.settle()
    assert wire.answers()[-1].buffers[0][:4] == b"\x89PNG"


def test_the_code_of_a_look_runs(run):
    lab = Lab(run, tab="outliers")
    lab.desk.select(run.modules()["module"][:1])
    assert lab.desk.settle()
    space: dict[str, object] = {}
    exec(lab.code, space)
    assert space["lab"].look == lab.look


def test_closing_it_closes_its_views(run):
    desk = Desk(run)
    lab = Lab(desk)
    views = lab._made()
    lab.close()
    assert all(view.comm is None for view in [*views, lab])


def test_hostile_names_stay_text(tmp_path):
    tiny = tinyrun.Tiny(blocks=1, locals_=("mlp.up_proj", tinyrun.HOSTILE))
    lab = Lab(tinyrun.write_run(tmp_path / "run", tiny))
    name = tiny.module(0, tinyrun.HOSTILE)
    lab.desk.select([name])
    assert lab.desk.settle()
    assert lab.payload["focus"] == name[:80]
    assert Lab(lab.desk.run).restore(lab.look).desk.selection == (name,)


def test_it_opens_where_there_is_no_torch(run):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'transformers', 'safetensors.torch']))\n"
        "from hyperprune_lab import Lab\n"
        f"lab = Lab({str(run.directory.root)!r}, tab='outliers')\n"
        "assert lab.state == 'finished', lab.failure\n"
        "lab.figure()\n"
        "print(lab.look)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tab=outliers" in done.stdout
