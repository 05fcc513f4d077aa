"""Trains the chooser on one block: reconstruction - outlier + continual, row by row.

Knows nothing about models or records: it meets linears as contexts and yields what each step measured.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.hypernet.chooser import Chooser
from hyperprune_lab.hypernet.features import LinearContext
from hyperprune_lab.hypernet.memory import GroupCache
from hyperprune_lab.hypernet.objective import (
    divergence,
    expected_reconstruction,
    outlier_share,
    sampled_reconstruction,
)
from hyperprune_lab.hypernet.relaxation import Choice, gumbel_noise
from hyperprune_lab.hypernet.watch import PinnedGroups, entropy_band
from hyperprune_lab.methods.coordinate_descent import group_costs


@dataclass(frozen=True)
class TrainingSettings:
    """How one block is trained.

    ``sampled`` draws Gumbel-Softmax masks (the paper); otherwise the expected error over the choice is computed in
    closed form. Temperatures fall geometrically over the steps. ``rows`` are drawn anew per linear and step.
    """

    steps: int = 60
    rows: int = 32
    rate: float = 1e-2
    sampled: bool = False
    temperature_start: float = 2.0
    temperature_end: float = 0.1
    outlier_weight: float = 0.1
    continual_weight: float = 1.0
    cache_batch: int = 1024
    choose_best: bool = True
    looks: int = 4


def annealed(start: float, end: float, step: int, steps: int) -> float:
    """Geometric interpolation from ``start`` at step 0 to ``end`` at the last step."""
    return start * (end / start) ** (step / max(1, steps - 1))


class BlockTrainer:
    """One optimizer for the whole run; :meth:`train` takes it through one block."""

    def __init__(self, chooser: Chooser, settings: TrainingSettings) -> None:
        self.chooser = chooser
        self.settings = settings
        parameters = [p for p in chooser.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(parameters, lr=settings.rate, betas=(0.9, 0.99))
        self.pinned: PinnedGroups | None = None
        """The groups that were watched in the block trained last."""

    def train(
        self,
        linears: Sequence[LinearContext],
        heldout: Sequence[Float[Tensor, "_ _"] | None],
        caches: dict[str, GroupCache],
        wanda: Sequence[Bool[Tensor, "_ _"]],
        generator: torch.Generator,
    ) -> Generator[dict[str, float], None, None]:
        """Yield every step's terms; on return the chooser is the best seen on held-out statistics, start included."""
        chosen = self.settings
        before = {pattern: self._teacher(cache, pattern) for pattern, cache in caches.items() if len(cache)}
        best, best_error = self._snapshot(), self._heldout_error(linears, heldout)
        look_every = max(1, chosen.steps // chosen.looks)
        self.pinned = PinnedGroups(self.chooser, linears, chosen.steps)
        for step in range(chosen.steps):
            values = self._step(step, linears, caches, before, wanda, generator)
            if (
                chosen.choose_best
                and best_error is not None
                and ((step + 1) % look_every == 0 or step + 1 == chosen.steps)
            ):
                error = self._heldout_error(linears, heldout)
                assert error is not None
                values["heldout_error"] = error
                if error < best_error:
                    best, best_error = self._snapshot(), error
            yield values
        if chosen.choose_best and best_error is not None:
            self.chooser.load_state_dict(best)

    def _step(
        self,
        step: int,
        linears: Sequence[LinearContext],
        caches: dict[str, GroupCache],
        before: dict[str, Tensor],
        wanda: Sequence[Bool[Tensor, "_ _"]],
        generator: torch.Generator,
    ) -> dict[str, float]:
        chosen = self.settings
        temperature = annealed(chosen.temperature_start, chosen.temperature_end, step, chosen.steps)
        sums = dict.fromkeys(
            ("reconstruction", "outlier", "entropy", "agreement_wanda", "agreement_prior"), 0.0
        )
        total = torch.zeros((), device=linears[0].weight.device)
        assert self.pinned is not None
        self.pinned.look(step, temperature)
        entropies: list[Tensor] = []
        for linear, reference in zip(linears, wanda, strict=True):
            decided = self.chooser.decided_rows(linear)
            rows = torch.randperm(decided, generator=generator)[: chosen.rows].to(linear.weight.device)
            logits = self.chooser.logits(linear, rows)
            head = self.chooser.head(linear)
            noise = gumbel_noise(logits, generator) if chosen.sampled or not head.categorical else None
            choice = head.choose(logits, temperature, noise)
            error, outlier = self._terms(linear, rows, choice)
            total = total + (error - chosen.outlier_weight * outlier) / len(linears)
            with torch.no_grad():
                ids = head.hard_ids(logits)
                entropies.append(head.entropy_share(logits / temperature))
                seen = {
                    "reconstruction": error,
                    "outlier": outlier,
                    "entropy": entropies[-1].mean(),
                    "agreement_wanda": (ids == linear.pattern.ids(reference[rows])).float().mean(),
                    "agreement_prior": (ids == linear.pattern.ids(linear.prior[rows])).float().mean(),
                }
            for name, value in seen.items():
                sums[name] += float(value.detach()) / len(linears)
        continual = self._continual(caches, before, generator)
        loss = total + chosen.continual_weight * continual
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = chosen.rate * (1.0 - step / chosen.steps)
        self.optimizer.step()
        return sums | {
            **entropy_band(entropies),
            "continual": float(continual.detach()),
            "loss": float(loss.detach()),
            "temperature": temperature,
        }

    def _terms(self, linear: LinearContext, rows: Tensor, choice: Choice) -> tuple[Tensor, Tensor]:
        weight = linear.weight[rows]
        energy = ((weight @ linear.gram) * weight).sum().clamp_min(1e-30)
        if self.settings.sampled or choice.probabilities is None:
            error = sampled_reconstruction(weight, linear.gram, choice)
        else:
            costs = group_costs(weight, linear.gram, linear.pattern)
            error = expected_reconstruction(weight, linear.gram, costs, choice)
        return error / energy, outlier_share(weight, linear.second_moment, choice)

    @torch.no_grad()
    def _teacher(self, cache: GroupCache, pattern: str) -> Tensor:
        """The answers of the network as it enters this block: the snapshot that the continual term compares to."""
        return torch.log_softmax(cache.logits(self.chooser, pattern), -1)

    def _continual(
        self, caches: dict[str, GroupCache], before: dict[str, Tensor], generator: torch.Generator
    ) -> Tensor:
        device = next(self.chooser.parameters()).device
        if not before:
            return torch.zeros((), device=device)
        terms = []
        for pattern, teacher in before.items():
            cache = caches[pattern]
            pick = torch.randint(
                len(cache), (min(self.settings.cache_batch, len(cache)),), generator=generator
            )
            pick = pick.to(device)
            student = torch.log_softmax(cache.logits(self.chooser, pattern, pick), -1)
            terms.append(divergence(teacher[pick], student))
        return torch.stack(terms).mean()

    def _heldout_error(
        self, linears: Sequence[LinearContext], heldout: Sequence[Float[Tensor, "_ _"] | None]
    ) -> float | None:
        if any(gram is None for gram in heldout):
            return None
        errors = [
            relative_error(linear.weight, linear.weight * self.chooser.hard_mask(linear), gram)
            for linear, gram in zip(linears, heldout, strict=True)
            if gram is not None
        ]
        return sum(errors) / len(errors)

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.chooser.state_dict().items()}
