"""The live scrubber without a browser: it moves the desk's moment, and every view goes with it."""

from __future__ import annotations

import pytest

from hyperprune_lab import ModelMap
from hyperprune_lab import events as ev
from hyperprune_lab.views import scrubber
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.scrubber import WHOLE, Scrubber
from tests.widgets import tinyrun
from tests.widgets.wire import tell


def test_a_moment_from_the_browser_moves_every_view(run):
    desk = Desk(run)
    line, board = Scrubber(desk), ModelMap(desk)
    stop = line.payload["stops"][2]
    tell(line, "moment", seq=stop)
    assert desk.settle()
    assert (line.seq, board.seq) == (stop, stop)
    assert line.desk_state["replayed"]
    assert f"event {stop} of {run.last_seq}" in line.twin
    tell(line, "follow")
    assert desk.settle()
    assert (line.seq, desk.moment) == (run.last_seq, None)


def test_a_replay_shows_the_same_moments_every_time(run):
    desk = Desk(run)
    line, board = Scrubber(desk), ModelMap(desk)

    def replay():
        shown = []
        for seq in line.payload["seqs"][::9]:
            tell(line, "moment", seq=seq)
            assert desk.settle()
            shown.append((line.seq, board.payload, board.twin))
        return shown

    assert replay() == replay()


def test_moving_the_moment_does_not_send_the_line_again(run, wire):
    line = Scrubber(run)
    line.desk.settle()
    wire.messages.clear()
    for seq in line.payload["seqs"][5:10]:
        line.desk.moment = seq
        assert line.desk.settle()
    sent = {name for message in wire.updates() for name in message.data["state"]}
    assert {"seq", "twin"} <= sent
    assert "payload" not in sent


def test_a_live_line_grows_even_while_the_past_is_shown(live):
    writer, stream, run = live
    line = Scrubber(run)
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    assert line.desk.settle()
    assert line.payload["live"]
    line.desk.moment = 3
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    assert line.desk.settle()
    assert (line.seq, line.payload["last"]) == (3, run.last_seq)
    for event in stream:
        writer.write(event)
    writer.close()
    assert line.desk.settle()
    assert line.payload["live"] is False
    assert line.payload["last"] == run.last_seq


def test_speeds_are_the_ones_there_are(run):
    line = Scrubber(run)
    assert line.speed == WHOLE
    tell(line, "option", name="speed", value=3.4)
    assert line.desk.settle()
    assert line.options["speed"] == 4.0
    assert line.options["speed"] in scrubber.SPEEDS


@pytest.mark.parametrize("value", ["soon", -4, [1], {}])
def test_nonsense_moves_nothing(run, value):
    line = Scrubber(run)
    tell(line, "moment", seq=value)
    assert line.desk.settle()
    assert line.seq == run.last_seq
