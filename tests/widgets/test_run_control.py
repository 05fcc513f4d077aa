"""The live run control, with stand-ins for what takes long: it asks, follows, steers, takes over, and never waits."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hyperprune_lab import RunControl
from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.controller import controller_of, take_reins
from hyperprune_lab.pipeline.inquiry import Inquiries
from hyperprune_lab.record.lock import Owner
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.widgets import run_jobs
from tests.widgets import tinyrun
from tests.widgets.wire import tell

OK = {
    "ok": True,
    "blockers": [],
    "warnings": [],
    "seconds": {"low": 1.0, "high": 2.0, "stages": {}, "like": None},
}


class Question:
    """An inquiry whose answer the test gives."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.answer: dict[str, Any] | None = None
        self.error: str | None = None
        self.cancelled = False
        self.progress: dict[str, Any] | None = {"text": "looking", "share": 0.5}
        self.over = threading.Event()

    def wait(self, seconds: float | None = None) -> bool:
        return self.over.wait(seconds)

    def cancel(self) -> None:
        self.end(cancelled=True)

    def end(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)
        self.over.set()


class Backstage:
    """Stands in for the processes: notes what is asked of them, and has runs begin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: dict[str, Any] | None = OK
        self.questions: list[Question] = []
        self.warmed = self.closed = 0
        self.launched: list[tuple[Any, Path, dict[str, Any]]] = []
        self.resumed: list[Path] = []
        self.steered: list[tuple[Path, str]] = []
        self.fails: Exception | None = None
        self.hold: threading.Event | None = None
        self.writers: list[RecordWriter] = []

    def inquiries(self) -> Asked:
        return Asked(self)

    # what launch offers
    def launch(self, config: Any, out: Path, **how: Any) -> int:
        self.launched.append((config, out, how))
        if self.hold is not None:
            assert self.hold.wait(20)
        if self.fails is not None:
            raise self.fails
        self.begin(out)
        return 1

    def resume(self, path: Path) -> int:
        self.resumed.append(path)
        self.writers.append(RecordWriter.resume(path))
        self.writers[-1].write(ev.RunResumed(from_checkpoint=True))
        return 1

    def steer(self, path: Path, word: str) -> None:
        self.steered.append((path, word))
        (path / "control").write_text(word)

    def begin(self, out: Path, upto: type = ev.StepMeasured) -> Path:
        """A run at work, written by this process."""
        out.parent.mkdir(parents=True, exist_ok=True)
        writer, stream, _ = tinyrun.live_run(out)
        tinyrun.write_until(writer, stream, upto)
        self.writers.append(writer)
        return out

    def end(self) -> None:
        for writer in self.writers:
            writer.close()
        self.writers.clear()


class Asked(Inquiries):
    """The process that looks before runs, without the process."""

    def __init__(self, stage: Backstage) -> None:
        self.stage = stage

    def ask(self, kind, request):
        assert kind == "check"
        question = Question(request)
        if self.stage.answer is not None:
            question.end(answer=self.stage.answer)
        self.stage.questions.append(question)
        return question

    def warm(self) -> None:
        self.stage.warmed += 1

    def close(self) -> None:
        self.stage.closed += 1


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backstage]:
    stage = Backstage(tmp_path / "runs")
    monkeypatch.setattr(run_jobs, "Inquiries", stage.inquiries)
    monkeypatch.setattr(run_jobs, "launch", stage.launch)
    monkeypatch.setattr(run_jobs, "resume_detached", stage.resume)
    monkeypatch.setattr(run_jobs, "steer", stage.steer)
    yield stage
    stage.end()


@pytest.fixture
def controls() -> Iterator[Callable[..., RunControl]]:
    made: list[RunControl] = []

    def make(source: Any = None, **options: Any) -> RunControl:
        made.append(RunControl(source, **options))
        return made[-1]

    yield make
    for control in made:
        control.close()
        control.desk.close()


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def idle(control: RunControl) -> None:
    until(lambda: not control.busy)
    assert control.desk.settle()


def field(control: RunControl, name: str) -> dict[str, Any]:
    return next(one for one in control.payload["form"]["fields"] if one["name"] == name)


def test_at_rest_it_needs_no_run(stage, controls):
    control = controls(folders=[str(stage.folder)])
    assert (control.state, control.badge, control.failure) == ("empty", "no run", None)
    assert control.caption["name"] == "control"
    assert [one["name"] for one in control.payload["form"]["fields"] if one["place"] == "row"] == [
        *("model", "pattern", "method", "budget"),
    ]
    assert (control.payload["run"], control.payload["check"]) == (None, None)
    assert control.twin == control.text
    assert control.home == stage.folder
    assert "RunConfig" in control.code
    assert stage.warmed == 0


def test_what_is_typed_is_kept_as_text_and_told_at_once(stage, controls):
    control = controls(folders=[str(stage.folder)], seed=3, window=None)
    assert (control.seed, control.window) == ("3", "")
    tell(control, "option", name="seed", value="minus one")
    tell(control, "option", name="method", value="wanda")
    assert control.desk.settle()
    assert "no whole number" in field(control, "seed")["fault"]
    assert field(control, "preset")["off"] == "Wanda has none"
    assert control.payload["form"]["faulty"]
    tell(control, "option", name="more", value=True)
    tell(control, "defaults")
    assert control.desk.settle()
    assert (control.seed, control.method, control.more) == ("", "wanda", True)
    with pytest.raises(UserError, match="no option 'sed'"):
        RunControl(sed=3)


def test_rules_come_from_the_map_and_from_expressions(stage, controls):
    control = controls(folders=[str(stage.folder)])
    control.desk.scope = {"model.layers.0.a": "dense", "model.layers.1.a": "dense", "model.layers.0.b": "1:4"}
    tell(control, "rule", expression="mlp", wanted="4:8")
    tell(control, "rule", expression="", wanted="4:8")
    assert control.desk.settle()
    rules = control.payload["form"]["rules"]
    assert [(rule["origin"], rule["wanted"]) for rule in rules] == [
        ("map", "dense"),
        ("map", "1:4"),
        ("expression", "4:8"),
    ]
    tell(control, "unscope", modules=rules[0]["modules"])
    tell(control, "unrule", expression="mlp", wanted="4:8")
    assert control.desk.settle()
    assert control.desk.scope == {"model.layers.0.b": "1:4"}
    assert len(control.payload["form"]["rules"]) == 1
    tell(control, "option", name="overrides", value=[["only one"]])
    assert control.overrides == []


def test_a_check_is_asked_shown_and_grows_old(stage, controls):
    stage.answer = None
    control = controls(folders=[str(stage.folder)], seed="5")
    tell(control, "check")
    until(lambda: stage.questions)
    until(lambda: control.payload["check"] and control.payload["check"]["share"] == 0.5)
    assert control.payload["work"]["cancellable"]
    asked = stage.questions[0].request
    assert asked["config"]["seed"] == 5
    assert asked["config"]["damage"] is True
    assert Path(asked["out"]).parent == stage.folder
    assert asked["shelf"] == [str(stage.folder)]
    stage.questions[0].end(answer=OK)
    idle(control)
    assert control.payload["check"]["headline"] == "This run can begin."
    control.seed = "6"
    assert control.desk.settle()
    assert not control.payload["check"]["fresh"]
    assert "check again" in control.twin
    control.seed = "5"
    assert control.desk.settle()
    assert control.payload["check"]["fresh"]


def test_a_check_can_be_given_up_and_can_fail(stage, controls):
    stage.answer = None
    control = controls(folders=[str(stage.folder)])
    control.check()
    until(lambda: stage.questions)
    tell(control, "cancel")
    idle(control)
    assert control.payload["check"] is None
    control.check()
    until(lambda: len(stage.questions) == 2)
    control.check()  # one at a time
    stage.questions[1].end(error="it broke")
    idle(control)
    assert "it broke" in control.payload["check"]["headline"]
    assert len(stage.questions) == 2


def test_blockers_stand_at_their_fields_and_nothing_begins(stage, controls):
    stage.answer = OK | {
        "ok": False,
        "blockers": [{"field": "model", "message": "There is no model 'demoo'."}],
    }
    control = controls(folders=[str(stage.folder)])
    tell(control, "option", name="model", value="demoo")
    tell(control, "start")
    idle(control)
    assert stage.launched == []
    assert field(control, "model")["fault"] == "There is no model 'demoo'."
    assert "To mend, Model: There is no model 'demoo'." in control.twin
    tell(control, "option", name="model", value="demo")
    assert control.desk.settle()
    assert field(control, "model")["fault"] is None


def test_start_looks_first_and_the_desk_follows_the_run_at_once(stage, controls):
    control = controls(folders=[str(stage.folder)], method="wanda")
    tell(control, "start")
    idle(control)
    (config, out, how) = stage.launched[0]
    assert (config.method, config.budget, config.damage) == ("wanda", "quick", True)
    assert out.parent == stage.folder
    assert out.name.endswith("-wanda-2of4")
    assert how == {"detach": True, "threads": run_jobs.background_threads()}
    assert len(stage.questions) == 1
    assert control.desk.run.directory.root == out
    assert control.state == "live"
    assert controller_of(out).token == control.token
    run = control.payload["run"]
    assert (run["mine"], run["block"], run["step"], run["steps"]) == (True, 0, 1, 2)
    assert control.payload["check"] is None
    assert stage.closed == 1
    assert control.payload["shelf"]["live"] == 1


def test_a_check_that_was_just_made_is_not_made_again(stage, controls):
    control = controls(folders=[str(stage.folder)], out=str(stage.folder / "mine"))
    control.check()
    idle(control)
    control.start()
    idle(control)
    assert len(stage.questions) == 1
    assert stage.launched[0][1] == stage.folder / "mine"


def test_what_goes_wrong_is_told_and_dismissed(stage, controls):
    stage.fails = UserError("the run ended at once: no room")
    control = controls(folders=[str(stage.folder)])
    control.start()
    idle(control)
    assert control.payload["trouble"] == "the run ended at once: no room"
    assert "Trouble: the run ended at once: no room" in control.twin
    tell(control, "dismiss")
    assert control.desk.settle()
    assert control.payload["trouble"] is None
    stage.fails = RuntimeError("odd")
    control.start()
    idle(control)
    assert control.payload["trouble"] == "RuntimeError: odd"


def test_nothing_waits_for_a_run_that_begins_slowly(stage, controls, wire):
    stage.hold = threading.Event()
    control = controls(folders=[str(stage.folder)])
    tell(control, "hello", id="page")
    tell(control, "start")
    until(lambda: stage.launched)
    until(lambda: control.payload["work"] and control.payload["work"]["kind"] == "starting")
    tell(control, "option", name="seed", value="9")
    assert control.desk.settle()
    assert field(control, "seed")["value"] == "9"
    assert control.busy
    stage.hold.set()
    idle(control)
    assert control.state == "live"
    assert {message.thread for message in wire.updates()} == {"hyperprune-lab pump"}


def test_pause_resume_and_stop_reach_the_run_and_what_is_asked_is_told(stage, controls):
    control = controls(folders=[str(stage.folder)])
    control.start()
    idle(control)
    out, writer = stage.launched[0][1], stage.writers[0]
    tell(control, "pause")
    until(lambda: stage.steered == [(out, "pause")])
    until(lambda: (control.payload["run"]["asked"], control.desk.settle())[0] == "pause")
    assert "Pausing after this step" in control.twin
    writer.write(ev.RunPaused())
    until(lambda: control.state == "paused")
    until(
        lambda: (control._watch.look(), control.desk.settle(), control.payload["run"]["state"])[2] == "paused"
    )
    assert "It waits; nothing is lost." in control.twin
    control.resume()
    until(lambda: stage.steered[-1] == (out, "run"))
    writer.write(ev.RunResumed())
    control.stop()
    until(lambda: stage.steered[-1] == (out, "stop"))
    writer.write(ev.RunStopped("stopped on request"))
    stage.end()
    until(lambda: (control._watch.look(), control.desk.settle(), control.state)[2] == "stale")
    run = control.payload["run"]
    assert (run["state"], run["resumable"], run["running"]) == ("interrupted", True, False)
    assert control.problem is None
    control.pause()
    time.sleep(0.05)
    assert stage.steered[-1] == (out, "stop")
    tell(control, "resume")
    idle(control)
    assert stage.resumed == [out]
    assert control.state == "live"


def test_python_steers_the_run_as_it_is_now_though_no_page_keeps_looking(stage, controls):
    control = controls(folders=[str(stage.folder)])
    out = stage.begin(stage.folder / "one")
    control.desk.open(out)
    idle(control)
    stage.writers[0].write(ev.RunStopped("stopped on request"))
    stage.end()
    control.resume()
    until(lambda: stage.resumed == [out])
    idle(control)
    control.pause()
    until(lambda: stage.steered == [(out, "pause")])


def test_a_second_control_follows_until_it_takes_over(stage, controls):
    first = controls(folders=[str(stage.folder)])
    first.start()
    idle(first)
    out = stage.launched[0][1]
    second = controls(folders=[str(stage.folder)])
    assert second.state == "live"
    assert not second.payload["run"]["mine"]
    assert second.payload["run"]["follows"] == "another run control of this notebook"
    second.stop()
    tell(second, "take over")
    until(lambda: controller_of(out).token == second.token)
    until(lambda: (second.desk.settle(), second.payload["run"]["mine"])[1])
    until(lambda: (first._watch.look(), first.desk.settle(), first.payload["run"]["follows"])[2])
    assert stage.steered == []
    second.pause()
    until(lambda: stage.steered == [(out, "pause")])


def test_a_cell_that_is_run_again_needs_no_take_over(stage, controls):
    first = controls(folders=[str(stage.folder)])
    tell(first, "hello", id="output")
    first.start()
    idle(first)
    out = stage.launched[0][1]
    second = controls(folders=[str(stage.folder)])
    tell(first, "bye", id="output")
    until(
        lambda: (
            second._wake(),
            second.desk.settle(),
            second.text,
            second._draw(second._now()).payload["run"]["mine"],
        )[3]
    )
    second.pause()
    until(lambda: stage.steered == [(out, "pause")])
    until(lambda: controller_of(out).token == second.token)
    first.close()
    assert controller_of(out).token == second.token
    second.close()
    assert controller_of(out) is None


def dead(path: Path) -> None:
    """The reins as an interface leaves them whose process has ended."""
    held = take_reins(path, "gone")
    values = asdict(held) | {"owner": asdict(Owner(2**22 + 1, "0", held.owner.host, held.owner.machine))}
    (path / "controller").write_text(json.dumps(values))
    assert controller_of(path) is None


def test_a_run_that_was_left_alone_is_followed_again(stage, controls, run):
    out = stage.begin(stage.folder / "left")
    dead(out)
    control = controls(run, folders=[str(stage.folder)])
    assert control.desk.run.directory.root == out
    assert control.state == "live"
    until(lambda: (held := controller_of(out)) is not None and held.token == control.token)
    until(lambda: (control.desk.settle(), control.payload["run"]["mine"])[1])


def test_a_run_that_somebody_looks_after_is_offered_not_taken(stage, controls, run, tmp_path):
    out = stage.begin(stage.folder / "theirs")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        from hyperprune_lab.record.lock import _started

        held = take_reins(out, "theirs")
        owner = Owner(other.pid, _started(other.pid) or "", held.owner.host, held.owner.machine)
        (out / "controller").write_text(json.dumps(asdict(held) | {"owner": asdict(owner)}))
        control = controls(run, folders=[str(stage.folder)])
        assert control.desk.run is run
        ((offered),) = control.payload["shelf"]["elsewhere"]
        assert offered["name"] == "theirs"
        tell(control, "open", path=offered["path"])
        until(lambda: control.desk.run is not run)
        assert control.desk.settle()
        assert control.payload["run"]["follows"] == str(owner)
        control.stop()
    finally:
        other.communicate(b"\n")
    until(lambda: (control._watch.look(), control.desk.settle(), control.payload["run"]["mine"])[2])
    assert stage.steered == []


def test_without_a_run_on_the_desk_the_one_at_work_is_followed(stage, controls):
    out = stage.begin(stage.folder / "plain")
    assert controls(folders=[str(stage.folder)]).desk.run.directory.root == out
    assert controls(folders=[str(stage.folder)], reattach=False).desk.run is None


def test_the_shelf_lists_opens_resumes_and_holds_against(stage, controls, run):
    tinyrun.write_run(stage.folder / "half", stop_after=20)
    tinyrun.write_run(stage.folder / "whole")
    (stage.folder / "torn").mkdir()
    (stage.folder / "torn" / "run.sqlite").write_bytes(b"x" * 4096)
    control = controls(run, folders=[str(stage.folder)], shelf_open=True)
    listed = {one["name"]: one for one in control.payload["shelf"]["entries"]}
    assert {name: one["state"] for name, one in listed.items()} == {
        "half": "interrupted",
        "whole": "finished",
        "torn": "damaged",
        "tiny": "finished",
    }
    assert listed["tiny"]["here"]
    tell(control, "open", path=str(stage.folder / "elsewhere"))
    tell(control, "open", path=listed["whole"]["path"])
    until(lambda: control.desk.run is not run)
    tell(control, "reference", path=str(run.directory.root.absolute()))
    until(lambda: control.desk.reference is not None)
    assert control.desk.settle()
    assert next(one for one in control.payload["shelf"]["entries"] if one["name"] == "tiny")["reference"]
    tell(control, "reference", path=str(run.directory.root.absolute()))
    until(lambda: control.desk.reference is None)
    tell(control, "open", path=listed["torn"]["path"])
    until(lambda: control._jobs.state.trouble)
    tell(control, "resume", path=listed["half"]["path"])
    idle(control)
    assert control.desk.run.directory.root == stage.folder / "half"
    assert control.state == "live"


def test_the_shelf_is_watched_while_a_page_shows_it(stage, controls, monkeypatch):
    monkeypatch.setattr("hyperprune_lab.widgets.shelf.QUIET_SECONDS", 0.05)
    control = controls(folders=[str(stage.folder)])
    tell(control, "hello", id="page")
    assert control.payload["shelf"]["count"] == 0
    tinyrun.write_run(stage.folder / "new")
    until(lambda: control.payload["shelf"]["count"] == 1)
    tell(control, "bye", id="page")
    until(lambda: control._watch._thread is None)


def test_a_moment_of_the_past_is_shown_and_not_steered(stage, controls, run):
    control = controls(run, folders=[str(stage.folder)])
    seq = next(event.seq for event in run.events() if event.kind == "StepMeasured" and event.block == 1)
    control.desk.moment = seq
    assert control.desk.settle()
    shown = control.payload["run"]
    assert (shown["replayed"], shown["block"], shown["step"], shown["done"]) == (True, 1, 1, [0])
    assert control.seq == seq
    assert shown["steering"] == ""


def test_hostile_names_stay_text(stage, controls):
    name = tinyrun.HOSTILE.replace("/", "_")
    tinyrun.write_run(stage.folder / name)
    control = controls(folders=[str(stage.folder)], shelf_open=True, model="<script>alert(1)</script>")
    assert control.failure is None
    assert name in control.twin
    assert control.figure() is not None
    tell(control, "open", path={"not": "a path"})
    tell(control, "rule", expression=3, wanted=None)
    tell(control, "resume", path=7)
    assert control.desk.settle()
    assert control.failure is None


def test_the_process_that_looks_is_had_at_hand_when_asked(stage, controls):
    control = controls(folders=[str(stage.folder)])
    tell(control, "warm")
    until(lambda: stage.warmed == 1)


def test_closing_leaves_runs_alone(stage, controls):
    control = controls(folders=[str(stage.folder)])
    control.start()
    idle(control)
    out = stage.launched[0][1]
    control.close()
    assert open_run(out).state == "running"
    control.start()
    time.sleep(0.05)
    assert len(stage.launched) == 1


def test_it_opens_where_there_is_no_torch(run, tmp_path):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'transformers', 'safetensors.torch']))\n"
        "from hyperprune_lab import RunControl\n"
        f"view = RunControl({str(run.directory.root)!r}, folders=[{str(tmp_path)!r}])\n"
        "assert view.state == 'finished', view.failure\n"
        "view.figure()\n"
        "print(view.payload['form']['unable'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout
