"""Predictions: asked, chosen by click or by code, and compared with what was measured."""

from __future__ import annotations

import pytest

from hyperprune_lab.teaching.prediction import Prediction, Question, predict

OPTIONS = {"a": "six", "b": "sixteen"}


def test_without_a_notebook_the_question_is_printed(capsys):
    asked = predict("How many?", **OPTIONS)
    assert capsys.readouterr().out == "Your prediction: How many?\n  a) six\n  b) sixteen\n"
    assert asked.choice is None


def test_a_right_prediction_is_acknowledged():
    asked = Prediction("How many?", OPTIONS)
    asked.choose("a")
    feedback = asked.compare("a", "Choose 2 of 4.", b="Every subset.")
    assert feedback
    assert feedback.body == "Choose 2 of 4."


def test_a_wrong_prediction_hears_the_measurement_and_the_idea_behind_it():
    asked = Prediction("How many?", OPTIONS)
    asked.choose("b")
    feedback = asked.compare("a", "Choose 2 of 4.", b="Every subset.")
    assert feedback.title == "Measured: a) six"
    assert feedback.body.splitlines() == ["You predicted: b) sixteen", "Choose 2 of 4.", "Every subset."]


def test_who_made_no_prediction_still_reads_what_was_measured():
    feedback = Prediction("How many?", OPTIONS).compare("a", "Choose 2 of 4.")
    assert (feedback.kind, feedback.title) == ("note", "Measured: a) six")


@pytest.mark.parametrize(
    "call", [lambda p: p.choose("c"), lambda p: p.compare("c", ""), lambda p: p.compare("a", "", c="")]
)
def test_an_option_that_does_not_exist_is_refused(call):
    with pytest.raises(ValueError, match=r"option|choose"):
        call(Prediction("How many?", OPTIONS))


def test_in_a_notebook_a_click_chooses_and_the_saved_page_still_reads():
    asked = Prediction("Is `<b>` fewer?", OPTIONS)
    bundle, _ = asked._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "<code>&lt;b&gt;</code>" in bundle["text/html"]
    assert bundle["text/plain"].startswith("Your prediction:")
    _question, buttons, said = asked._box.children
    buttons.value = "b"
    assert asked.choice == "b"
    assert "Noted" in said.value
    assert asked._repr_mimebundle_()[0] == bundle, "showing it again does not ask again"


def test_a_question_keeps_its_answer_until_it_is_revealed(capsys):
    ask = Question(
        "How many?", OPTIONS, right="a", because="It was {count:.0f}.", wrong={"b": "Every subset."}
    )
    asked = ask()
    assert capsys.readouterr().out == "Your prediction: How many?\n  a) six\n  b) sixteen\n"
    asked.choose("b")
    assert asked.reveal(count=6.2).body.splitlines()[1:] == ["It was 6.", "Every subset."]
    assert ask().choice is None, "asked again, nobody has predicted yet"
