"""What runs came to: the record's numbers, groups by protocol, and who is best of what can be told apart."""

from __future__ import annotations

import numpy as np
import pytest

from hyperprune_lab.analysis.scoreboard import best, errors_compare, groups, masks_compare, standing
from tests.widgets import readrun
from tests.widgets.readrun import Read


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    reads = (
        Read(name="best", seed=1, method="hyperprune"),
        Read(name="close", seed=2, shift=0.002),
        Read(name="far", seed=3, shift=0.6, noise=0.1, compensation="none"),
        Read(name="elsewhere", seed=4, text="other", calibration="other"),
        Read(name="foreign", seed=5, model="model two", pattern="1:4"),
        Read(name="half", seed=6, evaluated=False, finished=False),
    )
    return {read.name: (read, readrun.write(folder, read)) for read in reads}


def test_figures_are_the_recorded_ones(runs):
    read, run = runs["best"]
    found = standing(run)
    for state in readrun.STATES:
        told = read.scalars(state)
        for name in ("perplexity", "nats_lost", "gap_closed", "kl", "top1_agreement"):
            assert found.values[f"{state}/{name}"] == pytest.approx(told[name])
        assert found.values[f"{state}/skills"] == pytest.approx((told["skill/a"] + told["skill/b"]) / 2)
        assert found.nats_interval[state] == pytest.approx((told["nats_lost_low"], told["nats_lost_high"]))
    assert found.values["error_rel"] == pytest.approx(run.modules()["error_rel"].mean())
    assert (found.values["seconds"], found.values["memory"]) == (61.0, 1 << 28)
    assert found.dense == pytest.approx(read.scalars("dense")["perplexity"])
    assert (found.state, found.awaits, found.method) == ("finished", False, "hyperprune")


def test_of_an_earlier_moment_only_what_was_known(runs):
    _, run = runs["best"]
    before = next(event.seq for event in run.events(kinds=("EvaluationFinished",)) if event.seq > 3) - 1
    found = standing(run, before)
    assert found.awaits
    assert "mask-only/perplexity" not in found.values
    assert found.dense is not None
    assert standing(run).state == "finished", "the earlier look changed nothing"
    assert "mask-only/perplexity" not in standing(runs["half"][1]).values


def test_other_protocols_stand_apart_and_name_what_differs(runs):
    standings = [standing(run) for _, run in runs.values()]
    found = groups(standings)
    names = [[standings[place].name for place in group.places] for group in found]
    assert names[0][:3] == ["best", "close", "far"]
    assert ["elsewhere"] in names
    assert ["foreign"] in names
    assert sorted(place for group in found for place in group.places) == list(range(len(standings)))
    apart = {standings[group.places[0]].name: {one.field for one in group.differs} for group in found}
    assert apart["best"] == set()
    assert apart["elsewhere"] == {"evaluation text"}
    assert "model weights" in apart["foreign"]
    by_name = {one.name: one for one in standings}
    assert errors_compare(by_name["best"], by_name["close"])
    assert not errors_compare(by_name["best"], by_name["elsewhere"])
    assert masks_compare(by_name["best"], by_name["elsewhere"]) == ()
    assert {one.field for one in masks_compare(by_name["best"], by_name["foreign"])} == {
        "model weights",
        "pattern",
    }


def test_the_best_of_a_column_and_what_cannot_be_told_from_it(runs):
    chosen = [runs[name] for name in ("best", "close", "far")]
    opened = [run for _, run in chosen]
    standings = [standing(run) for run in opened]
    (group,) = groups(standings)
    column = "mask-only/perplexity"
    winners, tied = best(standings, group, column, opened)
    values = [one.values[column] for one in standings]
    assert winners == {int(np.argmin(values))} == {values.index(min(values))}
    assert tied == {0, 1} - winners, "far is 0.6 nats away, with little noise"
    assert best(standings, group, column)[1] == frozenset()
    assert best(standings, group, "seconds") == (frozenset({0}), frozenset())
    assert best(standings, group, "mask-only/skills") == (frozenset(), frozenset()), "all are equal"


def test_a_part_of_a_run_is_not_held_against_whole_ones(runs):
    standings = [standing(runs[name][1]) for name in ("best", "close", "half")]
    for figure in ("error_rel", "seconds", "memory"):
        for group in groups(standings):
            assert 2 not in best(standings, group, figure)[0]


def test_nobody_is_best_alone(runs):
    standings = [standing(runs[name][1]) for name in ("best", "elsewhere")]
    for group in groups(standings):
        assert best(standings, group, "mask-only/perplexity") == (frozenset(), frozenset())
