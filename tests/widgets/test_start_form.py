"""The form for a new run: what a person types becomes the configuration, and what cannot be is told at its field."""

from __future__ import annotations

import re

import pytest

from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.widgets import start_form
from hyperprune_lab.widgets.start_form import Request, code_of, form_of, request_of
from tests.widgets import tinyrun


def configured(**values: str) -> RunConfig:
    request, wrong = request_of(values)
    assert wrong == {}
    return RunConfig.from_json(dict(request.settings))


def test_an_untouched_form_is_a_quick_run_of_the_embedded_model():
    config = configured()
    assert config == RunConfig(budget="quick", damage=True)
    assert request_of({})[0].out == ""
    form = form_of({})
    assert (form.faulty, form.changed, form.rules) == (False, (), ())
    assert {one.name: one.default for one in form.fields}["samples"] == str(config.calibration.samples)


def test_every_field_reaches_the_configuration():
    typed = {
        "model": "./here",
        "pattern": "3:8",
        "budget": "thorough",
        "preset": "paper",
        "objective": "compensated",
        "outlier_weight": "0,5",
        "continual_weight": "0",
        "compensation": "none",
        "calibration_text": "stories",
        "samples": "12",
        "window": "64",
        "seed": "7",
        "device": "cuda:1",
    }
    config = configured(**typed)
    assert (config.model, config.pattern, config.budget, config.preset) == (
        "./here",
        "3:8",
        "thorough",
        "paper",
    )
    assert (config.outlier_weight, config.continual_weight, config.seed) == (0.5, 0.0, 7)
    assert (config.objective, config.compensation, config.device) == ("compensated", "none", "cuda:1")
    chosen = config.calibration
    assert (chosen.text, chosen.samples, chosen.window) == ("stories", 12, 64)
    assert request_of({"out": "~/x"})[0] == Request(request_of({})[0].settings, "~/x")
    assert {one.label for one in form_of(typed).changed} >= {"Seed", "Preset", "λ2, not forgetting", "Device"}
    assert "Pattern" not in {one.label for one in form_of(typed).changed}
    assert set(typed) | {"method", "out"} == set(start_form.NAMES)


def test_other_methods_are_not_told_what_is_hyperprunes_own():
    config = configured(method="wanda", preset="paper", outlier_weight="1", objective="compensated")
    assert (config.preset, config.outlier_weight, config.objective) == (None, None, "mask-only")
    form = form_of({"method": "wanda", "preset": "paper"})
    assert form["preset"].off == "Wanda has none"
    assert form["seed"].off is None
    assert form.changed == ()


@pytest.mark.parametrize(
    ("name", "typed", "says"),
    [
        ("seed", "two", "no whole number"),
        ("seed", "-1", "0 to 2147483647"),
        ("outlier_weight", "much", "no number"),
        ("outlier_weight", "-0.1", "at least 0"),
        ("continual_weight", "nan", "at least 0"),
        ("samples", "0", "at least 1"),
        ("samples", "1.5", "no whole number"),
        ("window", "1", "at least 2"),
        ("pattern", "5:4", "5:4"),
        ("budget", "huge", "quick, normal, thorough"),
    ],
)
def test_what_cannot_be_is_told_at_its_field(name, typed, says):
    form = form_of({name: typed})
    assert says in form[name].fault
    assert form.faulty
    assert [one.name for one in form.fields if one.fault] == [name]
    assert request_of({name: typed})[1].keys() == {name}


def test_several_mistakes_are_told_at_once():
    _, wrong = request_of({"seed": "x", "samples": "0", "window": "1"})
    assert set(wrong) == {"seed", "samples", "window"}


def test_the_maps_scope_comes_last_and_names_are_no_expressions():
    name = f"model.layers.0.{tinyrun.HOSTILE}"
    scope = {"model.layers.1.mlp.up_proj": "dense", "model.layers.2.mlp.up_proj": "dense", name: "1:4"}
    request, wrong = request_of({}, [["mlp", "4:8"]], scope)
    assert wrong == {}
    (first, *mapped) = request.settings["overrides"]
    assert first == ["mlp", "4:8"]
    assert [wanted for _, wanted in mapped] == ["dense", "dense", "1:4"]
    assert re.search(mapped[2][0], name)
    assert not re.search(mapped[0][0], "model.layers.10mlp.up_proj")
    rules = form_of({}, [["mlp", "4:8"]], scope).rules
    assert [(rule.origin, rule.label, rule.wanted) for rule in rules] == [
        ("map", "2 modules on the map", "dense"),
        ("map", name, "1:4"),
        ("expression", "mlp", "4:8"),
    ]
    assert rules[0].modules == tuple(scope)[:2]


@pytest.mark.parametrize(
    ("rule", "says"), [(["(", "dense"], "regular expression"), (["mlp", "nine"], "nine")]
)
def test_a_rule_that_means_nothing_is_a_fault(rule, says):
    form = form_of({}, [rule])
    assert form.faulty
    ((name, message),) = form.faults
    assert name == "overrides"
    assert says in message


def test_what_a_check_found_stands_at_its_fields():
    answer = {
        "blockers": [
            {"field": "model", "message": "no such model"},
            {"field": "calibration.text", "message": "no such text"},
            {"field": "dtype", "message": "no such type"},
        ],
        "warnings": [{"field": "calibration.samples", "message": "few"}],
    }
    form = form_of({"seed": "x"}, answer=answer)
    assert form["model"].fault == "no such model"
    assert form["calibration_text"].fault == "no such text"
    assert form["samples"].warning == "few"
    assert form["seed"].fault == "'x' is no whole number."
    assert form.faults == (("dtype", "no such type"),)


def test_patterns_methods_and_models_are_offered():
    form = form_of({"pattern": "3:7"}, models=["demo", "./mine", "./mine"], out="runs/x")
    assert form["model"].suggestions == ("demo", "./mine")
    assert dict(form["pattern"].choices)["2:4"] == "keeps 2 of every 4 (2:4)"
    assert dict(form["pattern"].choices)["3:7"] == "keeps 3 of every 7 (3:7)"
    assert [label for _, label in form["method"].choices][:3] == ["HyperPrune", "magnitude", "Wanda"]
    assert form["out"].default == "runs/x"


def test_values_are_texts_whatever_they_were_given_as():
    assert [start_form.cleaned(value) for value in (None, 3, 0.5, " a ", "x" * 5000)] == [
        "",
        "3",
        "0.5",
        "a",
        "x" * start_form.LONGEST,
    ]


def test_the_code_it_gives_begins_the_same_run(monkeypatch):
    begun = []
    monkeypatch.setattr("hyperprune_lab.pipeline.launch.launch", lambda *asked: begun.append(asked))
    request, _ = request_of({"method": "wanda", "seed": "3", "out": "there"}, [["mlp", "dense"]])
    exec(code_of(request), {})
    assert begun == [(RunConfig.from_json(dict(request.settings)), "there")]


def test_without_torch_no_run_can_be_made(monkeypatch):
    monkeypatch.setattr(start_form, "find_spec", lambda name: None)
    start_form.unable.cache_clear()
    try:
        assert "torch" in form_of({}).unable
    finally:
        start_form.unable.cache_clear()
