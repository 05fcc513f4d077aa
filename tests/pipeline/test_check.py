"""The look before a run: every mistake stands at its field, and what is said of a run is near to what it takes."""

from __future__ import annotations

import json

import pytest

from hyperprune_lab.pipeline import check as module
from hyperprune_lab.pipeline.check import check
from hyperprune_lab.pipeline.inquiry import Inquiries
from hyperprune_lab.pipeline.run import Workbench
from hyperprune_lab.pipeline.session import run_to_record


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """No time is spent on measuring the machine."""
    monkeypatch.setattr(module, "_CALIBRATION_SECONDS", 0.01)


def settings(config, **changes):
    values = config.to_json()
    calibration = changes.pop("calibration", {})
    return values | {"calibration": values["calibration"] | calibration} | changes


def fields(found) -> set[str]:
    return {one["field"] for one in found["blockers"]}


def test_a_sound_run_is_described_and_near_to_what_it_takes(shop, tmp_path):
    config = shop.config(method="wanda")
    found = check(settings(config), tmp_path / "run")
    assert found["ok"], found["blockers"]
    json.dumps(found, allow_nan=False)
    bench = Workbench.open(config)
    assert found["coverage"]["pruned_parameters"] == bench.subject.coverage.pruned_parameters
    assert list(found["seconds"]["stages"]) == bench.stages
    assert found["seconds"]["low"] < found["seconds"]["high"]
    assert [row["times"] for row in found["coverage"]["rows"] if "q_proj" in row["name"]] == [3]
    assert all(one["reason"] for one in found["coverage"]["excluded"])
    assert sum(row["parameters"] for row in found["coverage"]["rows"]) == found["model"]["parameters"]
    assert found["data"]["samples"] == len(bench.calibration.fit) + len(bench.calibration.heldout)

    list(run_to_record(config, tmp_path / "run"))
    again = check(settings(config), tmp_path / "other", [tmp_path])
    assert again["seconds"]["basis"] == "a run like it"
    assert again["seconds"]["like"] == str(tmp_path / "run")
    written = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert written < found["disk"]["needed_bytes"]
    other_seed = check(settings(config, pattern="1:4"), None, [tmp_path])
    assert other_seed["seconds"]["basis"] == "calculation"


def test_every_mistake_stands_at_its_field(shop, tmp_path):
    config = shop.config(method="wanda")
    taken = tmp_path / "taken"
    taken.mkdir()
    wrong = settings(config, method="wonda", pattern="3:5", overrides=[["nothing-like-it", "dense"]])
    assert fields(check(wrong, taken)) == {"method", "pattern", "overrides", "out"}
    wrong = settings(config, calibration={"text": str(tmp_path / "no.txt")}, eval_text="no.txt")
    assert fields(check(wrong)) == {"calibration.text", "eval_text"}
    assert fields(check(settings(config, calibration={"window": 10**6}))) == {"calibration.window"}
    assert fields(check(settings(config, model=str(tmp_path)))) == {"model"}
    assert fields(check(settings(config, device="cuda:99"))) == {"device"}
    assert fields(check(settings(config, dtype="int3"))) == {"dtype"}
    wrong = settings(config, budget="huge", calibration={"samples": 0}, seed="x", weather="fine")
    assert fields(check(wrong)) == {"budget", "calibration.samples", "seed", "weather"}
    assert fields(check({"method": "wanda", "preset": "lab", "model": config.model})) == {"preset"}
    one = check(settings(config, overrides=[["layers.1.*q_proj", "dense"]]))["coverage"]["excluded"]
    assert "model.layers.1.self_attn.q_proj" in [row["name"] for row in one]
    everything = check(settings(config, overrides=[[".", "dense"]]))
    assert fields(everything) == {"overrides"}


def test_too_little_room_is_a_blocker_at_the_device_or_the_folder(shop, monkeypatch):
    config = settings(shop.config(method="wanda"))
    monkeypatch.setattr(module.forecast, "memory_available", lambda _device: 1000)
    assert fields(check(config)) == {"device"}
    monkeypatch.setattr(module.forecast, "memory_available", lambda _device: None)
    monkeypatch.setattr(module.forecast, "disk_needed", lambda *_: 1e18)
    assert fields(check(config)) == {"out"}


def test_questions_are_answered_by_a_process_of_their_own(shop):
    config = shop.config(method="wanda").to_json()
    with Inquiries(threads=1) as desk:
        first = desk.ask("check", {"config": config, "out": None, "shelf": []})
        other = desk.ask("methods", {})
        unknown = desk.ask("weather", {})
        assert first.wait(60)
        assert first.answer["ok"], first.answer
        assert other.wait(10)
        assert "wanda" in {one["name"] for one in other.answer["methods"]}
        assert unknown.wait(10)
        assert "weather" in unknown.error
        lost = desk.ask("check", {"config": config})
        desk._process.kill()
        assert lost.wait(20)
        assert "has ended" in lost.error
