"""Bad input: one message that names the thing and the way out, and nothing on the disk."""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from hyperprune_lab import events as ev
from hyperprune_lab.cli import app
from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import RunControl
from hyperprune_lab.pipeline.session import resume_record, run_to_record
from hyperprune_lab.record.store import Store
from hyperprune_lab.record.verify import verify
from tests.architectures import build, tiny_tokenizer

from .tiny import write_text

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def model(shop, tmp_path):
    """A copy of a tiny Llama's folder, to be spoiled."""
    return shutil.copytree(shop.model("llama"), tmp_path / "model")


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def spoiled(value):
    def spoil(folder):
        tensors = load_file(folder / "model.safetensors")
        tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = value
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return spoil


def one_layer_more(folder):
    config = json.loads((folder / "config.json").read_text())
    config.pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))


def one_width_changed(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))


MODELS = [
    (without_weights, "model.safetensors is missing"),
    (cut_short, "cut short or damaged"),
    (spoiled(float("nan")), "layers.1.mlp.up_proj.weight holds NaN or infinite"),
    (spoiled(float("inf")), "layers.1.mlp.up_proj.weight holds NaN or infinite"),
    (one_layer_more, "lacks .* of the weights"),
    (one_width_changed, "do not belong together"),
    (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    (lambda folder: (folder / "config.json").write_text("{"), "cannot be read as JSON"),
]


@pytest.mark.parametrize(("spoil", "message"), MODELS)
def test_a_spoiled_model_is_refused(shop, model, tmp_path, spoil, message):
    spoil(model)
    with pytest.raises(UserError, match=message):
        next(run_to_record(shop.config(model=str(model)), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_width_that_groups_do_not_tile_is_refused(shop, tmp_path):
    wide = build("llama")
    config = type(wide.config)(**(wide.config.to_dict() | {"intermediate_size": 36}))
    type(wide)(config).save_pretrained(tmp_path / "odd")
    tiny_tokenizer().save_pretrained(tmp_path / "odd")
    given = shop.config(model=str(tmp_path / "odd"), pattern="4:8")
    with pytest.raises(UserError, match=r"layers\.0\.mlp\.down_proj.*36.*not divisible by 8.*would fit"):
        next(run_to_record(given, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


CONFIGURATIONS = [
    ({"model": "no/such-folder-here/model"}, "no/such-folder-here"),
    ({"method": "wandah"}, "no method 'wandah'"),
    ({"method": "hyperprune", "preset": "labs"}, "unknown preset 'labs'"),
    ({"method": "hyperprune", "preset": "paper", "residual_logits": True}, "residual"),
    ({"device": "abacus"}, "device 'abacus'"),
    ({"dtype": "float8"}, "float8"),
    ({"overrides": (("no_such_thing", "dense"),)}, "no_such_thing"),
    ({"overrides": (("(", "dense"),)}, "no regular expression"),
    ({"overrides": (("mlp", "5:4"),)}, "5:4"),
    ({"overrides": (("", "dense"),)}, "nothing is left to prune"),
    ({"calibration": {"text": "no-such-file.txt"}}, "no-such-file.txt"),
    ({"calibration": {"window": 4096}}, "4096"),
    ({"eval_text": "no-such-file.txt"}, "no-such-file.txt"),
]


@pytest.mark.parametrize(("given", "message"), CONFIGURATIONS)
def test_a_configuration_that_cannot_work_is_refused(shop, tmp_path, given, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=message):
        next(run_to_record(shop.config(**given), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_refused(shop, tmp_path):
    with pytest.raises(UserError, match="--device cpu"):
        next(run_to_record(shop.config(device="cuda"), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("which", ["calibration", "evaluation"])
def test_a_text_shorter_than_one_window_is_refused(shop, tmp_path, which):
    text = str(write_text(tmp_path / "short.txt", 2))
    given = {"calibration": {"text": text}} if which == "calibration" else {"eval_text": text}
    with pytest.raises(UserError, match="short") as refused:
        next(run_to_record(shop.config(**given), tmp_path / "run"))
    assert "window" in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "values",
    [
        {"pattern": "4:4"},
        {"pattern": "5:4"},
        {"pattern": "0:4"},
        {"pattern": "2-4"},
        {"pattern": "2:4:8"},
        {"pattern": ""},
        {"patern": "2:4"},
        {"calibration": {"sample": 3}},
        {"calibration": {"samples": 0}},
        {"calibration": {"holdout": 1.0}},
        {"budget": "lavish"},
        {"compensation": "full"},
        {"objective": "speed"},
        {"seed": -1},
        {"outlier_weight": -0.1},
        {"continual_weight": float("nan")},
        {"method": "wanda", "preset": "lab"},
    ],
)
def test_settings_that_can_never_work_are_refused_by_the_configuration(values):
    with pytest.raises(UserError) as refused:
        RunConfig.from_json({"model": "demo"} | values)
    named = next(iter(values["calibration"])) if "calibration" in values else next(reversed(values))
    told = str(refused.value)
    assert str(values.get(named, named)) in told or named.replace("_", " ") in told or "wanda" in told


def test_an_existing_output_directory_is_refused_and_left_alone(shop, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="exists: choose another"):
        next(run_to_record(shop.config(), out))
    assert [file.name for file in out.iterdir()] == ["precious.txt"]


def no_space(*_given):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_at_the_start_leaves_nothing(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("hyperprune_lab.record.lock.os.fsync", no_space)
    with pytest.raises(UserError, match="is full"):
        next(run_to_record(shop.config(), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_full_disk_on_the_way_leaves_a_run_that_resumes(shop, tmp_path, monkeypatch):
    path = tmp_path / "run"
    config = shop.config(compensation="none")
    stream = run_to_record(config, path)
    for event in stream:
        if isinstance(event, ev.BlockStarted) and event.block == 2:
            break
    with monkeypatch.context() as patch:
        patch.setattr("hyperprune_lab.record.tensors.os.fsync", no_space)
        with pytest.raises(UserError, match=r"is full.*resume"):
            list(stream)
    assert Store(path).state == "interrupted"
    assert verify(path).damaged == []
    assert isinstance(list(resume_record(path))[-1], ev.RunFinished)


# -- records


@pytest.fixture
def stopped(shop, tmp_path):
    """A run that was stopped in the middle of its second block."""
    path = tmp_path / "run"
    control = RunControl()
    for event in run_to_record(shop.config(), path, control):
        if isinstance(event, ev.StepMeasured) and event.block == 1:
            control.stop()
    return path


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_database_is_refused(stopped):
    half(stopped / "run.sqlite")
    with pytest.raises(UserError, match="damaged"):
        next(resume_record(stopped))


def test_a_database_of_noise_is_refused(stopped):
    (stopped / "run.sqlite").write_bytes(os.urandom(20_000))
    with pytest.raises(UserError, match=r"run\.sqlite"):
        next(resume_record(stopped))


def test_checkpoints_that_are_all_damaged_are_refused(stopped):
    for file in stopped.glob("checkpoint/*"):
        half(file)
    with pytest.raises(UserError, match="none of its checkpoints is whole"):
        next(resume_record(stopped))


@pytest.mark.parametrize("content", [None, "empty", "a file"])
def test_what_is_no_run_is_refused(tmp_path, content):
    path = tmp_path / "nothing"
    if content == "empty":
        path.mkdir()
    elif content == "a file":
        path.write_text("text")
    with pytest.raises(UserError, match="is not a run"):
        next(resume_record(path))
    assert not list(tmp_path.glob("nothing/*"))


# -- the same through the command line


def call(*words):
    return CliRunner().invoke(
        app, list(words), catch_exceptions=False, env={"COLUMNS": "200", "TERM": "dumb"}
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "/no/such/folder"), "/no/such/folder"),
        (("--pattern", "4:4"), "4:4"),
        (("--pattern", "two"), "two"),
        (("--window", "4096"), "4096"),
        (("--text", "missing.txt"), "missing.txt"),
        (("--method", "wandah"), "wandah"),
    ],
)
def test_the_command_line_says_it_in_one_paragraph(shop, tmp_path, words, message):
    out = tmp_path / "run"
    given = ["--model", str(shop.model("llama")), "--method", "wanda", "--eval-text", str(shop.eval_text)]
    given += ["--text", str(shop.text), "--window", "24", "--device", "cpu", "--out", str(out), "--json"]
    ended = call("prune", *given, *words)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not out.exists()


@pytest.mark.parametrize("command", ["resume", "verify"])
def test_commands_on_what_is_no_run_end_with_2(tmp_path, command):
    ended = call(command, str(tmp_path), "--json")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "is not a run" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_goes_through_the_command_line_to_its_result(shop, tmp_path):
    out = tmp_path / "run"
    given = ["--model", str(shop.model("gpt2")), "--method", "wanda", "--eval-text", str(shop.eval_text)]
    given += ["--text", str(shop.text), "--window", "24", "--calibration-samples", "6", "--device", "cpu"]
    ended = call("prune", *given, "--budget", "quick", "--out", str(out), "--json")
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout.splitlines()[-1])
    assert (found["violations"], found["sparsity"], found["run"]) == (0, 0.5, str(out))
    checked = json.loads(call("verify", str(out), "--json").stdout)
    assert checked["violations"] == 0
    assert checked["sha256"] == verify(out).sha256
    assert call("prune", *given, "--out", str(out)).exit_code == 2
    assert call("resume", str(out)).exit_code == 2
