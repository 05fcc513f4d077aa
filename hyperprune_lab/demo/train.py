"""Train the embedded model: a 9 M Llama with outlier channels, on the story world and real text.

Knows nothing about how the tokens were made or how the model will be pruned; it reads packed tokens and
writes a Hugging Face folder.

    python -m hyperprune_lab.demo.train --data DIR --out DIR --tokens 400e6 --minutes 6 --compile

The run ends at ``--tokens`` or ``--minutes``, whichever comes first, and the schedule (warm-up, constant,
linear decay to zero over the last 30 %) follows that progress. Outlier recipe: see ``outliers.plant``; the
planted gains stay as planted with ``--freeze-gains``. A bf16 copy is saved every minute, so a run that is
cut leaves a model.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from hyperprune_lab.demo.corpus import STORY_WORLD, read_tokens
from hyperprune_lab.demo.outliers import mean_loss, plant
from hyperprune_lab.errors import UserError

WARMUP_STEPS, DECAY = 100, 0.30
# The end token has id 0 in the project's tokenizer.
END_ID = 0


@dataclass(frozen=True)
class ModelShape:
    """Widths of the Llama; every width that is pruned along is divisible by 16."""

    vocabulary: int = 4096
    hidden: int = 288
    layers: int = 8
    heads: int = 6
    intermediate: int = 768
    context: int = 256


TINY = ModelShape(hidden=48, layers=2, heads=3, intermediate=96, context=64)


@dataclass(frozen=True)
class TrainConfig:
    """One training run; ``tokens`` and ``minutes`` bound it; ``outlier_channels`` 0: an ordinary model."""

    tokens: float = 300e6
    minutes: float = 6.0
    seed: int = 0
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    story_share: float = 0.65
    outlier_channels: int = 3
    outlier_scale: float = 30.0
    freeze_gains: bool = True
    compile: bool = False


class TokenSampler:
    """Draws windows at random offsets; all training tokens live on the device.

    A window comes from the story world with probability ``story_share``, else from the real text, source by
    source in proportion to its tokens.
    """

    def __init__(self, folder: Path, story_share: float, device: torch.device, seed: int) -> None:
        files = sorted((folder / "train").glob("*.xz"))
        if not any(f.stem == STORY_WORLD for f in files) or len(files) < 2:
            raise UserError(
                f"{folder}/train lacks token files; make them with `python -m hyperprune_lab.demo.corpus`"
            )
        parts = [torch.from_numpy(read_tokens(f).astype("int16")) for f in files]
        sizes = torch.tensor([part.numel() for part in parts], dtype=torch.float64)
        story = torch.tensor([f.stem == STORY_WORLD for f in files])
        real = sizes * ~story
        self.share = torch.where(story, story_share, (1 - story_share) * real / real.sum()).float().to(device)
        self.lengths = sizes.long().to(device)
        self.starts = (sizes.cumsum(0) - sizes).long().to(device)
        self.tokens = torch.cat(parts).to(device)
        self.names = [f.stem for f in files]
        self.generator = torch.Generator(device).manual_seed(seed)

    def draw(self, batch: int, window: int) -> Int[Tensor, "batch window"]:
        """``batch`` windows of ``window`` consecutive tokens."""
        source = torch.multinomial(self.share, batch, replacement=True, generator=self.generator)
        at = torch.rand(batch, generator=self.generator, device=self.tokens.device, dtype=torch.float64)
        offset = (at * (self.lengths[source] - window)).long() + self.starts[source]
        span = torch.arange(window, device=self.tokens.device)
        # int16 holds any vocabulary up to 32768 without wrapping.
        return self.tokens[offset[:, None] + span].long()

    def epochs(self, tokens: float) -> dict[str, float]:
        """How often each source has been seen after ``tokens`` drawn tokens."""
        seen = (self.share * tokens / self.lengths).tolist()
        return dict(zip(self.names, seen, strict=True))


def load_held_out(
    folder: Path, window: int, most: int, device: torch.device
) -> dict[str, Int[Tensor, "w window"]]:
    """Per domain, up to ``most`` non-overlapping windows spread over the held-out tokens."""
    domains = {}
    for file in sorted((folder / "heldout").glob("*.xz")):
        ids = torch.from_numpy(read_tokens(file).astype("int64"))
        count = ids.numel() // window
        if count:
            windows = ids[: count * window].view(count, window)
            domains[file.stem] = windows[torch.linspace(0, count - 1, min(most, count)).long()].to(device)
    return domains


def build_model(shape: ModelShape, config: TrainConfig) -> tuple[LlamaForCausalLM, list[int]]:
    """A fresh fp32 model, residual outputs scaled by 1/sqrt(2L), and the seeded planted channels."""
    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            intermediate_size=shape.intermediate,
            max_position_embeddings=shape.context,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            use_cache=False,
            bos_token_id=END_ID,
            eos_token_id=END_ID,
        )
    )
    with torch.no_grad():
        for layer in model.model.layers:
            for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
                linear.weight /= math.sqrt(2 * shape.layers)
    channels = sorted(torch.randperm(shape.hidden)[: config.outlier_channels].tolist())
    if channels:
        plant(model, channels, config.outlier_scale)
    return model, channels


def make_optimizer(model: nn.Module, config: TrainConfig, fused: bool) -> torch.optim.AdamW:
    """AdamW; decay on matrices only, none on norms and gains."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    gains = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), fused=fused)


def block_gains(model: LlamaForCausalLM) -> list[nn.Parameter]:
    """The gains of every block's two norms."""
    return [
        n.weight
        for layer in model.model.layers
        for n in (layer.input_layernorm, layer.post_attention_layernorm)
    ]


def rate_at(step: int, progress: float) -> float:
    """Share of the peak learning rate: warm-up, constant, linear decay to zero at ``progress`` 1.

    The warm-up counts steps, not progress, because compiling spends time before the first step.
    """
    return max(0.0, min(1.0, (step + 1) / WARMUP_STEPS, (1.0 - progress) / DECAY))


def make_loss(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Mean next-token loss of a batch of windows, under bf16 autocast on a GPU."""
    cuda = device.type == "cuda"

    def loss_of(ids: Int[Tensor, "batch window"]) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext():
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())

    return loss_of


def try_compile(
    model: nn.Module, device: torch.device, sample: Tensor
) -> tuple[Callable[[Tensor], Tensor], bool]:
    """(loss, whether compiled): ``torch.compile`` where a trial step works, else the plain loss."""
    plain = make_loss(model, device)
    started = time.monotonic()
    try:
        compiled = torch.compile(make_loss(model, device), dynamic=False)
        loss, expected = compiled(sample), plain(sample).item()
        loss.backward()
        if not abs(loss.item() - expected) < 0.05:
            raise RuntimeError(f"compiled loss {loss.item():.4f} differs from {expected:.4f}")
    except Exception as error:  # any failure of an optional accelerator has the same remedy
        print(
            f"torch.compile failed, going on without it: {type(error).__name__}: {str(error)[:300]}",
            flush=True,
        )
        torch._dynamo.reset()
        return plain, False
    finally:
        model.zero_grad(set_to_none=True)
    print(f"compiled in {time.monotonic() - started:.0f} s", flush=True)
    return compiled, True


def save(model: LlamaForCausalLM, out: Path, report: dict[str, Any]) -> LlamaForCausalLM:
    """Write a bf16 copy and ``training.json`` into ``out``, each file atomically; returns the bf16 copy."""
    rounded = copy.deepcopy(model).bfloat16().eval()
    rounded.config.use_cache = True
    rounded.generation_config = GenerationConfig(
        bos_token_id=END_ID, eos_token_id=END_ID, pad_token_id=END_ID
    )
    scratch = out / "saving"
    rounded.save_pretrained(str(scratch))
    (scratch / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for file in scratch.iterdir():
        file.chmod(0o644)
        os.replace(file, out / file.name)
    shutil.rmtree(scratch)
    return rounded


def measure_domains(model: nn.Module, domains: dict[str, Tensor], device: torch.device) -> dict[str, float]:
    """Held-out loss (nats/token) per domain."""
    with torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext():
        return {name: mean_loss(model, ids, batch=128) for name, ids in domains.items()}


def train(data: Path, out: Path, shape: ModelShape, config: TrainConfig) -> dict[str, Any]:
    """Train, save and measure; returns the report that is also ``out/training.json``."""
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    out.mkdir(parents=True, exist_ok=True)
    manifest = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    sampler = TokenSampler(data, config.story_share, device, config.seed)
    domains = load_held_out(data, shape.context + 1, 200, device)
    model, channels = build_model(shape, config)
    nn.Module.to(model, device).train()
    report: dict[str, Any] = {
        "shape": asdict(shape),
        "config": asdict(config),
        "parameters": sum(p.numel() for p in model.parameters()),
        "outlier_channels": channels,
        "hardware": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or "cpu",
        "torch": torch.__version__,
        "corpus": manifest,
        "history": [],
        "finished": False,
    }
    loss_of, compiled = make_loss(model, device), False
    if config.compile:
        loss_of, compiled = try_compile(model, device, sampler.draw(config.batch, shape.context + 1))
    report["compiled"] = compiled
    optimizer = make_optimizer(model, config, fused=device.type == "cuda")
    gains, frozen = block_gains(model), torch.tensor(channels, device=device, dtype=torch.long)
    limit, step_tokens = config.minutes * 60.0, config.batch * shape.context
    recent: list[Tensor] = []
    step, marked, saved = 0, (0, time.monotonic()), time.monotonic()
    print(
        f"{report['parameters']:,} parameters on {report['hardware']}; outlier channels {channels}",
        flush=True,
    )

    def progress() -> float:
        return max((time.monotonic() - started) / limit, step * step_tokens / config.tokens)

    def note(heldout: dict[str, float]) -> None:
        nonlocal recent, marked
        mean = torch.stack(recent).mean().item()
        if not math.isfinite(mean):
            raise UserError(
                f"the loss is {mean} at step {step}; lower the learning rate. The last checkpoint is in {out}"
            )
        rate = (step - marked[0]) * step_tokens / (time.monotonic() - marked[1])
        seconds = time.monotonic() - started
        report["history"].append(
            {"step": step, "loss": mean, "seconds": seconds} | ({"heldout": heldout} if heldout else {})
        )
        print(
            f"[{out.name}] step {step} progress {progress():.3f} loss {mean:.4f} "
            f"rate {rate_at(step, progress()):.3f} "
            f"{rate / 1e3:.0f} k tokens/s {seconds:.0f} s"
            + "".join(f" {k}={v:.3f}" for k, v in heldout.items()),
            flush=True,
        )
        recent, marked = [], (step, time.monotonic())

    while progress() < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate_at(step, progress())
        loss = loss_of(sampler.draw(config.batch, shape.context + 1))
        loss.backward()
        if config.freeze_gains and channels:
            for gain in gains:
                if gain.grad is not None:
                    gain.grad.index_fill_(0, frozen, 0.0)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        recent.append(loss.detach())
        step += 1
        if step % 20 == 0 and device.type == "cuda":
            torch.cuda.synchronize()  # else the clock runs ahead of the device and the budget is missed
        if time.monotonic() - saved > 60.0:
            model.eval()
            note(measure_domains(model, domains, device))
            save(model, out, report | {"steps": step, "tokens": step * step_tokens})
            model.train()
            saved = time.monotonic()
            marked = (step, saved)
        elif step == 50 or step % 200 == 0:
            note({})
    report |= {
        "steps": step,
        "tokens": step * step_tokens,
        "seconds": time.monotonic() - started,
        "finished": True,
    }
    report["epochs"] = sampler.epochs(step * step_tokens)
    model.eval()
    rounded = save(model, out, report)
    report["heldout_loss"] = {name: mean_loss(rounded, ids, batch=128) for name, ids in domains.items()}
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(
        f"[{out.name}] done: {step} steps, {report['tokens'] / 1e6:.1f} M tokens, {report['seconds']:.0f} s",
        flush=True,
    )
    print(f"[{out.name}] " + " ".join(f"{k}={v:.3f}" for k, v in report["heldout_loss"].items()), flush=True)
    return report


def main() -> None:
    """Command line of one training run; start several at once to train variants side by side on one GPU."""
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("--data", type=Path, required=True, help="folder made by hyperprune_lab.demo.corpus")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--tokens", type=float, default=TrainConfig.tokens, help="end after so many tokens")
    parser.add_argument(
        "--minutes", type=float, default=TrainConfig.minutes, help="end after so many minutes"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=TrainConfig.batch, help="windows per step")
    parser.add_argument("--learning-rate", type=float, default=TrainConfig.learning_rate)
    parser.add_argument("--story-share", type=float, default=TrainConfig.story_share)
    parser.add_argument("--outlier-channels", type=int, default=TrainConfig.outlier_channels)
    parser.add_argument("--outlier-scale", type=float, default=TrainConfig.outlier_scale)
    parser.add_argument("--freeze-gains", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action="store_true", help="use torch.compile where it works")
    parser.add_argument("--tiny", action="store_true", help="a two-block model, to try the script on a CPU")
    options = vars(parser.parse_args())
    data, out = options.pop("data"), options.pop("out")
    shape = TINY if options.pop("tiny") else ModelShape()
    train(data, out, shape, TrainConfig(**options))


if __name__ == "__main__":
    main()
