"""The findings: every planted fault first with its right cause, numbers as diagnosed, nothing taken for markup."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.analysis.diagnosis import diagnose
from hyperprune_lab.demo.faults import truth
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.runs import example
from hyperprune_lab.views import findings
from hyperprune_lab.views.findings import LINKS, ORDERS, Trial
from hyperprune_lab.views.measures import MEASURES
from tests.widgets import tinyrun


@pytest.fixture(scope="module")
def faulty():
    run = example("faults")
    return run, diagnose(run)


def shown(faulty, **options):
    run, diagnosis = faulty
    return findings.findings_data(run, diagnosis=diagnosis, **options)


def test_the_planted_faults_are_ranked_first_each_with_its_cause(faulty):
    planted = truth()
    data = shown(faulty)
    first = data.modules[: len(planted)]
    assert {row.module: row.cause for row in first} == planted
    for module, cause in planted.items():
        told = findings.payload(shown(faulty, selection=[module]))
        assert told["findings"][0]["cause"] == cause
        assert told["findings"][0]["try"] is not None


@pytest.mark.parametrize("order", ORDERS)
def test_modules_stand_in_the_order_that_is_asked_for(faulty, order):
    _, diagnosis = faulty
    data = shown(faulty, order=order, everything=True)
    assert {row.module for row in data.modules} == set(diagnosis.modules["module"])
    assert [row for _, row in data.rows] == list(data.modules)
    values = {
        "damage": [row.damage for row in data.modules],
        "trend": [row.times for row in data.modules],
        "severity": [-("failure", "warning", "note", None).index(row.severity) for row in data.modules],
    }[order]
    assert values == sorted(values, reverse=True)


def test_numbers_are_those_of_the_diagnosis(faulty):
    _, diagnosis = faulty
    table = diagnosis.modules.set_index("module")
    for row in findings.payload(shown(faulty, everything=True))["rows"]:
        one = table.loc[row["module"]]
        assert row["damage"] == pytest.approx(one["damage"])
        assert row["spread"] == pytest.approx(2 * one["damage_se"])
        assert row["times"] == pytest.approx(one["times"])


def test_the_selected_module_is_always_in_the_list(faulty):
    last = shown(faulty).modules[-1]
    data = shown(faulty, selection=[last.module])
    assert data.focus == last.module
    assert data.rows[-1] == (len(data.modules), last)
    assert len(data.rows) == findings.SHOWN + 1


def test_every_link_leads_to_a_measure_that_there_is(faulty):
    _, diagnosis = faulty
    linked = {link for finding in diagnosis.findings for link in finding.links}
    assert linked <= set(LINKS)
    for (view, measure), (_, choices) in LINKS.items():
        if view == "map":
            assert choices["measure"] == measure
            assert measure in MEASURES


def test_trials_are_told_with_their_interval(faulty):
    module = next(iter(truth()))
    answer = {
        "dense": {"perplexity": 9.0, "nats": 2.2, "kl": 0.0},
        "before": {"perplexity": 14.0, "nats": 2.64, "kl": 0.5},
        "after": {"perplexity": 12.0, "nats": 2.48, "kl": 0.3},
        "difference": {"nats": -0.154, "low": -0.2, "high": -0.11},
        "kl_recovered": 0.2,
        "modules": [],
        "windows": 10,
        "tokens": 2560,
        "seconds": 2.0,
        "setting": {"modules": [module], "dense": True},
    }
    block = int(module.split(".")[2])
    done = Trial(1, module, {"block": block, "modules": [module], "dense": True}, "done", answer=answer)
    data = shown(
        faulty, selection=[module], trials=[done, replace(done, number=2, state="failed", error="<b>")]
    )
    told = json.dumps(findings.payload(data), ensure_ascii=False) + findings.text(data)
    assert "0.154" in told
    assert "0.20" in told
    assert [one["number"] for one in findings.payload(data)["trials"]] == [1, 2]


def test_a_run_half_done_says_what_it_cannot_know_yet(tmp_path):
    run = tinyrun.write_run(tmp_path / "half", stop_after=20)
    data = findings.findings_data(run)
    assert not data.finished
    assert all(row.damage is None for row in data.modules)
    assert findings.payload(data)["damage_note"]
    assert findings.text(data)
    assert data.modules


def test_hostile_names_stay_text(tmp_path):
    tiny = tinyrun.Tiny(blocks=2, locals_=("self_attn.q_proj", tinyrun.HOSTILE))
    run = tinyrun.write_run(tmp_path / "hostile", tiny)
    name = next(name for name in run.modules()["module"] if tinyrun.HOSTILE in name)
    data = findings.findings_data(run, selection=[name])
    assert data.focus == name
    assert findings.payload(data)["focus"] == name
    findings.picture(data, "dark")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_and_the_table_hold_the_rows(faulty, theme):
    data = shown(faulty)
    assert findings.picture(data, theme).get_figheight() > 2
    assert [row["module"] for row in findings.table(data)][:5] == [row.module for row in data.modules][:5]


def test_the_module_at_which_a_run_ended_on_nan_comes_first(tmp_path):
    tiny = tinyrun.Tiny()
    name = tiny.module(1, "mlp.up_proj")
    with RecordWriter.create(tmp_path / "nan") as writer:
        for event in tinyrun.events(tiny):
            writer.write(event)
            if isinstance(event, ev.BlockFinished):
                break
        writer.write(ev.RunFailed(f"{name}: NaN or infinite values among the activations.", "UserError"))
    data = findings.findings_data(open_run(tmp_path / "nan"))
    told = findings.payload(data)
    assert data.focus == told["rows"][0]["module"] == name
    assert [one["cause"] for one in told["findings"]] == ["not finite"]
    assert told["findings"][0]["try"] is None
    assert told["checks"] == []  # it was never measured, so nothing was looked for
    assert told["rows"][0]["damage"] is None
    assert "NaN" in findings.text(data)
    json.dumps(told, allow_nan=False)
    findings.picture(data, "light")


def test_a_cause_that_could_not_be_looked_for_is_not_called_absent():
    run = example("wanda")
    data = findings.findings_data(run)
    states = {cause: (state, why) for cause, state, why in findings.payload(data)["checks"]}
    assert states["unconverged"] == ("unknown", data.untested["unconverged"])
    assert states["forgetting"][0] == "unknown"
    assert states["dead channels"] == ("no", "")
    absent = next(line for line in findings.text(data).splitlines() if "looked for and not found" in line)
    assert "unconverged" not in absent
    assert f"not looked for, unconverged: {data.untested['unconverged']}" in findings.text(data)


def test_a_finished_run_without_damage_says_how_to_get_it(tmp_path):
    data = findings.findings_data(tinyrun.write_run(tmp_path / "run"))
    told = findings.payload(data)
    assert data.finished
    assert {row["damage"] for row in told["rows"]} == {None}
    assert {row["damage_text"] for row in told["rows"]} == {"not recorded"}
    assert "--damage" in told["damage_note"]
    assert "leave one module dense" in told["damage_note"]
    assert "leave one module dense" not in findings.payload(replace(data, cannot_try="no"))["damage_note"]
