"""The desk: what views share, changed from anywhere."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import traitlets

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.widgets.desk import Desk
from tests.widgets import tinyrun


def worst(run) -> str:
    modules = run.modules()
    return modules["module"][modules["error_rel"].idxmax()]


def test_a_finished_run_opens_on_its_worst_module(run):
    desk = Desk(run)
    now = desk.now()
    assert (now.focus, now.seq, now.status.state) == (worst(run), run.last_seq, "finished")
    assert desk.following


def test_a_desk_without_a_run_is_empty():
    now = Desk().now()
    assert (now.run, now.seq, now.status.state, now.focus) == (None, 0, "empty", None)


def test_opening_by_path_and_what_is_no_run(run, tmp_path):
    assert Desk(str(run.directory.root)).run.directory.root == run.directory.root
    with pytest.raises(UserError, match="not a run"):
        Desk(tmp_path / "absent")


def test_selecting_keeps_order_and_drops_repeats(run):
    desk = Desk(run)
    desk.select(["b", "a", "b"])
    assert desk.selection == ("b", "a")
    desk.selection = ["c", "c"]
    assert desk.selection == ("c",)
    assert not desk.following


def test_another_run_keeps_only_what_it_knows(run, tmp_path):
    other = tinyrun.write_run(tmp_path / "other", tinyrun.Tiny(blocks=2, seed=5))
    desk = Desk(run)
    desk.select([f"model.layers.2.{tinyrun.MLP[0]}", f"model.layers.1.{tinyrun.MLP[0]}"])
    desk.moment = 5
    desk.open(other)
    assert desk.selection == (f"model.layers.1.{tinyrun.MLP[0]}",)
    assert desk.moment is None
    desk.select([f"model.layers.1.{tinyrun.MLP[1]}"])
    desk.open(tinyrun.write_run(tmp_path / "small", tinyrun.Tiny(blocks=1)))
    assert desk.selection
    assert desk.following


def test_a_moment_is_told_as_it_was(run):
    desk = Desk(run)
    started = next(e.seq for e in run.events(kinds=("BlockStarted",)) if e.block == 1)
    desk.moment = started
    now = desk.now()
    assert (now.seq, now.replayed, now.status.state) == (started, True, "live")
    assert (now.status.running.stage, now.status.running.block) == ("layers", 1)
    desk.moment = 10**9
    assert (desk.now().seq, desk.now().replayed) == (run.last_seq, False)
    with pytest.raises(traitlets.TraitError):
        desk.moment = -1


def test_the_selection_goes_with_a_live_run_until_a_person_selects(live):
    writer, stream, run = live
    desk = Desk(run)
    assert desk.selection == ()
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    desk.lead()
    assert desk.selection == (f"model.layers.0.{tinyrun.ATTENTION[0]}",)
    desk.select([f"model.layers.0.{tinyrun.MLP[0]}"])
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    desk.lead()
    assert desk.selection == (f"model.layers.0.{tinyrun.MLP[0]}",)
    desk.follow()
    assert desk.selection == (f"model.layers.1.{tinyrun.ATTENTION[0]}",)


@pytest.mark.parametrize(
    ("last", "state", "words"),
    [
        (ev.RunPaused(), "paused", "paused"),
        (ev.RunStopped("asked to"), "stale", "stopped"),
        (ev.RunFailed("no memory", "MemoryError", "model.layers.0.x"), "error", "failed"),
    ],
)
def test_states_of_a_run(live, last, state, words):
    writer, stream, run = live
    tinyrun.write_until(writer, stream, ev.BlockStarted)
    writer.write(last)
    status = Desk(run).now().status
    assert status.state == state
    assert words in status.badge
    if state in ("stale", "error"):
        assert status.problem["copy"].startswith("hyperprune-lab resume ")
        assert status.problem["button"]
    if state == "error":
        assert (status.problem["cause"], status.problem["module"]) == ("no memory", "model.layers.0.x")


def test_a_run_whose_process_is_gone_is_stale(tmp_path: Path):
    run = tinyrun.write_run(tmp_path / "gone", stop_after=8)
    status = Desk(run).now().status
    assert status.state == "stale"
    assert "last checkpoint" in status.problem["cause"]


def test_listeners_hear_what_changed_until_they_leave(run):
    desk = Desk(run)
    heard: list[frozenset[str]] = []
    leave = desk.connect(heard.append)
    desk.theme = "dark"
    desk.theme = "dark"
    desk.hovered_channel = ("m", 3)
    leave()
    leave()
    desk.theme = "light"
    assert heard == [frozenset({"theme"}), frozenset({"hovered_channel"})]


def test_threads_may_change_it_at_once(run):
    desk = Desk(run)
    mistakes: list[Exception] = []

    def change(name: str) -> None:
        try:
            for number in range(80):
                desk.select([f"{name}{number}"])
                desk.scope = {**desk.scope, name: str(number)}
                assert desk.now().selection
        except Exception as error:  # told below, in the test's own thread
            mistakes.append(error)

    threads = [threading.Thread(target=change, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mistakes == []
    assert desk.selection[0] in ("a79", "b79")
