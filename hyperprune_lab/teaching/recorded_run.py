"""The recorded example runs in a lesson, with a badge that says that this is one.

Knows nothing about what is in a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperprune_lab.teaching.feedback import Feedback

if TYPE_CHECKING:
    from hyperprune_lab.record.reader import Run


def recorded(name: str = "hyperprune") -> Run:
    """One of the runs that come with the project, so that everybody sees the same numbers; shows its badge.

    Raises:
        UserError: there is no such run; the message lists those that there are.
    """
    from IPython.display import display

    from hyperprune_lab.runs import example

    run = example(name)
    display(badge(run, name))
    return run


def badge(run: Run, name: str) -> Feedback:
    """Where the numbers below it come from."""
    config = run.config
    method = config.get("method", "")
    preset = f" ({config['preset']})" if config.get("preset") else ""
    model = run.started.get("model", {}).get("name", "")
    return Feedback(
        "note",
        f"Example: recorded run {name!r}",
        f"{method}{preset} on the model {model!r} at {config.get('pattern')}, budget {config.get('budget')}, "
        f"seed {config.get('seed')}. Numbers from here are the same on every machine.",
    )
