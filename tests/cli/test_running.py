"""prune, resume and compare: what they hand to the pipeline and what they make of its events."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from hyperprune_lab.calibration import CalibrationConfig
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import Notice, RunFailed, RunFinished, RunStopped
from hyperprune_lab.pipeline.config import RunConfig

from .conftest import RESULT


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


def test_prune_hands_over_exactly_what_was_given(run, pipeline, tmp_path):
    out = tmp_path / "run"
    result = run(
        *("prune", "--model", "demo", "--method", "wanda", "--pattern", "4:8", "--budget", "quick"),
        *("--seed", "3", "--compensation", "none", "--calibration-samples", "16", "--window", "64"),
        *("--text", "c4", "--continual-weight", "0", "--trust-remote-code"),
        *("--override", "mlp=2:4", "--override", "q_proj$=dense", "--out", str(out)),
    )
    assert result.exit_code == 0, result.output
    ((name, (config, folder)),) = pipeline.calls
    assert (name, folder) == ("prune", out)
    assert config == RunConfig(
        model="demo",
        method="wanda",
        pattern="4:8",
        budget="quick",
        seed=3,
        compensation="none",
        continual_weight=0.0,
        trust_remote_code=True,
        overrides=(("mlp", "2:4"), ("q_proj$", "dense")),
        calibration=CalibrationConfig(samples=16, window=64, text="c4"),
    )


def test_what_is_not_given_is_left_to_the_pipeline(run, pipeline):
    assert run("prune").exit_code == 0
    ((_, (config, folder)),) = pipeline.calls
    assert config == RunConfig()
    assert folder.parent == Path("runs")
    assert ":" not in folder.name


def test_json_is_the_last_line_of_stdout_and_all_else_is_on_stderr(run, pipeline):
    pipeline.events = [Notice("warning", "few tokens", "model.layers.0.mlp"), RunFinished(RESULT)]
    result = run("prune", "--json")
    assert len(result.stdout.splitlines()) == 1
    assert last_json(result) == {**RESULT, "prior_compensated_ppl": None}
    assert "few tokens" in result.stderr
    assert "violations" in result.stderr


def test_without_json_the_table_is_the_answer(run, pipeline):
    result = run("prune")
    assert "14.00 (+0.336)" in result.stdout
    assert "11.00 (+0.095)" in result.stdout
    assert "25.0%" in result.stdout


def test_a_mistake_is_one_paragraph_and_exit_code_2(run, pipeline):
    pipeline.failure = UserError("[bold] runs/x exists already: choose another folder with --out.")
    result = run("prune", "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "[bold] runs/x exists already" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_a_mistake_that_a_person_can_mend(run, pipeline):
    pipeline.failure = OSError(28, "No space left on device")
    result = run("prune")
    assert result.exit_code == 2
    assert "full" in result.stderr


def test_a_failed_run_is_exit_code_1(run, pipeline):
    pipeline.events = [RunFailed("the loss is NaN", "FloatingPointError", "model.layers.3")]
    result = run("prune", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "model.layers.3: the loss is NaN" in result.stderr


@pytest.mark.parametrize("words", [("prune", "--budgit", "quick"), ("prume",), ("prune", "--seed", "many")])
def test_unknown_words_are_refused(run, pipeline, words):
    result = run(*words)
    assert (result.exit_code, result.stdout, pipeline.calls) == (2, "", [])


def test_settings_come_from_a_file_and_options_win(run, pipeline, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{"budget": "thorough", "seed": 7, "calibration": {"holdout": 0.2, "samples": 9}}')
    assert run("prune", "--config", str(file), "--seed", "1", "--calibration-samples", "8").exit_code == 0
    ((_, (config, _)),) = pipeline.calls
    calibration = CalibrationConfig(samples=8, holdout=0.2)
    assert config == RunConfig(budget="thorough", seed=1, calibration=calibration)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no settings file"),
        ("{", "cannot be read"),
        ("[1]", "one JSON object"),
        ('{"calibration": 3}', "calibration"),
        ('{"budgit": "quick"}', "budgit"),
        ('{"budget": "quik"}', "quik"),
        ('{"seed": "many"}', "many"),
        ('{"overrides": ["mlp"]}', "wrong kind"),
    ],
)
def test_bad_settings_are_refused(run, pipeline, tmp_path, content, message):
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_text(content)
    result = run("prune", "--config", str(file))
    assert (result.exit_code, pipeline.calls) == (2, [])
    assert message in result.stderr


@pytest.mark.parametrize("text", ["mlp", "=dense", "mlp="])
def test_malformed_overrides_are_refused(run, pipeline, text):
    result = run("prune", "--override", text)
    assert (result.exit_code, pipeline.calls) == (2, [])
    assert text in result.stderr


def test_compare_runs_the_methods_in_order_under_one_protocol(run, pipeline, tmp_path):
    pipeline.events = [
        RunFinished({**RESULT, "method": "wanda", "preset": None}),
        RunFinished({**RESULT, "method": "sparsegpt", "preset": None, "published_ppl": 12.0}),
    ]
    out = str(tmp_path / "both")
    result = run("compare", "--methods", "wanda, sparsegpt", "--seed", "5", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    ((_, (configs, folder)),) = pipeline.calls
    assert [config.method for config in configs] == ["wanda", "sparsegpt"]
    assert {config.seed for config in configs} == {5}
    assert str(folder) == out
    assert [one["method"] for one in last_json(result)] == ["wanda", "sparsegpt"]
    assert "0.25 / 0.75" in result.stderr
    assert "12.00 (+0.182)" in result.stderr


def test_settings_of_hyperprune_do_not_reach_other_methods(run, pipeline):
    assert run("compare", "--methods", "wanda,hyperprune", "--preset", "paper").exit_code == 0
    ((_, (configs, _)),) = pipeline.calls
    assert [config.preset for config in configs] == [None, "paper"]


def test_comparing_nothing_is_refused(run, pipeline):
    assert run("compare", "--methods", ",").exit_code == 2


def test_resume_goes_on_with_the_same_folder(run, pipeline, tmp_path):
    result = run("resume", str(tmp_path), "--json")
    assert pipeline.calls == [("resume", (tmp_path,))]
    assert last_json(result)["method"] == "hyperprune"


def test_detach_returns_at_once_with_process_and_folder(run, pipeline, tmp_path):
    result = run("prune", "--detach", "--out", str(tmp_path / "run"), "--json")
    assert last_json(result) == {"run": str(tmp_path / "run"), "pid": 4321}
    assert [name for name, _ in pipeline.calls] == ["launch"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_asks_the_run_to_stop_and_says_how_to_go_on(run, pipeline, number):
    before = signal.getsignal(number)

    def events():
        signal.raise_signal(number)
        assert pipeline.controls[0].stopping
        yield RunStopped("on request")

    pipeline.events = events()
    result = run("prune", "--json")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "resume" in result.stderr
    assert signal.getsignal(number) is before


@pytest.fixture
def ctrl_c_is_heard():
    """Whoever starts the tests may have told them to ignore it, as shells do in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_a_second_ctrl_c_leaves_at_once(run, pipeline):
    def events():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield RunFinished(RESULT)

    pipeline.events = events()
    result = run("prune")
    assert (result.exit_code, result.stdout) == (130, "")
