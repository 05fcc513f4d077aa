"""The pump: one thread that brings views up to date, and no other that writes to them."""

from __future__ import annotations

import threading
import time
from collections import Counter

from hyperprune_lab import events as ev
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.pump import LINGER_SECONDS
from tests.widgets import tinyrun
from tests.widgets.plainview import CountView
from tests.widgets.wire import tell

PUMP = "hyperprune-lab pump"


def test_views_grow_with_the_record(live):
    writer, stream, run = live
    view = CountView(run)
    assert (view.state, view.payload["decided"]) == ("live", 0)
    for block in range(3):
        tinyrun.write_until(writer, stream, ev.BlockFinished)
        assert view.desk.settle()
        assert view.payload["decided"] == 4 * (block + 1)
        assert view.seq == run.last_seq
    for event in stream:
        writer.write(event)
    writer.close()
    assert view.desk.settle()
    assert view.state == "finished"


def test_events_that_a_view_does_not_show_only_advance_its_number(live):
    writer, stream, run = live
    view = CountView(run)
    tinyrun.write_until(writer, stream, ev.BlockStarted)
    view.desk.settle()
    made = view.made
    tinyrun.write_until(writer, stream, ev.StepMeasured)
    view.desk.settle()
    assert (view.made, view.seq) == (made, run.last_seq)


def test_a_view_gets_few_messages_however_much_happens(live, wire):
    writer, _, run = live
    desk = Desk(run)
    view = CountView(desk)
    wire.messages.clear()
    begun = time.monotonic()
    steps = 0
    while time.monotonic() - begun < 1.0:
        writer.write(ev.StepMeasured("layers", 0, steps, 10_000, {"loss": 1.0}))
        writer.write(ev.Notice("info", "still here"))
        desk.select([f"m{steps}"])
        view.level = steps % 5
        steps += 1
    assert desk.settle()
    spent = time.monotonic() - begun
    assert steps > 30
    assert 2 <= len(wire.updates()) <= 15 * spent
    assert view.selection == [f"m{steps - 1}"]
    assert view.payload["level"] == (steps - 1) % 5


def test_only_the_pump_writes_to_a_view(live, wire):
    writer, stream, run = live
    view = CountView(run)
    assert {one.thread for one in wire.messages} == {threading.current_thread().name}
    wire.messages.clear()

    def browse() -> None:
        for number in range(50):
            tell(view, "select", modules=[f"m{number}"], serial=number)
            tell(view, "option", name="level", value=number % 5, serial=number)
            tell(view, "ask", id=number, what={"name": "twice", "number": number})

    threads = [threading.Thread(target=browse, name=f"subshell-{n}") for n in range(2)]
    for thread in threads:
        thread.start()
    for event in stream:
        writer.write(event)
        view.desk.select(["x"])
    for thread in threads:
        thread.join()
    view.desk.settle()
    assert {one.thread for one in wire.messages} == {PUMP}
    assert Counter(one.data["content"]["id"] for one in wire.answers()) == Counter([*range(50), *range(50)])
    assert view.failure is None


def test_a_message_does_not_wait_for_a_slow_view(run):
    view = CountView(run)
    slow = threading.Event()
    view.desk.pump.do(lambda: slow.wait(2) and None)
    begun = time.monotonic()
    tell(view, "select", modules=["a"])
    tell(view, "option", name="level", value=3)
    spent = time.monotonic() - begun
    slow.set()
    assert view.desk.settle()
    assert spent < 1
    assert (view.selection, view.payload["level"]) == (["a"], 3)


def test_a_view_that_fails_does_not_stop_the_others(run):
    desk = Desk(run)
    one, other = CountView(desk), CountView(desk)
    one.level, other.level = 8, 4
    assert desk.settle()
    assert (one.state, other.state, other.payload["level"]) == ("error", "finished", 4)
    desk.pump.do(lambda: 1 / 0)
    other.level = 5
    assert desk.settle()
    assert other.payload["level"] == 5


def test_the_thread_ends_when_nothing_is_left_to_do_and_comes_back(run):
    view = CountView(run)
    assert view.desk.settle()
    end = time.monotonic() + 5 + LINGER_SECONDS
    while view.desk.pump.running and time.monotonic() < end:
        time.sleep(0.02)
    assert not view.desk.pump.running
    view.level = 2
    assert view.desk.settle()
    assert view.payload["level"] == 2


def test_a_closed_desk_has_no_thread(live):
    _, _, run = live
    view = CountView(run)
    view.desk.settle()
    view.desk.close()
    assert not view.desk.pump.running
    view.level = 2
    assert not view.desk.pump.running


def test_a_resumed_run_is_live_again(tmp_path):
    from hyperprune_lab.record.writer import RecordWriter

    run = tinyrun.write_run(tmp_path / "run", stop_after=12)
    view = CountView(run)
    assert view.state == "stale"
    with RecordWriter.resume(tmp_path / "run") as writer:
        stream = tinyrun.events()
        writer.write(next(stream))
        assert view.desk.settle()
        assert view.state == "live"


def test_a_look_that_is_asked_for_during_a_look_is_another_one(live, monkeypatch):
    writer, stream, run = live
    desk = Desk(run)
    view = CountView(desk)
    assert desk.settle()
    reading, go_on = threading.Event(), threading.Event()
    usual = type(run).state.fget

    def slow(one):
        if threading.current_thread().name == PUMP and not reading.is_set():
            reading.set()
            assert go_on.wait(20)
        return usual(one)

    # The pump has just read that nothing is new when the record grows and somebody wants to see it.
    monkeypatch.setattr(type(run), "state", property(slow))
    assert reading.wait(20)
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    threading.Timer(0.1, go_on.set).start()
    assert desk.settle()
    assert view.seq == run.last_seq
    desk.close()
