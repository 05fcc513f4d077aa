"""Several runs in turn: their events arrive, one fault or one request ends them all, and nothing is left by mistake."""

from __future__ import annotations

import pytest

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import ModuleDecided, RunFailed, RunFinished, RunStarted, RunStopped
from hyperprune_lab.pipeline import compare as module
from hyperprune_lab.pipeline import process
from hyperprune_lab.pipeline.compare import compare
from hyperprune_lab.pipeline.control import RunControl
from hyperprune_lab.pipeline.session import run_to_record
from hyperprune_lab.record.store import Store
from hyperprune_lab.record.verify import verify


def test_runs_follow_each_other_until_a_stop_is_asked_for(shop, tmp_path):
    out, control, events = tmp_path / "all", RunControl(), []
    configs = [shop.config(method=name, compensation="none") for name in ("magnitude", "wanda", "sparsegpt")]
    for event in compare(configs, out, control):
        events.append(event)
        if isinstance(event, RunStarted) and event.config["method"] == "wanda":
            control.stop()
    (finished,) = [event.result for event in events if isinstance(event, RunFinished)]
    assert (finished["method"], finished["run"]) == ("magnitude", str(out / "magnitude"))
    assert isinstance(events[-1], RunStopped)
    assert Store(out / "wanda").state == "stopped"
    assert not (out / "sparsegpt").exists()
    decided = [event for event in events if isinstance(event, ModuleDecided)]
    assert decided
    assert all(event.mask.size == 0 and event.scalars["error_rel"] > 0 for event in decided)
    list(run_to_record(configs[0], tmp_path / "alone"))
    assert verify(out / "magnitude").sha256 == verify(tmp_path / "alone").sha256


def test_a_fault_that_only_the_run_can_see_is_told_and_leaves_nothing(shop, tmp_path, monkeypatch):
    out = tmp_path / "all"
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\ncat > /dev/null\necho 'the text is too short' >&2\nexit 2\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(interpreter))
    with pytest.raises(UserError, match=r"^the text is too short$"):
        list(compare([shop.config()], out))
    assert not out.exists()


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ({"method": "wonda"}, "wonda"),
        ({"method": "hyperprune", "preset": "labb"}, "labb"),
        ({"device": "quantum"}, "quantum"),
        ({"method": "magnitude"}, "twice"),
    ],
)
def test_every_configuration_is_looked_at_before_any_work(shop, tmp_path, monkeypatch, last, message):
    monkeypatch.setattr(module, "WorkerProcess", None)
    with pytest.raises(UserError, match=message):
        list(compare([shop.config(method="magnitude"), shop.config(**last)], tmp_path / "all"))
    assert not (tmp_path / "all").exists()


def test_a_folder_that_exists_is_refused(shop, tmp_path):
    with pytest.raises(UserError, match="exists"):
        list(compare([shop.config()], tmp_path))


def test_no_run_begins_after_one_that_failed(shop, tmp_path, monkeypatch):
    begun = []

    class Dead(module.WorkerProcess):
        def __init__(self, out, events):
            self.lines = (tmp_path / "lines").open("rb")

        def begin(self, config):
            begun.append(config.method)

        def failure(self):
            return RunFailed("no memory", "killed")

        def end(self):
            self.lines.close()

    (tmp_path / "lines").write_bytes(b"")
    monkeypatch.setattr(module, "WorkerProcess", Dead)
    configs = [shop.config(method=name) for name in ("magnitude", "wanda")]
    assert list(compare(configs, tmp_path / "all")) == [RunFailed("no memory", "killed")]
    assert begun == ["magnitude"]
