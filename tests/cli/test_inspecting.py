"""The commands that look: each asks one function, prints its answer, and says no by exit code 1."""

from __future__ import annotations

import asyncio
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hyperprune_lab import extras
from hyperprune_lab.cli import notebooks
from hyperprune_lab.doctor import Finding
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import (
    BlockFinished,
    ModuleDecided,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.layout import RunDirectory
from hyperprune_lab.record.writer import RecordWriter

from .conftest import RESULT


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def recorded(tmp_path) -> Path:
    """A finished run of two modules."""
    folder = tmp_path / "run"
    rng = np.random.default_rng(0)
    names = ["layers.0.q", "layers.0.k"]
    coverage = [{"name": name, "status": "pruned", "parameters": 64} for name in names]
    with RecordWriter.create(folder) as writer:
        writer.write(
            RunStarted({"method": "wanda", "calibration": {"samples": 9}}, {}, {}, {}, coverage, ["layers"])
        )
        writer.write(StageStarted("layers", 1))
        writer.write(Notice("warning", "few tokens"))
        for error, name in enumerate(names, start=1):
            mask = NMPattern(2, 4).project(rng.random((8, 8)))
            writer.write(ModuleDecided("layers", 0, name, "2:4", mask, {"error_rel": error / 100}))
        writer.write(BlockFinished("layers", 0, 1.0, 1))
        writer.write(StageFinished("layers", 1.5))
        writer.write(RunFinished({**RESULT, "prior_compensated_ppl": None, "run": str(folder)}))
    return folder


def test_verify_counts_groups_and_names_the_digest(run, recorded):
    result = run("verify", str(recorded), "--json")
    assert result.exit_code == 0, result.output
    value = last_json(result)
    assert (value["groups"], value["violations"], value["damaged"]) == (32, 0, [])
    assert len(value["sha256"]) == 64
    assert value["sha256"] in run("verify", str(recorded)).stdout


def test_verify_says_no_where_a_file_is_damaged(run, recorded):
    (file,) = (recorded / "masks").iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    result = run("verify", str(recorded), "--json")
    assert result.exit_code == 1
    assert file.name in last_json(result)["damaged"][0]


@pytest.mark.parametrize("command", ["verify", "show"])
def test_what_is_no_run_is_a_mistake(run, tmp_path, command):
    result = run(command, str(tmp_path / "nothing"), "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not a run" in result.stderr
    RunDirectory(tmp_path).database.write_bytes(b"no database")
    assert run(command, str(tmp_path)).exit_code == 2


def test_show_sums_a_run_up(run, recorded):
    value = last_json(run("show", str(recorded), "--json"))
    assert value["state"] == "finished"
    assert value["config"]["method"] == "wanda"
    assert value["stages"] == [{"stage": "layers", "blocks": 1, "done": 1, "seconds": 1.5}]
    assert list(value["worst"].items()) == [("layers.0.k", 0.02), ("layers.0.q", 0.01)]
    assert value["result"]["mask_only_ppl"] == 14.0
    text = run("show", str(recorded)).stdout
    for part in (
        "finished",
        "1 of 1 blocks, 1.5 s",
        "few tokens",
        "calibration samples 9",
        "layers.0.k 0.0200",
        "14.00 (+0.336)",
    ):
        assert part in text
    assert "resume" not in text


def test_show_says_how_an_interrupted_run_goes_on(run, tmp_path):
    folder = tmp_path / "run"
    with RecordWriter.create(folder) as writer:
        writer.write(RunStarted({}, {}, {}, {}, [], []))
    result = run("show", str(folder))
    assert "interrupted" in result.stdout
    assert f"hyperprune-lab resume {folder}" in "".join(result.stdout.splitlines())


def test_evaluate_passes_on_what_was_asked(run, offer):
    seen = []

    def evaluate_target(*given):
        seen.append(given)
        return {"perplexity": 9.5, "tokens": 100, "window": 32, "protocol": {"stride": 32}}

    offer("pipeline.evaluation", evaluate_target=evaluate_target)
    words = ("--text", "a.txt", "--weights", "mask-only", "--device", "cpu", "--window", "32", "--json")
    result = run("evaluate", "runs/x", *words)
    assert last_json(result)["protocol"] == {"stride": 32}
    run("evaluate", "demo")
    assert seen == [("runs/x", Path("a.txt"), "mask-only", "cpu", 32), ("demo", None, None, None, None)]


def test_regenerate_reports_the_agreement(run, offer, tmp_path):
    offer("pipeline.regenerate", regenerate=lambda path: {"groups": 8, "agreeing": 7, "run": path})
    assert last_json(run("regenerate", str(tmp_path), "--json")) == {
        "groups": 8,
        "agreeing": 7,
        "run": str(tmp_path),
    }


def test_coverage_answers_with_every_row(run, offer):
    def coverage(model, pattern, overrides):
        assert (model, str(pattern), overrides) == ("opened x", "4:8", [("mlp", "dense")])
        rows = (
            SimpleNamespace(
                name="q", block=0, shape=(4, 8), parameters=32, status="pruned", reason="r", pattern=pattern
            ),
            SimpleNamespace(
                name="norm", block=0, shape=(8,), parameters=8, status="dense", reason="norm", pattern=None
            ),
        )
        return SimpleNamespace(
            rows=rows, pruned_parameters=32, total_parameters=40, share=0.8, table=lambda: "the [table]"
        )

    def open_model(name, trust_remote_code):
        return SimpleNamespace(model=f"opened {name}")

    offer("models", coverage=coverage, open_model=open_model)
    words = ("coverage", "--model", "x", "--pattern", "4:8", "--override", "mlp=dense")
    value = last_json(run(*words, "--json"))
    assert [(row["name"], row["shape"], row["pattern"]) for row in value["rows"]] == [
        ("q", [4, 8], "4:8"),
        ("norm", [8], None),
    ]
    assert value["share"] == 0.8
    assert run(*words).stdout == "the [table]\n"


@pytest.mark.parametrize("pattern", ["4:2", "2:2", "0:4", "two of four", "2"])
def test_impossible_patterns_are_refused_before_a_model_is_opened(run, offer, pattern):
    def open_model(name, trust_remote_code):
        raise AssertionError("a model was opened")

    offer("models", coverage=None, open_model=open_model)
    assert run("coverage", "--pattern", pattern).exit_code == 2


def test_methods_lists_the_registry(run):
    from hyperprune_lab.methods.registry import method_names

    value = last_json(run("methods", "--json"))
    assert [one["name"] for one in value] == method_names()
    assert all(one["summary"] and one["reference"] and one["kind"] and one["cost"] for one in value)


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_doctor_says_no_only_where_something_fails(run, monkeypatch, status, code):
    findings = [Finding("one", "ok", "fine"), Finding("two", status, "so so", 'pip install ".[ui]"')]
    monkeypatch.setattr("hyperprune_lab.doctor.examine", lambda: findings)
    result = run("doctor", "--json")
    assert result.exit_code == code
    assert [one["status"] for one in last_json(result)] == ["ok", status]
    assert '→ pip install ".[ui]"' in result.stderr


def test_lab_becomes_a_server_with_our_settings_and_the_persons_own(run, monkeypatch, tmp_path):
    started = []
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/mine")
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    monkeypatch.setattr("os.execve", lambda *given: started.append(given))
    run("lab", "--port", "9999", "--no-browser")
    ((program, command, environment),) = started
    assert program == command[0] == sys.executable
    assert "--ServerApp.port=9999" in command
    assert "--no-browser" in command
    ours, _, theirs = environment["JUPYTER_CONFIG_PATH"].partition(":")
    assert theirs == "/mine"
    assert (Path(ours) / "jupyter_server_config.py").is_file()
    json.loads((Path(ours) / "labconfig" / "default_setting_overrides.json").read_text())


def test_lab_without_jupyterlab_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    result = run("lab")
    assert result.exit_code == 2
    assert "make setup" in result.stderr


@pytest.mark.parametrize("command", ["prune --model demo", "compare --model demo", "coverage", "methods"])
def test_without_torch_what_needs_it_says_how_to_get_it(command):
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('torch', 'transformers'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *_: None if name == 'torch' else found(name, *_)\n"
        "from hyperprune_lab.cli import main\n"
        f"sys.argv = ['hyperprune-lab', *{command.split()!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    told = " ".join(done.stderr.replace("│", " ").split())
    assert "This needs torch, which is not installed here: run `make setup`" in told
    assert '".[prune]"' in told


def test_lab_outside_a_checkout_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "none")
    with pytest.raises(UserError, match="checkout"):
        notebooks.lab_command(8888, True)


def test_the_server_sends_small_messages_at_once(monkeypatch):
    websocket = pytest.importorskip("jupyter_server.services.kernels.websocket")
    calls = []

    async def opened(handler, kernel_id):
        calls.append(("open", kernel_id))

    monkeypatch.setattr(websocket.KernelWebsocketHandler, "open", opened)
    runpy.run_path(str(notebooks.SETTINGS / "jupyter_server_config.py"))
    handler = SimpleNamespace(set_nodelay=lambda value: calls.append(("no delay", value)))
    asyncio.run(websocket.KernelWebsocketHandler.open(handler, "kernel"))
    assert calls == [("no delay", True), ("open", "kernel")]
