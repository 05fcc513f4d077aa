"""What a run remembers of earlier layers: a cache that trains against drift, a reservoir that measures it.

The two are disjoint: no row of the reservoir gives groups to the cache.
Knows nothing about optimizers or records.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hyperprune_lab.hypernet.chooser import Chooser
from hyperprune_lab.hypernet.features import LinearContext, group_features
from hyperprune_lab.hypernet.objective import divergence


@dataclass
class GroupCache:
    """A bounded sample of earlier layers' groups: what the network saw, and which layer it was told.

    ``features[n, F]``, ``prior[n, outputs]``, ``block[n]`` and ``component[n]``. Every linear contributes the same
    number of groups, so the cache grows to ``per_linear`` times the number of linears and no further.
    """

    per_linear: int
    features: Tensor | None = None
    prior: Tensor | None = None
    block: Tensor | None = None
    component: Tensor | None = None

    @torch.no_grad()
    def add(
        self, chooser: Chooser, linear: LinearContext, rows: Int[Tensor, " n"], generator: torch.Generator
    ) -> None:
        """Remember ``per_linear`` random groups among ``rows`` of a linear whose mask has just been decided."""
        count = min(self.per_linear, len(rows) * linear.groups)
        if not count:
            return
        device = linear.weight.device
        row = rows[torch.randint(len(rows), (count,), generator=generator)].to(device)
        group = torch.randint(linear.groups, (count,), generator=generator).to(device)
        pick = torch.arange(count, device=device)
        features = group_features(chooser.settings.features, linear, row)[pick, group]
        prior = chooser.prior(linear, row)[pick, group]
        here = {
            "features": features,
            "prior": prior,
            "block": torch.full((count,), linear.block, device=row.device),
            "component": torch.full((count,), chooser.components.index(linear.component), device=row.device),
        }
        for name, value in here.items():
            old = getattr(self, name)
            setattr(self, name, value if old is None else torch.cat([old, value]))

    def __len__(self) -> int:
        return 0 if self.features is None else len(self.features)

    def logits(
        self, chooser: Chooser, pattern: str, pick: Tensor | slice = slice(None)
    ) -> Float[Tensor, "n outputs"]:
        """What the network would answer now for the cached groups ``pick``."""
        assert self.features is not None
        assert self.prior is not None
        assert self.block is not None
        assert self.component is not None
        network = chooser.network_of(pattern)
        return self.prior[pick] + network(self.features[pick], self.block[pick], self.component[pick])

    def tensors(self) -> dict[str, Tensor]:
        """Everything cached, for a checkpoint."""
        return {
            f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), Tensor)
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what :meth:`tensors` gave."""
        for name, value in tensors.items():
            setattr(self, name, value)


@dataclass(frozen=True)
class Keepsake:
    """Full rows of one linear as they stood when it was decided."""

    linear: str
    pattern: str
    block: int
    component: int
    features: Float[Tensor, "rows groups features"]
    prior: Float[Tensor, "rows groups outputs"]
    log_probabilities: Float[Tensor, "rows groups outputs"]
    ids: Int[Tensor, "rows groups"]
    weight: Float[Tensor, "rows in"]
    gram: Float[Tensor, "in in"]
    mask: Bool[Tensor, "rows in"]


@dataclass(frozen=True)
class Recall:
    """How one earlier linear is remembered: see :meth:`Reservoir.ask`."""

    changed: float
    divergence: float
    error_rel: float
    error_rel_at_decision: float


class Reservoir:
    """A fixed sample of full rows per decided linear; the network is asked about them again and again."""

    def __init__(self, groups_per_linear: int) -> None:
        self.groups_per_linear = groups_per_linear
        self.keepsakes: list[Keepsake] = []

    @torch.no_grad()
    def add(
        self, chooser: Chooser, linear: LinearContext, generator: torch.Generator
    ) -> Int[Tensor, " others"]:
        """Keep some full rows, at most half, of a linear as decided now by the network; return the other rows.

        Only rows that the network decides are kept or returned.
        """
        decided = chooser.decided_rows(linear)
        count = max(1, min(self.groups_per_linear // linear.groups, decided // 2))
        order = torch.randperm(decided, generator=generator)
        rows = order[:count].sort().values.to(linear.weight.device)
        head = chooser.head(linear)
        logits = chooser.logits(linear, rows)
        self.keepsakes.append(
            Keepsake(
                linear=linear.name,
                pattern=str(linear.pattern),
                block=linear.block,
                component=chooser.components.index(linear.component),
                features=group_features(chooser.settings.features, linear, rows),
                prior=chooser.prior(linear, rows),
                log_probabilities=head.log_probabilities(logits),
                ids=head.hard_ids(logits),
                weight=linear.weight[rows],
                gram=linear.gram,
                mask=head.hard_mask(logits),
            )
        )
        return order[count:]

    @torch.no_grad()
    def ask(self, chooser: Chooser, keepsake: Keepsake) -> Recall:
        """Share of groups decided differently now, KL(then || now) in nats, and the rows' error then and now."""
        head = chooser.heads[keepsake.pattern]
        network = chooser.network_of(keepsake.pattern)
        logits = keepsake.prior + network(keepsake.features, keepsake.block, keepsake.component)
        changed = (head.hard_ids(logits) != keepsake.ids).float().mean()
        drift = divergence(keepsake.log_probabilities, head.log_probabilities(logits))
        return Recall(
            changed=changed.item(),
            divergence=drift.item(),
            error_rel=_row_error(keepsake, head.hard_mask(logits)),
            error_rel_at_decision=_row_error(keepsake, keepsake.mask),
        )

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Everything kept, under ``prefix/place/block/component/pattern/linear/field``, for a checkpoint.

        The Gram matrix of an input that linears share stands with the first of them; the others name its place.
        """
        out: dict[str, Tensor] = {}
        first: dict[int, int] = {}
        for place, kept in enumerate(self.keepsakes):
            owner = f"{prefix}/{place}/{kept.block}/{kept.component}/{kept.pattern}/{kept.linear}"
            out |= {f"{owner}/{name}": getattr(kept, name) for name in _KEPT}
            shared = first.setdefault(id(kept.gram), place)
            if shared == place:
                out[f"{owner}/gram"] = kept.gram
            else:
                out[f"{owner}/{_GRAM_OF}"] = torch.tensor(shared)
        return out

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what :meth:`tensors` gave, its prefix taken off."""
        found: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            place, block, component, pattern, linear, name = key.split("/", 5)
            entry = found.setdefault(int(place), {"linear": linear, "pattern": pattern})
            entry |= {"block": int(block), "component": int(component), name: value}
        for entry in found.values():
            if _GRAM_OF in entry:
                entry["gram"] = found[int(entry.pop(_GRAM_OF))]["gram"]
        self.keepsakes = [Keepsake(**entry) for _, entry in sorted(found.items())]

    def ask_all(self, chooser: Chooser) -> dict[str, list[float]]:
        """The recall of every earlier block in order, averaged over its linears; one list per quantity."""
        by_block: dict[int, list[Recall]] = {}
        for keepsake in self.keepsakes:
            by_block.setdefault(keepsake.block, []).append(self.ask(chooser, keepsake))
        return {
            field.name: [
                sum(getattr(recall, field.name) for recall in recalls) / len(recalls)
                for _, recalls in sorted(by_block.items())
            ]
            for field in fields(Recall)
        }


_KEPT = ("features", "prior", "log_probabilities", "ids", "weight", "mask")
_GRAM_OF = "gram_of"


def _row_error(keepsake: Keepsake, mask: Bool[Tensor, "rows in"]) -> float:
    removed = keepsake.weight * ~mask
    energy = ((keepsake.weight @ keepsake.gram) * keepsake.weight).sum()
    return (((removed @ keepsake.gram) * removed).sum() / energy.clamp_min(1e-30)).item()
