"""What calibration text a run reads, and how much of it.

Knows nothing about tokenizers or models: it only refuses numbers that can never work.
"""

from __future__ import annotations

from dataclasses import dataclass

from hyperprune_lab.errors import UserError


@dataclass(frozen=True)
class CalibrationConfig:
    """``samples`` windows of ``window`` tokens; the share ``holdout`` is kept for choosing and stopping.

    ``window`` None means the smaller of 2048 and the model's context. ``text`` None means the project's
    own text, half stories and half prose; else it is the path of a ``.txt`` or ``.jsonl`` file, or ``"stories"``,
    ``"wikitext2"`` or ``"c4"``. Raises UserError
    on values out of range.
    """

    samples: int = 128
    window: int | None = None
    text: str | None = None
    holdout: float = 0.1

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"{self.samples} calibration samples: at least 1 is needed.")
        if self.window is not None and self.window < 2:
            raise UserError(f"a calibration window of {self.window} tokens: at least 2 are needed.")
        if not 0 <= self.holdout < 1:
            raise UserError(f"holdout {self.holdout}: a share of at least 0 and less than 1 is needed.")
