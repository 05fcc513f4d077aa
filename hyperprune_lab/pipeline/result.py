"""The one object that sums up a run: what the command line prints and what comparisons are made of.

Not applicable is None. Knows nothing about how the figures came about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline.state import RunState

if TYPE_CHECKING:
    from hyperprune_lab.pipeline.run import Workbench


def result_of(bench: Workbench, state: RunState) -> dict[str, Any]:
    """The result of a finished run; perplexities come from one suite, measured in this run."""
    config, examiner = bench.config, bench.examiner
    masks = state.masks["final"]
    prior = state.masks.get("prior") if bench.has_prior else None
    learned = bench.settings is not None
    modules = list(state.results["modules"].values())
    patterns = bench.subject.patterns
    groups = {name: mask.numel() // patterns[name].group for name, mask in masks.items()}
    return {
        "method": config.method,
        "preset": config.preset,
        "pattern": config.pattern,
        "model": config.model,
        "objective": config.objective if learned else None,
        "budget": config.budget,
        "seed": config.seed,
        "dense_ppl": examiner.perplexity("dense"),
        "mask_only_ppl": examiner.perplexity("mask-only"),
        "compensated_ppl": examiner.perplexity("compensated"),
        "published_ppl": examiner.perplexity("published"),
        "compensation": config.compensation,
        "prior_mask_only_ppl": examiner.perplexity("prior"),
        "prior_compensated_ppl": examiner.perplexity("prior compensated"),
        "wanda_mask_only_ppl": examiner.perplexity("wanda"),
        "nats_lost_mask_only": examiner.scalars["mask-only"].get("nats_lost"),
        "nats_lost_compensated": examiner.scalars.get("compensated", {}).get("nats_lost"),
        "gap_closed_mask_only": examiner.gap("mask-only"),
        "gap_closed_compensated": examiner.gap("compensated"),
        "changed_from_prior": _changed(masks, prior, patterns),
        "groups_decided_by_hypernetwork": _decided(state.results["modules"], groups) if learned else 0.0,
        "error_rel_mean": sum(module["error_rel"] for module in modules) / len(modules),
        "sparsity": sum(int((~mask).sum()) for mask in masks.values()) / _prunable(bench),
        "violations": sum(patterns[name].violations(mask) for name, mask in masks.items()),
        "average_forgetting": state.results.get("average_forgetting"),
        "backward_transfer": state.results.get("backward_transfer"),
        "stages_run": state.stages_run,
        "seconds": round(state.seconds, 3),
        "peak_memory_bytes": state.peak_memory_bytes,
    }


def _prunable(bench: Workbench) -> int:
    return sum(linear.in_features * linear.out_features for linear in bench.subject.by_name.values())


def _changed(
    masks: Mapping[str, Tensor], prior: Mapping[str, Tensor] | None, patterns: Mapping[str, NMPattern]
) -> float | None:
    """Share of groups whose pattern is not the prior's."""
    if not prior:
        return None
    changed = total = 0
    for name, mask in masks.items():
        different = patterns[name].ids(mask) != patterns[name].ids(prior[name])
        changed += int(different.sum())
        total += different.numel()
    return changed / total


def _decided(modules: Mapping[str, Mapping[str, float]], groups: Mapping[str, int]) -> float:
    decided = sum(groups[name] * modules[name]["decided_by_network"] for name in groups)
    return decided / sum(groups.values())
