"""The pictures of notebook 03.

Knows nothing about where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from hyperprune_lab.analysis.embeddings import EmbeddingMap
from hyperprune_lab.teaching.pictures import picture
from hyperprune_lab.views import theme

PALETTE = theme.PALETTES["light"]
_KINDS = {
    "weights": ("weights only", "#7a5cb8", "s"),
    "diagonal": ("weights and diagonal of H", "#8c564b", "D"),
    "context": ("full context", theme.METHODS["hyperprune"].light, "^"),
}


def draws(samples: Mapping[float, Float[np.ndarray, "draws group"]]) -> None:
    """Soft masks of one group, drawn again and again, one strip a temperature."""
    says = "Soft masks of one group, drawn with Gumbel noise. " + " ".join(
        f"At temperature {temperature:g} shares kept lie on average {np.minimum(kept, 1 - kept).mean():.2f} from 0 "
        f"or 1."
        for temperature, kept in samples.items()
    )
    with picture(60 + 80 * len(samples), says) as figure:
        strips = figure.subplots(len(samples), 1, sharex=True)
        for axes, (temperature, kept) in zip(strips, samples.items(), strict=True):
            image = axes.imshow(kept.T, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set(yticks=range(kept.shape[1]), ylabel=f"τ = {temperature:g}")
            axes.set_yticklabels([f"w{place + 1}" for place in range(kept.shape[1])])
        strips[-1].set_xlabel("draw")
        strips[0].set_title(
            "Which of four weights each draw keeps (black: kept, white: pruned, gray: undecided)"
        )
        figure.colorbar(image, ax=list(strips), label="share kept", ticks=[0, 0.5, 1])


def training(logs: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Reconstruction error and entropy over the steps of several trainings."""
    says = "Over training, " + "; ".join(
        f"{_KINDS[kind][0]}: error {log[0]['reconstruction']:.2f} to {log[-1]['reconstruction']:.3f}, entropy "
        f"{log[0]['entropy']:.2f} to {log[-1]['entropy']:.2f}"
        for kind, log in logs.items()
    )
    with picture(300, says) as figure:
        left, right = figure.subplots(1, 2)
        for kind, log in logs.items():
            label, color, _ = _KINDS[kind]
            left.plot([step["reconstruction"] for step in log], color=color, label=label)
            right.plot([step["entropy"] for step in log], color=color, label=label)
        left.set_yscale("log")
        left.set(xlabel="step", yticks=[0.05, 0.1, 0.2, 0.4], ylim=(0.04, 0.45))
        left.set_yticklabels(["0.05", "0.1", "0.2", "0.4"])
        left.minorticks_off()
        left.set_title("expected error of the rows drawn")
        right.set(xlabel="step", ylim=(0, 1.03))
        right.set_title("entropy, share of its maximum")
        left.legend()


def seen(errors: Mapping[str, Mapping[str, float]], references: Mapping[str, Mapping[str, float]]) -> None:
    """Errors of networks that see more and more, between the lines of known methods; one panel a linear."""
    says = "; ".join(
        f"{linear}: "
        + ", ".join(
            f"{theme.method_style(name).label} {error:.3f}" for name, error in references[linear].items()
        )
        + ", "
        + ", ".join(f"{_KINDS[kind][0]} {error:.3f}" for kind, error in errors[linear].items())
        for linear in errors
    )
    with picture(320, says) as figure:
        panels = figure.subplots(1, len(errors))
        for axes, linear in zip(panels, errors, strict=True):
            for name, error in references[linear].items():
                style = theme.method_style(name)
                axes.axhline(error, color=style.light, dashes=style.dash or (1, 0), linewidth=1.2)
                axes.text(2.75, error, f"{style.label} ", va="bottom", color=style.light)
            for place, (kind, error) in enumerate(errors[linear].items()):
                _, color, marker = _KINDS[kind]
                axes.plot(place, error, marker=marker, color=color, markersize=9)
                axes.annotate(
                    f"{error:.3f}",
                    (place, error),
                    xytext=(0, 9),
                    textcoords="offset points",
                    ha="center",
                    color=color,
                )
            axes.set_xticks(range(len(_KINDS)), ["weights", "+ diagonal", "full context"])
            axes.set(
                xlim=(-0.5, 4.1), ylim=(0, 1.15 * max(references[linear].values())), ylabel="relative error"
            )
            axes.set_title(linear)


def map_of_layers(found: EmbeddingMap) -> None:
    """Embeddings of the layers in their plane of most variance, joined by depth."""
    now = found.now
    says = (
        f"Embeddings of {len(now)} {found.kind}s in the plane that shows most of their variance "
        f"({found.explained[0]:.0%} and {found.explained[1]:.0%})."
    )
    with picture(340, says, width_px=640) as figure:
        axes = figure.subplots()
        color = theme.METHODS["hyperprune"].light
        axes.plot(now["x"], now["y"], color=PALETTE.grid)
        axes.plot(now["x"], now["y"], "o", color=color)
        for _, row in now.iterrows():
            axes.annotate(row["label"], (row["x"], row["y"]), xytext=(6, 4), textcoords="offset points")
        axes.set(xlabel=f"{found.explained[0]:.0%} of the variance", ylabel=f"{found.explained[1]:.0%}")
        axes.set_title(f"Where the network puts its {found.kind}s")


def stages(errors: Mapping[str, float], perplexities: Mapping[str, float]) -> None:
    """Error of the layers against perplexity of the model, stage by stage."""
    says = "; ".join(
        f"{name}: mean error of the layers {errors[name]:.4f}, perplexity {perplexities[name]:.1f}"
        for name in errors
    )
    with picture(320, says, width_px=760) as figure:
        axes = figure.subplots()
        color = theme.METHODS["hyperprune"].light
        x, y = list(errors.values()), list(perplexities.values())
        axes.plot(x, y, color=PALETTE.grid)
        for name in errors:
            place = errors[name], perplexities[name]
            axes.plot(*place, "o", color=color, markersize=8)
            axes.annotate(name, place, xytext=(0, 10), textcoords="offset points", ha="center")
        axes.margins(0.3)
        axes.set(xlabel="mean relative error of the layers", ylabel="perplexity of the model")
        axes.set_title("To the right is worse for layers, down is better for the model")
