"""Planted faults are found again from the record alone, each first and for what it is; sound runs raise no alarm."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.analysis.causes import TESTS, Surroundings
from hyperprune_lab.analysis.diagnosis import diagnose, verdicts_on
from hyperprune_lab.analysis.symptoms import Symptoms, symptoms, table_of
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.runs import example

SOUND = Symptoms(
    module="m.0.up",
    block=0,
    local="up",
    panel="up",
    pattern=NMPattern(2, 4),
    shape=(64, 64),
    error=0.08,
    error_heldout=0.085,
    error_wanda=0.09,
    error_magnitude=0.1,
    times=1.1,
    own=0.08,
    inherited=0.2,
    total=0.26,
    inherited_times=1.0,
    damage=0.02,
    damage_se=0.005,
    standing=0.95,
    kept_score=0.87,
    kept_score_wanda=0.9,
    along=0.5,
    across=0.0,
    undecided=0.4,
    tokens=5000.0,
    condition=300.0,
    dead=0,
    revived=0,
    shift=0.05,
    outliers=3,
    outliers_kept=0.7,
    outliers_kept_wanda=0.75,
    forgotten=0.05,
    forgotten_times=1.01,
)
AROUND = Surroundings("hyperprune", 1.02, 512)

CASES = {
    "wrong axis": {
        "standing": 0.02,
        "across": 0.4,
        "along": 0.0,
        "error": 0.4,
        "error_heldout": 0.4,
        "times": 4.0,
    },
    "unconverged": {"undecided": 0.97, "standing": 0.05, "error": 0.4, "error_heldout": 0.4, "times": 4.0},
    "too few tokens": {
        "tokens": 40.0,
        "condition": np.inf,
        "error": 0.01,
        "error_heldout": 0.3,
        "times": 3.0,
    },
    "calibration mismatch": {"error": 0.04, "error_heldout": 0.15, "times": 1.8, "shift": 0.6},
    "lost outlier channels": {"outliers_kept": 0.05, "error": 0.2, "error_heldout": 0.2, "times": 2.0},
    "dead channels": {"dead": 4, "revived": 3},
    "forgetting": {"forgotten": 0.6, "forgotten_times": 1.8},
    "inherited error": {"inherited": 0.9, "inherited_times": 1.8},
    "above the trend": {"times": 2.4},
}


def test_a_sound_linear_raises_nothing():
    assert verdicts_on(SOUND, AROUND) == []


@pytest.mark.parametrize("cause", CASES)
def test_each_cause_is_told_first_by_its_own_symptoms(cause):
    verdicts = verdicts_on(replace(SOUND, **CASES[cause]), AROUND)
    assert verdicts[0].cause == cause
    assert all(np.isscalar(value) for value in verdicts[0].evidence.values())
    assert verdicts[0].sentence.endswith(".")
    assert verdicts[0].remedy
    assert verdicts[0].links


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_what_was_not_recorded_is_no_fault(test):
    bare = Symptoms("m", 0, "m", "m", NMPattern(2, 4), (64, 64))
    assert test(bare, AROUND) is None


def test_a_non_square_weight_at_chance_is_the_wrong_axis_only_where_its_mind_was_made_up():
    odd = replace(SOUND, standing=0.0, across=None)
    assert verdicts_on(odd, AROUND)[0].cause == "wrong axis"
    assert verdicts_on(replace(odd, undecided=0.99), AROUND)[0].cause == "unconverged"


def test_magnitude_masks_need_no_tokens():
    thin = replace(SOUND, **CASES["too few tokens"])
    assert verdicts_on(thin, AROUND)[0].severity == "failure"
    of_magnitude = verdicts_on(thin, Surroundings("magnitude", 1.0, 512))
    assert {one.severity for one in of_magnitude if one.cause == "too few tokens"} == {"note"}


def faults_run():
    try:
        return example("faults")
    except UserError as error:
        pytest.skip(str(error))


def test_the_five_planted_faults_are_the_first_five_findings_each_with_its_cause():
    from hyperprune_lab.demo.faults import truth

    found = diagnose(faults_run())
    planted = truth()
    assert {finding.module: finding.cause for finding in found.findings[:5]} == planted
    assert all(finding.severity == "failure" for finding in found.findings[:5])
    assert all(found.of(module)[0].cause == cause for module, cause in planted.items())
    assert {finding.module for finding in found.alarms("warning")} == set(planted)
    assert [finding.rank for finding in found.findings] == list(range(1, len(found.findings) + 1))
    assert len(found.modules) == 56
    assert found.modules["damage"].is_monotonic_decreasing
    inherited = [finding for finding in found.findings if finding.cause == "inherited error"]
    assert all(finding.upstream in planted for finding in inherited)
    json.dumps([finding.to_json() for finding in found.findings], allow_nan=False)


@pytest.mark.parametrize("name", ["wanda", "hyperprune"])
def test_sound_runs_of_the_embedded_model_raise_no_alarm(name):
    try:
        run = example(name)
    except UserError as error:
        pytest.skip(str(error))
    found = diagnose(run)
    assert found.alarms("warning") == ()
    assert "No fault" in found.headline


def test_symptoms_say_what_the_record_says(world):
    full = world.run
    found = symptoms(full)
    modules = full.modules().set_index("module")
    assert [one.module for one in found] == list(modules.index)
    for one in found:
        assert one.error == pytest.approx(modules.loc[one.module, "error_rel"])
        mask = full.mask(one.module)
        assert one.shape == mask.shape
    assert len(table_of(found)) == len(found)


def test_an_earlier_moment_knows_only_what_was_measured_by_then(world):
    full = world.run
    seqs = full.modules()["seq"].tolist()
    half = diagnose(full, as_of=seqs[len(seqs) // 2])
    assert 0 < len(half.modules) < len(seqs)
    nothing = diagnose(full, as_of=1)
    assert nothing.findings == ()
    assert nothing.headline == "No linear has been decided yet."


def test_a_run_that_ended_on_nan_names_the_linears_that_read_it(tmp_path):
    names = [f"model.layers.0.self_attn.{one}_proj" for one in "qkvo"]
    coverage = [
        {"name": name, "block": 0, "shape": [8, 8], "parameters": 64, "status": "pruned", "pattern": "2:4"}
        for name in names
    ]
    cause = (
        "model.layers.0.self_attn.q_proj+k_proj: NaN or infinite values among the calibration activations."
    )
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(ev.RunStarted({"method": "wanda"}, {}, {"blocks": 1}, {}, coverage, ["layers"]))
        writer.write(ev.RunFailed(cause, "UserError"))
    found = diagnose(open_run(tmp_path / "run"))
    assert [finding.module for finding in found.findings] == names[:2]
    assert {finding.cause for finding in found.findings} == {"not finite"}
    assert cause in found.findings[0].sentence
    json.dumps(found.findings[0].to_json(), allow_nan=False)
