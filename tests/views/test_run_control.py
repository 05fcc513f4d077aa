"""Run control in words, numbers and pictures: the same ones, whatever state things are in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hyperprune_lab.analysis.pace import Pace
from hyperprune_lab.analysis.progress import Kept, progress, quality
from hyperprune_lab.shelf import ShelfEntry, entry_of
from hyperprune_lab.views import check_words, run_control, run_control_words
from hyperprune_lab.views.run_control import Field, Form, Looked, Rule, RunControlData, Shown, Work
from tests.widgets import tinyrun

FORM = Form(
    (
        Field("model", "Model", "row", "text", "", "demo"),
        Field("pattern", "Pattern", "row", "choice", "4:8", "2:4"),
        Field("method", "Method", "row", "choice", "", "hyperprune"),
        Field("budget", "Budget", "row", "choice", "", "quick"),
        Field("seed", "Seed", "run", "number", "3", "0", fault="no seed"),
    ),
    (Rule("map", "model.layers.0.x", "dense", ("model.layers.0.x",)),),
    (("dtype", "no such type"),),
)
ANSWER = {
    "ok": False,
    "blockers": [{"field": "device", "message": "too large"}],
    "warnings": [{"field": "model", "message": "to be downloaded"}],
    "model": {
        "name": "demo",
        "architecture": "LlamaForCausalLM",
        "parameters": 9_147_168,
        "blocks": 8,
        "dtype": "float32",
        "context": 256,
        "downloaded": False,
    },
    "coverage": {
        "linears": 56,
        "pruned_parameters": 7_962_624,
        "total_parameters": 9_147_168,
        "share": 0.8705,
        "excluded": [
            {"name": f"n{k}", "times": k, "parameters": k, "status": "dense", "reason": "norm"}
            for k in range(1, 11)
        ]
        + [{"name": "fused", "times": 1, "parameters": 1, "status": "not covered", "reason": "no linear"}],
    },
    "data": {"source": "stories", "window": 256, "samples": 24, "heldout": 2},
    "memory": {"needed_bytes": 2e9, "available_bytes": 1e9, "device": "cpu", "parts": {"model": 1.5e9}},
    "seconds": {"low": 10.0, "high": 95.0, "stages": {"layers": [5.0, 65.0]}, "like": None},
    "disk": {"needed_bytes": 1e8, "available_bytes": 1e10},
}


def shown(run, **changes) -> Shown:
    entry = entry_of(run.directory.root)
    made = Shown(entry, progress(run), quality(run))
    return replace(made, **changes)


def live(run, **changes) -> Shown:
    """The run as if a process were writing it."""
    entry = replace(
        entry_of(run.directory.root),
        state="live",
        owner_pid=1,
        owner_host="here",
        owner_here=True,
        stage="layers",
    )
    upto = next(event.seq for event in run.events() if event.kind == "StepMeasured" and event.block == 1)
    made = Shown(entry, progress(run, upto), quality(run, upto), Pace(heard_in=2.0, left=(20.0, 31.0)))
    return replace(made, **changes)


def test_the_run_to_come_in_words():
    words = run_control.text(RunControlData(FORM))
    assert words.splitlines() == [
        "Next run: demo · keeps 4 of every 8 (4:8) · HyperPrune · quick.",
        "Changed: Seed 3 (else 0)",
        "Otherwise: model.layers.0.x: dense",
        "To mend, Seed: no seed",
        "To mend, dtype: no such type",
        "Runs: none yet.",
    ]
    sent = run_control.payload(RunControlData(FORM))
    assert sent["form"]["faulty"]
    assert sent["form"]["changed"] == ["Seed"]
    assert json.loads(json.dumps(sent)) == sent


def test_the_look_before_the_run_says_what_it_found():
    looked = Looked("done", answer=ANSWER)
    sent = check_words.check_json(looked)
    facts = {label: (value, share, remark) for label, value, share, remark in sent["facts"]}
    thin = "\u202f"
    assert facts["Will be pruned"] == (
        f"87 % of 9{thin}147{thin}168 parameters",
        0.8705,
        f"56 linears with 7{thin}962{thin}624",
    )
    assert facts["Time"][0] == "10 s to 1 min 35 s"
    assert facts["Memory"][:2] == ("about 2.0 GB of 1.0 GB free on cpu", 1.0)
    assert facts["Disk"][:2] == ("about 100 MB of 10.0 GB free", 0.01)
    assert "to be downloaded first" in facts["Model"][2]
    assert sent["left"][0] == ["fused", "1", "out of reach: no linear"]
    assert sent["left"][1][0] == "n10 ×10"
    assert (len(sent["left"]), sent["more"]) == (8, 3)
    assert sent["stages"] == [["layers", "5.0 s to 1 min 5 s"]]
    assert sent["headline"] == "This run cannot begin like this: 1 thing to mend."
    words = "\n".join(check_words.check_lines(looked))
    for value, _, remark in facts.values():
        assert value in words
        assert remark in words
    assert "mind, model: to be downloaded" in words


@pytest.mark.parametrize(
    ("looked", "says"),
    [
        (Looked("asking", text="looking at the texts", share=0.3), "looking at the texts …"),
        (Looked("failed", text="it broke"), "failed: it broke"),
        (Looked("done", fresh=False, answer=ANSWER), "check again"),
        (Looked("done", answer={"ok": True, "blockers": [], "warnings": []}), "can begin"),
    ],
)
def test_a_look_in_each_state(looked, says):
    assert says in check_words.check_headline(looked)
    assert says in run_control.text(RunControlData(FORM, looked=looked))


def test_a_run_at_work_says_where_it_stands_and_what_stop_keeps(run):
    data = RunControlData(FORM, seq=30, shown=live(run))
    words, sent = run_control.text(data), run_control.payload(data)["run"]
    assert sent["place"] == "layers: block 1 (2 of 3), step 1 of 2"
    assert (sent["block"], sent["blocks"], sent["done"], sent["step"], sent["steps"]) == (1, 3, [0], 1, 2)
    assert [state for _, state, _ in sent["stages"]] == ["now", "to come"]
    facts = dict(fact[:2] for fact in sent["facts"])
    assert facts["Time left"] == "20 s to 31 s"
    assert facts["Peak memory"] == "1.1 GB"
    assert data.shown.quality.decided == 4
    assert (
        f"Wanda {run_control_words.fmt_error(data.shown.quality.error_wanda)}" in facts["Mean error so far"]
    )
    assert "Pause and Stop are heard after this step, in about 2.0 s" in sent["steering"]
    assert "Nothing is kept yet" in sent["steering"]
    for value in (*facts.values(), sent["place"], sent["steering"]):
        assert value in words


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"asked": "pause"}, "Pausing after this step, in about 2.0 s."),
        (
            {"asked": "stop"},
            "Stopping after this step, in about 2.0 s. Kept is everything up to 1 of 3 blocks of layers",
        ),
        ({"state": "paused", "device": "NVIDIA X"}, "Its memory on NVIDIA X stays taken."),
        ({"state": "paused", "asked": "run"}, "Going on"),
        ({"owner_here": False, "owner_host": "far"}, "It runs on far: steer it there."),
    ],
)
def test_what_is_asked_of_a_run_is_told(run, change, says):
    made = live(run)
    made = replace(made, entry=replace(made.entry, **change))
    made = replace(made, progress=replace(made.progress, kept=Kept("layers", 1, 3, "blocks")))
    assert says in run_control_words.steering(made)


def test_somebody_elses_run_is_followed(run):
    data = RunControlData(FORM, shown=live(run, follows="process 7 on far"))
    assert "Steered by process 7 on far; you follow." in run_control.text(data)
    assert not run_control.payload(data)["run"]["mine"]


def test_a_replayed_moment_is_not_steered(run):
    data = RunControlData(FORM, seq=30, shown=live(run, replayed=True, pace=None))
    sent = run_control.payload(data)["run"]
    assert (sent["steering"], sent["ended"], sent["working"]) == ("", "", True)
    assert "replay of event 30" in run_control.text(data)


def test_runs_at_rest_say_how_they_ended(run):
    assert run_control_words.ended(shown(run)) == ""
    stopped = replace(shown(run).entry, state="interrupted")
    words = run_control_words.ended(shown(run, entry=stopped))
    assert words.startswith("Its process ended without a word")
    failed = replace(stopped, state="failed", error="no memory")
    assert run_control_words.ended(shown(run, entry=failed)) == "Failed: no memory"


def test_the_shelf_names_what_is_at_work_and_holds_a_gpu():
    runs = (
        ShelfEntry(Path("runs/a"), "paused", method="wanda", pattern="2:4", model="m", stage="layers", blocks=8,
                   blocks_done=2, device="NVIDIA X"),
        ShelfEntry(Path("runs/b"), "damaged", error="it is torn"),
        ShelfEntry(Path("runs/c"), "finished", method="alps", pattern="2:4", model="m", seconds=65.0, dense_ppl=9.0,
                   mask_only_ppl=20.0),
    )  # fmt: skip
    data = RunControlData(FORM, shelf=runs, shelf_open=True)
    words = run_control.text(data).splitlines()
    assert "Runs: 1 paused, 1 finished, 1 damaged." in words
    assert (
        "Another run is paused: a, layers, 2 of 8 blocks. It holds NVIDIA X: stop it to free the memory."
        in words
    )
    assert "  b: damaged; it is torn" in words
    assert (
        "  c: finished; ALPS · keeps 2 of every 4 (2:4) · m; in 1 min 5 s; perplexity 9.00 dense → 20.0 mask-only"
        in words
    )
    sent = run_control.payload(data)["shelf"]
    assert [(one["name"], one["running"], one["resumable"], one["readable"]) for one in sent["entries"]] == [
        ("a", True, False, True),
        ("b", False, False, False),
        ("c", False, False, True),
    ]
    assert run_control.payload(replace(data, shelf_open=False))["shelf"]["entries"] == []
    assert [row["name"] for row in run_control.table(data)] == ["a", "b", "c"]


def test_time_is_expected_from_a_check_or_from_a_run_like_it(run, tmp_path):
    entry = ShelfEntry(
        tmp_path / "new",
        "live",
        method="hyperprune",
        model="tiny",
        pattern="2:4",
        budget="quick",
        device="cpu",
    )
    assert run_control.expected_seconds(entry, [], ANSWER) == {"layers": (5.0, 65.0)}
    like = entry_of(run.directory.root)
    found = run_control.expected_seconds(entry, [like], None)
    assert found["layers"] == pytest.approx((0.85 * 4.5, 1.3 * 4.5))
    assert run_control.expected_seconds(entry, [replace(like, method="wanda")], None) is None


@pytest.mark.parametrize("theme_name", ["light", "dark"])
def test_pictures_are_drawn_in_every_state(run, theme_name):
    hostile = f"x$\\frac{{1}}{{0}}$ {tinyrun.HOSTILE}"
    states = [
        RunControlData(
            FORM, looked=Looked("done", answer=ANSWER), trouble=hostile, work=Work("starting", hostile)
        ),
        RunControlData(FORM, shown=live(run), shelf=(shown(run).entry,), shelf_open=True),
        RunControlData(FORM, shown=shown(run)),
    ]
    heights = set()
    for data in states:
        figure = run_control.picture(data, theme_name)
        figure.canvas.draw()
        heights.add(figure.get_size_inches()[1])
        assert figure.get_size_inches()[0] * figure.dpi == pytest.approx(1008)
    assert len(heights) == 3
