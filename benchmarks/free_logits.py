"""The shared network against free logits per group: the same prior, data, steps and held-out choice, several seeds.

Trains the whole-model stage from the layer-wise prior with the network alone, with free logits alone and with both,
at several rates; the rate is chosen by held-out KL. Prints a table: KL and perplexity of the best mask after the first
round and after the last, and the share of the loss that Wanda's mask causes which is won back.

    python benchmarks/free_logits.py --model demo --samples 128 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from hyperprune_lab.calibration.config import CalibrationConfig
from hyperprune_lab.hypernet.model_trainer import ModelTrainer
from hyperprune_lab.hypernet.settings import ModelStageSettings
from hyperprune_lab.methods.hyperprune import HyperPrune
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.feedback import DenseFeedback
from hyperprune_lab.pipeline.run import Workbench
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import derived_seed

NETWORK_RATES, FREE_RATES = (0.01, 0.03), (0.05, 0.15)
SETTINGS: dict[str, list[ModelStageSettings]] = {
    "network": [ModelStageSettings(rate=rate) for rate in NETWORK_RATES],
    "free": [ModelStageSettings(network=False, free_rate=rate) for rate in FREE_RATES],
    "both": [ModelStageSettings(rate=0.02, free_rate=FREE_RATES[0])],
}


@dataclass(frozen=True)
class Outcome:
    """The best masks by held-out KL after each round of one training."""

    settings: ModelStageSettings
    divergence: list[float]
    masks: list[dict[str, Tensor]]


class Trial:
    """One seed: a model, its calibration text, and the layer-wise stage's masks to start from."""

    def __init__(self, options: argparse.Namespace, seed: int) -> None:
        calibration = CalibrationConfig(samples=options.samples, window=options.window, text=options.text)
        self.seed = seed
        self.bench = Workbench.open(
            RunConfig(
                model=options.model,
                seed=seed,
                budget="thorough",
                calibration=calibration,
                eval_text=options.eval_text,
            )
        )
        assert isinstance(self.bench.method, HyperPrune)
        self.method = self.bench.method
        self.state = RunState()
        for _ in self.bench.layers_stage().run(self.state):
            pass
        self.network = {name: value.clone() for name, value in self.method.chooser.state_dict().items()}
        self.contexts = dict(self.method.contexts)
        self.feedback = DenseFeedback(self.bench.subject, self.bench.streams)
        self.bench.examiner.look_at_dense()
        self.bench.examiner.look("wanda", self.state.masks["wanda"], brief=True)

    def train(self, settings: ModelStageSettings) -> Outcome:
        """Train from the start with these settings."""
        chooser = self.method.chooser
        chooser.load_state_dict(self.network)
        chooser.residuals.clear()
        seed = derived_seed(self.seed, "model")
        trainer = ModelTrainer(
            chooser, settings, self.contexts, self.feedback, seed, self.state.masks["final"]
        )
        outcome = Outcome(settings, [], [])
        for _ in trainer.train():
            if trainer.state.step == settings.steps:
                outcome.divergence.append(trainer.state.best_divergence)
                outcome.masks.append(dict(trainer.state.best))
        return outcome

    def row(self, name: str, outcome: Outcome) -> str:
        """What the first and the last round gave."""
        chosen = outcome.settings
        rates = f"{f'{chosen.rate:g}' if chosen.network else '–'} / {chosen.free_rate:g}"
        columns = [f"{self.seed}", name, rates]
        for at in (0, -1):
            label = f"{name} {at}"
            self.bench.examiner.look(label, outcome.masks[at], brief=True)
            scalars = self.bench.examiner.scalars[label]
            closed = self.bench.examiner.gap(label)
            columns += [
                f"{outcome.divergence[at]:.4f}",
                f"{scalars['perplexity']:.2f}",
                "–" if closed is None else f"{closed:.3f}",
            ]
        return " | ".join(columns)


def rows(options: argparse.Namespace) -> Iterator[str]:
    """A line for each seed and kind of logits, at the rate with the least held-out KL."""
    for seed in options.seeds:
        trial = Trial(options, seed)
        for name in options.kinds:
            found = [
                trial.train(replace(settings, steps=options.steps, rounds=options.rounds, looks=2))
                for settings in SETTINGS[name]
            ]
            yield trial.row(name, min(found, key=lambda outcome: outcome.divergence[-1]))


def main() -> None:
    """Print the table, line by line as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo")
    parser.add_argument("--text", default=None, help="calibration text; the project's own if left out")
    parser.add_argument("--eval-text", default=None)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--window", type=int, default=None)
    parser.add_argument("--steps", type=int, default=40, help="steps in each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--kinds", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    print(
        "seed | logits | rate of the network / of free logits | KL, perplexity, gap closed after round 1 | "
        "after the last",
        flush=True,
    )
    for row in rows(parser.parse_args()):
        print(row, flush=True)


if __name__ == "__main__":
    main()
