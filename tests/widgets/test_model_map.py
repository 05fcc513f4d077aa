"""The live model map: follows a run, takes selections and scope, stays within its messages."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from hyperprune_lab import ModelMap
from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from tests.widgets import tinyrun
from tests.widgets.wire import tell


def test_a_finished_run_shows_its_worst_cell_selected(run):
    view = ModelMap(run)
    modules = run.modules().set_index("module")["error_rel"]
    assert (view.state, view.seq, view.selection) == ("finished", run.last_seq, [modules.idxmax()])
    assert view.failure is None
    assert view.caption["name"] == "map"
    assert view.caption["question"] == "Which layers lost most?"
    assert len(view.payload["cells"]) == 12
    assert view.twin == view.text


def test_a_live_run_fills_the_grid_block_by_block(live):
    writer, stream, run = live
    view = ModelMap(run)
    assert {cell["status"] for cell in view.payload["cells"]} == {"waiting"}
    tinyrun.write_until(writer, stream, ev.StepMeasured)
    assert view.desk.settle()
    assert view.desk_state["running"] == {"stage": "layers", "block": 0, "blocks": 3, "step": 1, "steps": 2}
    domain = view.payload["domain"]
    for block in range(3):
        tinyrun.write_until(writer, stream, ev.BlockFinished)
        assert view.desk.settle()
        done = [cell["block"] for cell in view.payload["cells"] if cell["status"] == "decided"]
        assert sorted(set(done)) == list(range(block + 1))
        assert view.payload["domain"] == domain
        assert view.seq == run.last_seq
    for event in stream:
        writer.write(event)
    writer.close()
    assert view.desk.settle()
    assert (view.state, view.desk_state["running"]) == ("finished", None)


def test_steps_alone_do_not_send_the_grid_again(live, wire):
    writer, stream, run = live
    view = ModelMap(run)
    tinyrun.write_until(writer, stream, ev.BlockStarted)
    view.desk.settle()
    wire.messages.clear()
    tinyrun.write_until(writer, stream, ev.StepMeasured)
    view.desk.settle()
    sent = {name for message in wire.updates() for name in message.data["state"]}
    assert {"seq", "desk_state"} <= sent
    assert "payload" not in sent


def test_a_busy_run_sends_few_messages(live, wire):
    writer, stream, run = live
    view = ModelMap(run)
    view.desk.settle()
    wire.messages.clear()
    begun = time.monotonic()
    for event in stream:
        writer.write(event)
        time.sleep(0.01)
    writer.close()
    view.desk.settle()
    assert view.state == "finished"
    assert 1 <= len(wire.updates()) <= 15 * (time.monotonic() - begun)


def test_measures_and_fit_from_the_browser(run):
    view = ModelMap(run)
    tell(view, "option", name="measure", value="agreement_wanda")
    tell(view, "option", name="fit", value=True)
    assert view.desk.settle()
    assert view.payload["measure"]["name"] == "agreement_wanda"
    assert view.payload["fitted"]
    assert "least: " in view.twin
    with pytest.raises(UserError, match="error_rel_total"):
        view.measure = "loss"


def test_scope_is_not_selection(run):
    view = ModelMap(run)
    chosen = list(run.modules()["module"][:2])
    tell(view, "select", modules=chosen)
    tell(view, "scope", modules=chosen[:1], value="1:4")
    assert view.desk.settle()
    assert (view.selection, view.desk_state["scope"]) == (chosen, {chosen[0]: "1:4"})
    assert f"{chosen[0]}: 1:4" in view.twin


def test_experts_unfold(tmp_path):
    tiny = tinyrun.Tiny(blocks=1, locals_=tuple(f"mlp.experts.{n}.w1" for n in range(3)))
    view = ModelMap(tinyrun.write_run(tmp_path / "run", tiny))
    assert [row["experts"] for row in view.payload["rows"]] == [3]
    tell(view, "option", name="expanded", value=["mlp.experts.*.w1"])
    assert view.desk.settle()
    assert len(view.payload["rows"]) == 4


def test_replay_draws_every_moment_of_the_record(run):
    view = ModelMap(run)
    decided = []
    for seq in range(1, run.last_seq + 1, 7):
        view.desk.moment = seq
        assert view.desk.settle()
        assert view.seq == seq
        decided.append(sum(cell["status"] == "decided" for cell in view.payload["cells"]))
    assert decided == sorted(decided)
    assert decided[0] == 0


def test_the_code_it_offers_runs(run):
    view = ModelMap(run, measure="kept_score")
    view.desk.moment = run.last_seq - 1
    space: dict[str, object] = {}
    assert view.desk.settle()
    exec(view.code, space)
    assert "kept_score" in view.code


def test_it_opens_where_there_is_no_torch(run):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'transformers', 'safetensors.torch']))\n"
        "from hyperprune_lab import ModelMap\n"
        f"view = ModelMap({str(run.directory.root)!r})\n"
        "assert view.state == 'finished', view.failure\n"
        "view.figure()\n"
        "print(view.text.splitlines()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "12 of 12 modules" in done.stdout
