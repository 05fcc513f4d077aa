"""The clinic of notebook 09 against what was really planted, and against what the record says."""

from __future__ import annotations

import pytest

from hyperprune_lab import example
from hyperprune_lab.demo import faults
from hyperprune_lab.errors import UserError
from hyperprune_lab.teaching.lessons import clinic
from hyperprune_lab.teaching.lessons.clinic_ward import Ward, helped, treat
from hyperprune_lab.widgets.findings import Findings


@pytest.fixture(scope="module")
def ward():
    return Ward(example("faults"))


def answers():
    return {module: getattr(clinic, f"check_{name}")._right for name, module in clinic.PATIENTS.items()}


def test_the_right_answers_are_the_faults_that_were_planted():
    assert {module: clinic.CAUSES[letter] for module, letter in answers().items()} == faults.truth()


def test_every_exercise_offers_all_causes():
    for name in clinic.PATIENTS:
        check = getattr(clinic, f"check_{name}")
        assert {check._right, *(trap.answer for trap in check.traps)} == set(clinic.CAUSES)


def test_the_diagnosis_comes_to_the_same_causes(ward):
    for module, letter in answers().items():
        assert ward.diagnosis.of(module)[0].cause == clinic.CAUSES[letter]


def test_a_chart_holds_the_record_against_the_other_blocks(ward, capsys):
    module = clinic.PATIENTS["best"]
    ward.chart(module)
    lines = capsys.readouterr().out.splitlines()
    modules = ward.run.modules().set_index("module")
    others = modules[modules.index.str.endswith("mlp.down_proj") & (modules.index != module)]
    expected = [f"{modules.loc[module, 'error_rel']:.4f}", f"{others['error_rel'].median():.4f}"]
    assert lines[2].split()[-2:] == expected


def test_ranks_go_by_error(ward):
    order = ward.run.modules().sort_values("error_rel", ascending=False)["module"].tolist()
    assert [ward.rank(module) for module in order[:3]] == [1, 2, 3]


class Trial:
    """A trial that is over at once."""

    def __init__(self, answer=None, error=None):
        self.answer, self.error = answer, error

    def wait(self, seconds):
        return True


@pytest.fixture
def findings(ward):
    view = Findings(ward.run)
    yield view
    view.close()


def test_where_nothing_can_be_tried_the_reason_is_told(findings, monkeypatch, capsys):
    def refuse(module):
        raise UserError("What-if needs torch")

    monkeypatch.setattr(findings, "what_if", refuse)
    assert treat(findings, "a") is None
    assert "needs torch" in capsys.readouterr().out
    assert helped(None)


def test_a_trial_that_failed_is_not_passed_over(findings, monkeypatch):
    monkeypatch.setattr(findings, "what_if", lambda module: Trial(error="no such block"))
    with pytest.raises(UserError, match="no such block"):
        treat(findings, "a")


def test_a_remedy_that_makes_it_worse_is_told_apart():
    assert helped({"before": {"kl": 1.0}, "after": {"kl": 0.9}})
    assert not helped({"before": {"kl": 1.0}, "after": {"kl": 1.1}})
