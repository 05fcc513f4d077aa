"""What-if questions: each asked once, watched to its end, kept among the last few, given up without waiting."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from hyperprune_lab.pipeline.inquiry import Inquiries, Inquiry
from hyperprune_lab.widgets import what_if
from hyperprune_lab.widgets.what_if import Trials

RUN, OTHER = Path("runs/one"), Path("runs/other")
MODULE = "model.layers.1.mlp.up_proj"
DENSE = {"block": 1, "modules": [MODULE], "dense": True}


class Unanswered(Inquiries):
    """The process that answers, without the process: the test answers."""

    def __init__(self) -> None:
        self.asked: list[Inquiry] = []
        self.closed = self.warmed = 0
        self.may_cancel = threading.Event()
        self.may_cancel.set()

    def ask(self, kind, request):
        self.asked.append(Inquiry(len(self.asked) + 1, kind, dict(request), self))
        return self.asked[-1]

    def warm(self):
        self.warmed += 1

    def close(self):
        self.closed += 1
        for inquiry in self.asked:
            inquiry._end(cancelled=True)

    def _cancel(self, inquiry):
        self.may_cancel.wait(10)
        inquiry._end(cancelled=True)


@pytest.fixture
def desk(monkeypatch):
    inquiries = Unanswered()
    monkeypatch.setattr(what_if, "Inquiries", lambda: inquiries)
    return inquiries


@pytest.fixture
def told():
    return []


@pytest.fixture
def trials(desk, told):
    made = Trials(lambda: told.append(threading.current_thread().name))
    yield made
    made.close()


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def state(trials, run=RUN):
    return [trial.state for trial in trials.of(run)]


def test_a_question_names_its_run_and_its_setting(trials, desk):
    trials.ask(RUN, MODULE, DENSE)
    assert desk.asked[0].kind == "what-if"
    assert desk.asked[0].request == {"run": str(RUN), **DENSE}


def test_the_same_question_is_asked_once_while_it_waits(trials, desk):
    first = trials.ask(RUN, MODULE, DENSE)
    assert trials.ask(RUN, MODULE, dict(DENSE)) is first
    assert trials.ask(RUN, MODULE, {**DENSE, "dense": False}) is not first
    first._end(answer={"after": 1})
    until(lambda: "done" in state(trials))
    assert trials.ask(RUN, MODULE, DENSE) is not first


def test_the_same_setting_in_another_run_is_another_question(trials, desk):
    first, second = trials.ask(RUN, MODULE, DENSE), trials.ask(OTHER, MODULE, DENSE)
    assert [one.request["run"] for one in desk.asked] == [str(RUN), str(OTHER)]
    second._end(answer={"after": 2})
    until(lambda: state(trials, OTHER) == ["done"])
    assert not first.done
    assert state(trials) == ["asking"]
    assert trials.of(OTHER)[0].answer == {"after": 2}


def test_progress_answer_and_error_are_taken_over_and_told(trials, desk, told):
    good, bad = trials.ask(RUN, MODULE, DENSE), trials.ask(RUN, MODULE, {**DENSE, "dense": False})
    good.progress = {"text": "reading the text", "share": 0.25}
    until(lambda: trials.of(RUN)[1].progress == "reading the text")
    assert trials.of(RUN)[1].share == 0.25
    assert trials.of(RUN)[0].share is None  # nothing heard of it yet
    before = trials.version, len(told)
    bad._end(error="no memory")
    good._end(answer={"after": 1})
    until(lambda: state(trials) == ["failed", "done"])
    until(lambda: trials.version > before[0] and len(told) > before[1])
    assert trials.of(RUN)[0].error == "no memory"
    assert not trials.busy


def test_giving_up_does_not_wait_for_the_process_to_end(trials, desk):
    inquiry = trials.ask(RUN, MODULE, DENSE)
    desk.may_cancel.clear()
    trials.cancel(trials.of(RUN)[0].number)
    assert not inquiry.done  # the process is still ending
    desk.may_cancel.set()
    until(lambda: state(trials) == ["cancelled"])


def test_only_what_is_over_is_forgotten(trials):
    inquiry = trials.ask(RUN, MODULE, DENSE)
    number = trials.of(RUN)[0].number
    trials.forget(number)
    assert state(trials) == ["asking"]
    inquiry._end(answer={})
    until(lambda: state(trials) == ["done"])
    trials.forget(number)
    assert trials.of(RUN) == ()


def test_the_last_few_are_kept_the_newest_first(trials):
    for samples in range(1, 46):
        trials.ask(RUN, MODULE, {"block": 1, "samples": samples})._end(answer={})
    kept = [trial.setting["samples"] for trial in trials.of(RUN)]
    assert kept == list(range(45, 5, -1))
    until(lambda: not trials.busy)


def test_closing_ends_the_process_and_its_watcher(trials, desk):
    trials.ask(RUN, MODULE, DENSE)
    trials.close()
    assert desk.closed == 1
    assert state(trials) == ["cancelled"]
    trials.warm()
    assert desk.warmed == 0


def test_warming_starts_the_process_once_somebody_may_ask(trials, desk):
    trials.warm()
    until(lambda: desk.warmed == 1)
    assert desk.asked == []


def test_a_machine_without_torch_says_what_it_cannot_do(monkeypatch):
    assert what_if.unable() == ""
    monkeypatch.setattr(what_if, "find_spec", lambda name: None)
    assert "needs torch" in what_if.unable()
