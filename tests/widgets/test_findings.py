"""The live findings: links move the other views, what-if asks the right question and tells what comes of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hyperprune_lab import Findings, MaskExplorer, ModelMap
from hyperprune_lab import events as ev
from hyperprune_lab.analysis.diagnosis import diagnose
from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.inquiry import Inquiries, Inquiry
from hyperprune_lab.runs import example
from hyperprune_lab.widgets import what_if
from tests.widgets import tinyrun
from tests.widgets.wire import tell

ANSWER = {
    "before": {"perplexity": 14.0, "nats": 2.64, "kl": 0.5},
    "after": {"perplexity": 12.0, "nats": 2.48, "kl": 0.3},
    "dense": {"perplexity": 9.0, "nats": 2.2, "kl": 0.0},
    "difference": {"nats": -0.154, "low": -0.2, "high": -0.11},
    "kl_recovered": 0.2,
    "modules": [],
    "windows": 10,
    "tokens": 2560,
    "seconds": 2.0,
    "setting": {"dense": True},
}


class Asked(Inquiries):
    """The process that answers what-ifs, without the process."""

    def __init__(self) -> None:
        self.asked: list[Inquiry] = []
        self.warmed = self.closed = 0

    def ask(self, kind, request):
        assert kind == "what-if"
        self.asked.append(Inquiry(len(self.asked), kind, request, self))
        return self.asked[-1]

    def warm(self):
        self.warmed += 1

    def close(self):
        self.closed += 1
        for inquiry in self.asked:
            inquiry._end(cancelled=True)

    def _cancel(self, inquiry):
        inquiry._end(cancelled=True)


@pytest.fixture
def asked(monkeypatch):
    inquiries = Asked()
    monkeypatch.setattr(what_if, "Inquiries", lambda: inquiries)
    return inquiries


@pytest.fixture
def view(run, asked):
    made = Findings(run)
    yield made
    made.close()
    made.desk.close()


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def trials(view):
    assert view.desk.settle()
    return view.payload["trials"]


def follow(view, name, measure, module):
    """Click a link."""
    view._handle_custom_msg({"kind": "open", "view": name, "measure": measure, "module": module}, [])


def test_it_shows_what_the_diagnosis_says(run, view):
    diagnosis = diagnose(run)
    assert (view.state, view.seq) == ("finished", run.last_seq)
    assert {row["module"] for row in view.payload["rows"]} <= set(diagnosis.modules["module"])
    assert view.payload["count"] == len(diagnosis.modules)
    assert diagnosis.headline in view.text


@pytest.mark.parametrize(
    ("said", "setting"),
    [
        ({"how": "dense"}, {"dense": True}),
        ({"how": "wanda", "pattern": "3:4"}, {"method": "wanda", "pattern": "3:4"}),
        ({"how": "", "samples": 32}, {"samples": 32}),
        ({"how": "dense", "whole": True}, {"dense": True}),
    ],
)
def test_a_what_if_asks_about_the_block_with_this_setting(run, view, asked, said, setting):
    module = run.modules()["module"].iloc[5]
    tell(view, "try", module=module, **said)
    until(lambda: asked.asked)
    request = dict(asked.asked[0].request)
    assert Path(request.pop("run")) == run.directory.root
    assert request.pop("block") == int(module.split(".")[2])
    assert request.pop("modules", None) == (None if said.get("whole") else [module])
    assert request == setting


def test_a_what_if_is_watched_to_its_answer(run, view, asked):
    module = view.selection[0]
    inquiry = view.what_if(module, dense=True)
    assert view.busy
    assert view.what_if(module, dense=True) is inquiry  # the same question is asked once
    inquiry.progress = {"text": "pruning block 2", "share": 0.4}
    until(lambda: "pruning block 2" in str(trials(view)))
    inquiry._end(answer=ANSWER)
    until(lambda: trials(view)[0]["state"] == "done")
    assert not view.busy
    assert "0.154" in view.text
    tell(view, "forget", number=trials(view)[0]["number"])
    until(lambda: trials(view) == [])


def test_a_what_if_can_fail_and_be_cancelled(view, asked):
    view.what_if(dense=True)._end(error="<b>no memory</b>")
    until(lambda: trials(view)[0]["state"] == "failed")
    assert "no memory" in view.text
    second = view.what_if(method="wanda")
    number = trials(view)[0]["number"]
    tell(view, "cancel", number=number)
    until(lambda: second.cancelled and trials(view)[0]["state"] == "cancelled")


def test_what_cannot_be_tried_is_refused(view, live, asked):
    with pytest.raises(UserError, match="cannot decide one block"):
        view.what_if(method="magic")
    with pytest.raises(UserError, match="samples"):
        view.what_if(samples=10**9)
    with pytest.raises(UserError, match=r"layers\.99\.nothing"):
        view.what_if("model.layers.99.nothing", dense=True)
    writer, stream, run = live
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    growing = Findings(run)
    with pytest.raises(UserError, match="end of the run"):
        growing.what_if(run.modules()["module"].iloc[0], dense=True)
    assert growing.payload["cannot_try"]
    growing.close()
    growing.desk.close()
    assert asked.asked == []


def test_a_link_shows_its_module_in_the_other_view(run, view):
    chart = ModelMap(view.desk)
    module = run.modules()["module"].iloc[3]
    follow(view, "map", "damage_kl", module)
    assert view.desk.settle()
    assert (chart.measure, chart.selection) == ("damage_kl", [module])
    # A view that is made later takes the wish.
    follow(view, "mask", "agreement_wanda", module)
    mask = MaskExplorer(view.desk)
    assert (mask.against, mask.side) == ("wanda", "difference")
    before = view.desk.selection
    follow(view, "map", "no such", "other")
    assert view.desk.selection == before


def test_only_the_pump_writes(run, asked, wire):
    view = Findings(run)
    tell(view, "option", name="measure", value="damage")
    inquiry = view.what_if(dense=True)
    for share in range(20):
        inquiry.progress = {"text": "at it", "share": share / 20}
        time.sleep(0.02)
    inquiry._end(answer=ANSWER)
    until(lambda: trials(view)[0]["state"] == "done")
    assert {message.thread for message in wire.updates()} == {"hyperprune-lab pump"}
    moments = [message.moment for message in wire.updates()]
    assert all(sum(start <= moment < start + 1 for moment in moments) <= 15 for start in moments)
    view.close()
    view.desk.close()
    assert asked.closed == 1


@pytest.mark.slow
def test_a_what_if_on_the_embedded_model_gives_back_what_a_fault_took():
    view = Findings(example("faults"))
    until(lambda: view.desk.settle() and view.payload["rows"])
    module = view.payload["rows"][0]["module"]
    view.desk.select([module])
    inquiry = view.what_if(module, dense=True)
    assert inquiry.wait(120)
    assert inquiry.error is None
    assert inquiry.answer["difference"]["nats"] < 0
    assert inquiry.answer["kl_recovered"] > 0
    until(lambda: trials(view)[0]["state"] == "done")
    view.close()
    view.desk.close()


def test_a_run_in_the_making_is_diagnosed_block_by_block(live, asked):
    writer, stream, run = live
    view = Findings(run)
    assert view.payload["count"] == 0
    assert "block by block" in view.payload["headline"]
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    until(lambda: view.desk.settle() and view.payload["count"] and not view.payload["pending"])
    assert view.payload["headline"].startswith("So far: ")
    assert {row["block"] for row in view.payload["rows"]} == {0}
    assert view.payload["count"] == len(diagnose(run).modules)
    view.close()
    view.desk.close()
