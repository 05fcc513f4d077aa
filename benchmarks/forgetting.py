"""What the continual term buys and costs: forgetting against the error of the block at hand, over several weights.

Runs the layer-wise stage only, with the paper's inputs, with the prior off and on, for several seeds; prints a table.

    python benchmarks/forgetting.py --model demo --weights 0 1 10 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import replace

from hyperprune_lab.calibration.config import CalibrationConfig
from hyperprune_lab.events import ForgettingMeasured, ModuleDecided
from hyperprune_lab.hypernet.settings import HyperPruneSettings, preset_settings
from hyperprune_lab.methods.hyperprune import HyperPrune
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.layers import forgetting_summary
from hyperprune_lab.pipeline.run import Workbench, roster
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import derived_seed


def settings_for(weight: float, with_prior: bool, steps: int) -> HyperPruneSettings:
    """The paper's settings with another continual weight, fewer steps, and Wanda's mask as prior where asked for."""
    settings = preset_settings("paper", "quick", "mask-only", continual_weight=weight)
    chooser = replace(settings.chooser, prior_strength=3.0 if with_prior else 0.0)
    return replace(settings, chooser=chooser, training=replace(settings.training, steps=steps))


def measure(bench: Workbench, settings: HyperPruneSettings) -> tuple[float, float, float]:
    """Average forgetting, backward transfer and mean relative error of one layer-wise run."""
    bench.settings = settings
    bench.method = HyperPrune(settings, roster(bench.subject), derived_seed(bench.config.seed, "network"))
    errors: list[float] = []
    recalled: dict[str, list[float]] = {}
    for event in bench.layers_stage().run(RunState()):
        if isinstance(event, ModuleDecided):
            errors.append(event.scalars["error_rel"])
        elif isinstance(event, ForgettingMeasured):
            recalled = event.values
    summary = forgetting_summary(recalled)
    return (
        float(summary["average_forgetting"] or 0),
        float(summary["backward_transfer"] or 0),
        statistics.mean(errors),
    )


def rows(options: argparse.Namespace) -> Iterator[str]:
    """One line for each prior and weight, means and standard deviations over seeds."""
    calibration = CalibrationConfig(samples=options.samples, window=options.window, text=options.text)
    benches = [
        Workbench.open(RunConfig(model=options.model, preset="paper", seed=seed, calibration=calibration))
        for seed in options.seeds
    ]
    for with_prior in (False, True):
        for weight in options.weights:
            found = [measure(bench, settings_for(weight, with_prior, options.steps)) for bench in benches]
            columns = [
                f"{statistics.mean(c):.4f} ± {statistics.pstdev(c):.4f}" for c in zip(*found, strict=True)
            ]
            yield " | ".join(["on" if with_prior else "off", f"{weight:g}", *columns])


def main() -> None:
    """Print the table, line by line as it grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo")
    parser.add_argument("--text", default=None, help="calibration text; the project's own if left out")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--window", type=int, default=None)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 1.0, 10.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    print(
        "prior | lambda 2 | share of groups forgotten | backward transfer | mean relative error", flush=True
    )
    for row in rows(parser.parse_args()):
        print(row, flush=True)


if __name__ == "__main__":
    main()
