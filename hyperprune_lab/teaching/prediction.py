"""Predict, then run: a question with a few answers, remembered until the measurement is there.

Knows nothing about what is right until it is told. In a notebook one clicks; everywhere else `Prediction.choose` does
the same, and where nobody predicted the measurement is told all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperprune_lab.teaching.feedback import Feedback, marked_up


class Prediction:
    """One question. ``choice`` is the letter chosen, None as long as nobody has."""

    def __init__(self, question: str, options: dict[str, str]) -> None:
        self.question = question
        self.options = options
        self.choice: str | None = None
        self._box: Any = None

    def choose(self, letter: str) -> None:
        """Choose by letter, without clicking."""
        if letter not in self.options:
            raise ValueError(f"choose one of {', '.join(self.options)}")
        self.choice = letter

    def compare(self, right: str, because: str, **wrong: str) -> Feedback:
        """Tell what came out: option ``right``, ``because`` of what was measured.

        ``wrong`` has, by letter, what to say to those who predicted otherwise: the idea behind it.
        """
        unknown = {right, *wrong} - set(self.options)
        if unknown:
            raise ValueError(f"this question has no option {', '.join(sorted(unknown))}")
        measured = f"Measured: {right}) {self.options[right]}"
        if self.choice is None:
            return Feedback("note", measured, because)
        if self.choice == right:
            return Feedback("right", f"As you predicted: {right}) {self.options[right]}", because)
        yours = f"You predicted: {self.choice}) {self.options[self.choice]}"
        return Feedback(
            "wrong", measured, "\n".join(part for part in (yours, because, wrong.get(self.choice)) if part)
        )

    def __repr__(self) -> str:
        lines = [
            f"Your prediction: {self.question}",
            *(f"  {key}) {text}" for key, text in self.options.items()),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        listed = "".join(f"<div>{key})&nbsp; {marked_up(text)}</div>" for key, text in self.options.items())
        return (
            '<div class="hp-predict" style="border:1px solid var(--jp-border-color1, #8a929c);border-radius:4px;'
            'padding:6px 12px;margin:4px 0;max-width:80ch;line-height:1.6">'
            f"<b>Your prediction: {marked_up(self.question)}</b>{listed}</div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if self._box is None:
            self._box = self._widget()
        if self._box is not None:
            bundle |= {
                mime: value for mime, value in self._box._repr_mimebundle_().items() if "widget" in mime
            }
        return bundle, {}

    def _widget(self) -> Any:
        """Radio buttons, written by the browser alone, and a line of thanks, written from here alone."""
        try:
            import ipywidgets
        except ImportError:
            return None
        question = ipywidgets.HTML(f"<b>Your prediction: {marked_up(self.question)}</b>")
        buttons = ipywidgets.RadioButtons(
            options=[(f"{key})  {text}", key) for key, text in self.options.items()],
            value=None,
            layout={"width": "max-content"},
        )
        said = ipywidgets.HTML()

        def remember(change: dict[str, Any]) -> None:
            self.choice = change["new"]
            said.value = "<i>Noted. Now run on and see.</i>"

        buttons.observe(remember, "value")
        box = ipywidgets.VBox([question, buttons, said])
        box.add_class("hp-predict")
        return box


def predict(question: str, **options: str) -> Prediction:
    """Ask, show the question where there is something to show it on, and return it for `Prediction.compare`.

    ``options`` are letters with their texts: ``predict("How many?", a="six", b="sixteen")``.
    """
    asked = Prediction(question, options)
    _show(asked)
    return asked


@dataclass(frozen=True)
class Question:
    """A question to predict on, with all that is said afterwards, so that the notebook itself gives nothing away.

    Call it to ask. ``because`` may name measured numbers, as in ``"it fell to {error:.2f}"``; `Asked.reveal` fills them
    in. ``wrong`` has, by letter, the idea behind each wrong prediction.
    """

    text: str
    options: dict[str, str]
    right: str
    because: str
    wrong: dict[str, str]

    def __call__(self) -> Asked:
        asked = Asked(self)
        _show(asked)
        return asked


class Asked(Prediction):
    """A `Question` that has been asked."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.text, question.options)
        self._question = question

    def reveal(self, **measured: float) -> Feedback:
        """Compare with what was measured."""
        question = self._question
        return self.compare(question.right, question.because.format(**measured), **question.wrong)


def _show(asked: Prediction) -> None:
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display
    except ImportError:
        print(repr(asked))
        return
    if get_ipython() is None:
        print(repr(asked))
    else:
        display(asked)
