"""Perplexity of models and runs: the recorded figures again, and clear words where there is none to be had."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.perplexity import token_losses
from hyperprune_lab.events import BlockFinished, RunStopped
from hyperprune_lab.models.open import open_model
from hyperprune_lab.pipeline import budget
from hyperprune_lab.pipeline.control import RunControl
from hyperprune_lab.pipeline.evaluation import evaluate_target
from hyperprune_lab.pipeline.session import run_to_record
from hyperprune_lab.record.reader import open_run

from .tiny import WINDOW, Workshop, result, shrink, write_text


@pytest.fixture(scope="module")
def finished(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished run with every rung of what can be measured, and its result."""
    out = tmp_path_factory.mktemp("evaluation") / "run"
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        events = list(run_to_record(shop.config("gpt2", compensation="block"), out))
    return out, result(events)


def test_a_models_perplexity_is_the_definition(shop):
    model, text = shop.model("llama"), shop.eval_text
    found = evaluate_target(str(model), text, None, "cpu", WINDOW)
    opened = open_model(str(model))
    ids = torch.tensor(opened.tokenizer(text.read_text())["input_ids"])
    windows = len(ids) // WINDOW
    losses = token_losses(opened.model, ids[: windows * WINDOW].view(windows, WINDOW))
    assert found["perplexity"] == pytest.approx(math.exp(losses.double().mean().item()), rel=1e-6)
    assert (found["tokens"], found["window"], found["weights"]) == (windows * WINDOW, WINDOW, "dense")
    assert found["protocol"]["window"] == WINDOW


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ("dense", "dense_ppl"),
        ("mask-only", "mask_only_ppl"),
        ("compensated", "compensated_ppl"),
        (None, "compensated_ppl"),
    ],
)
def test_a_runs_figures_come_out_again(finished, weights, name):
    run, recorded = finished
    found = evaluate_target(str(run), None, weights, "cpu")
    assert found["perplexity"] == pytest.approx(recorded[name], rel=1e-6)
    assert found["weights"] == (weights or "compensated")
    assert len({recorded[key] for key in ("dense_ppl", "mask_only_ppl", "compensated_ppl")}) == 3


def test_a_run_keeps_the_text_of_every_token_once(finished, shop):
    run = open_run(finished[0])
    dense = run.evidence("evaluation", ("dense", "suite"))
    (domain,) = (name.removeprefix("token_losses/") for name in dense if name.startswith("token_losses/"))
    ends, losses = dense[f"token_ends/{domain}"], dense[f"token_losses/{domain}"]
    assert ends.shape == (losses.shape[0], losses.shape[1] + 1)
    text = dense[f"token_text/{domain}"].tobytes().decode()
    assert len(text.encode()) == ends[-1, -1]
    assert shop.eval_text.read_text().startswith(text)
    assert set(run.evidence("evaluation", ("mask-only", "suite"))) == {f"token_losses/{domain}"}


def test_text_and_window_can_be_others(finished, tmp_path):
    other = write_text(tmp_path / "other.txt", 80, seed=9)
    found = evaluate_target(str(finished[0]), other, "mask-only", "cpu", 16)
    assert (found["window"], found["protocol"]["text"]) == (16, "other")


def test_the_command_line_prunes_and_evaluates_to_one_line_of_json(shop, tmp_path):
    from hyperprune_lab.cli import app

    def last_line(*words: str) -> Any:
        answered = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
        assert answered.exit_code == 0, answered.output
        return json.loads(answered.stdout.splitlines()[-1])

    out, window = tmp_path / "run", ("--window", str(WINDOW))
    given = ("--method", "magnitude", "--compensation", "none", "--calibration-samples", "4")
    texts = ("--text", str(shop.text), "--eval-text", str(shop.eval_text))
    pruned = last_line(
        "prune", "--model", str(shop.model("llama")), *given, *texts, *window, "--out", str(out)
    )
    assert (pruned["run"], pruned["violations"], pruned["compensated_ppl"]) == (str(out), 0, None)
    measured = last_line("evaluate", str(out), "--text", str(shop.eval_text), *window)
    assert measured["perplexity"] == pytest.approx(pruned["mask_only_ppl"], rel=1e-6)
    assert last_line("verify", str(out))["violations"] == 0


def test_masks_of_an_unfinished_stage_are_refused_and_dense_is_not(shop, tmp_path):
    out, control = tmp_path / "run", RunControl()
    for event in run_to_record(shop.config(), out, control):
        if isinstance(event, BlockFinished):
            control.stop()
    assert isinstance(event, RunStopped)
    for weights in ("mask-only", "compensated"):
        with pytest.raises(UserError, match=rf"resume {out}"):
            evaluate_target(str(out), None, weights, "cpu")
    assert evaluate_target(str(out), None, None, "cpu")["weights"] == "dense"


def test_what_was_never_compensated_has_no_compensated_weights(shop, tmp_path):
    out = tmp_path / "run"
    recorded = result(list(run_to_record(shop.config(method="magnitude", compensation="none"), out)))
    with pytest.raises(UserError, match="compensation none"):
        evaluate_target(str(out), None, "compensated", "cpu")
    assert evaluate_target(str(out))["perplexity"] == pytest.approx(recorded["mask_only_ppl"], rel=1e-6)


def test_another_model_in_the_same_place_is_refused(shop, tmp_path):
    model = shutil.copytree(shop.model("llama"), tmp_path / "model")
    out = tmp_path / "run"
    list(run_to_record(shop.config(model=str(model), method="magnitude", compensation="none"), out))
    stored = load_file(model / "model.safetensors")
    next(iter(stored.values())).view(-1)[0] += 1
    save_file(stored, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="not the model that was pruned"):
        evaluate_target(str(out), None, "mask-only", "cpu")


@pytest.mark.parametrize(
    ("weights", "window", "words", "message"),
    [
        ("compensated", WINDOW, 60, "is a model"),
        ("masked", WINDOW, 60, "choose one of dense"),
        (None, WINDOW, 2, "shorter than one window"),
        (None, 1, 60, "at least 2"),
        (None, 4096, 60, "context"),
    ],
)
def test_mistakes_are_named(shop, tmp_path, weights, window, words, message):
    text = write_text(tmp_path / "text.txt", words)
    with pytest.raises(UserError, match=message):
        evaluate_target(str(shop.model("llama")), text, weights, "cpu", window)


def test_what_is_neither_a_model_nor_a_run_is_refused(tmp_path):
    for target in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError):
            evaluate_target(str(target))


def test_a_run_is_evaluated_on_what_it_read_whatever_its_budget_means_today(shop, tmp_path, monkeypatch):
    out = tmp_path / "run"
    config = shop.config(method="magnitude", compensation="none", eval_text=None)
    recorded = result(list(run_to_record(config, out)))
    found = evaluate_target(str(out), None, "mask-only", "cpu")
    assert found["windows"] == budget.evaluation_budget(config).windows * len(found["domains"])
    monkeypatch.setitem(budget._EVALUATION, "quick", budget.EvaluationBudget(2, 1, 1))
    again = evaluate_target(str(out), None, "mask-only", "cpu")
    assert (again["windows"], again["perplexity"]) == (found["windows"], found["perplexity"])
    assert again["perplexity"] == pytest.approx(recorded["mask_only_ppl"], rel=1e-6)
