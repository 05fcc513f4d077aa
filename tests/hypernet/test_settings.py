"""What a run's configuration makes of the presets."""

from __future__ import annotations

import pytest

from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.run import settings_of


@pytest.mark.parametrize(
    ("budget", "asked", "expected"),
    [("normal", None, False), ("normal", True, True), ("thorough", None, True), ("thorough", False, False)],
)
def test_residual_logits_are_the_budgets_choice_unless_someone_chooses(budget, asked, expected):
    settings = settings_of(RunConfig(budget=budget, residual_logits=asked))
    assert (settings.model_stage.free_rate > 0) == expected
