"""Planted faults: they lie where they were planted and nowhere else, twice the same, and the record betrays them."""

from __future__ import annotations

import numpy as np
import pytest

from hyperprune_lab.analysis.diagnosis import diagnose
from hyperprune_lab.demo.faults import FAULTS, Fault, exercise, run_with_faults, truth
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import InputMeasured, ModuleDecided, Notice
from hyperprune_lab.pipeline.session import record_events
from hyperprune_lab.record.reader import open_run
from tests.pipeline.tiny import Workshop, masks, shrink

PLANTED = (
    Fault("unconverged", "model.layers.0.mlp.gate_proj"),
    Fault("wrong axis", "model.layers.1.self_attn.q_proj"),
    Fault("too few tokens", "model.layers.1.mlp.down_proj", tokens=8),
    Fault("calibration mismatch", "model.layers.2.mlp.down_proj"),
    Fault("lost outlier channels", "model.layers.2.self_attn.o_proj"),
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        shop = Workshop(tmp_path_factory.mktemp("shop"))
        yield shop.config(method="hyperprune", compensation="none", damage=True, samples=20)


def test_faults_lie_where_they_were_planted_and_the_record_tells_which(config, tmp_path):
    sound = list(run_with_faults(config, ()))
    faulty = list(record_events(run_with_faults(config, PLANTED), tmp_path / "run"))
    again = list(run_with_faults(config, PLANTED))
    ours, theirs = masks(faulty), masks(sound)
    changed = {name for name in ours if not np.array_equal(ours[name], theirs[name])}
    assert changed == {fault.module for fault in PLANTED}
    assert all(np.array_equal(mask, masks(again)[name]) for name, mask in ours.items())
    notices = [event.message for event in faulty if isinstance(event, Notice)]
    assert any("exercise" in message for message in notices)
    assert not any(fault.module in message for message in notices for fault in PLANTED)

    inputs = {
        event.modules: event for event in faulty if isinstance(event, InputMeasured) and event.block == 1
    }
    assert {event.scalars["tokens"] for event in inputs.values()} > {8.0}
    decided = {event.module: event for event in faulty if isinstance(event, ModuleDecided)}
    assert decided["model.layers.0.mlp.gate_proj"].scalars["entropy"] > 0.95
    assert decided["model.layers.2.self_attn.o_proj"].scalars["agreement_magnitude"] == 1.0

    found = diagnose(open_run(tmp_path / "run"))
    # A random model has no loud channels to lose, and reads every text alike.
    assert {finding.module: finding.cause for finding in found.alarms("failure")} == truth(PLANTED[:3])


def test_a_fault_that_does_not_fit_is_refused(config):
    for fault, message in (
        (Fault("wrong axis", "model.layers.0.mlp.up_proj"), "square"),
        (Fault("unconverged", "model.layers.9.mlp.up_proj"), "not pruned"),
    ):
        with pytest.raises(UserError, match=message):
            next(run_with_faults(config, (fault,)))


def test_the_exercise_has_five_faults_in_five_blocks():
    assert len({fault.cause for fault in FAULTS}) == 5
    assert len({fault.module.split(".")[2] for fault in FAULTS}) == 5
    assert exercise().damage
