"""The run on the desk and the shelf of runs, in words: the same ones in text, picture and browser.

Knows nothing about where the facts come from.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hyperprune_lab.analysis.progress import Kept, Progress, Quality
from hyperprune_lab.shelf import ShelfEntry
from hyperprune_lab.views.check_words import Fact, bracketed, pattern_words, span
from hyperprune_lab.views.theme import (
    NONE,
    NOT_YET,
    fmt_bytes,
    fmt_error,
    fmt_number,
    fmt_ratio,
    fmt_seconds,
    method_style,
    shown_name,
)

if TYPE_CHECKING:
    from hyperprune_lab.views.run_control import Shown

STAGE_WORDS = {"done": "done", "now": "at work", "to come": "to come"}


def title(entry: ShelfEntry) -> str:
    """What a run is, in one line."""
    method = method_style(entry.method).label if entry.method else NONE
    preset = f" ({entry.preset})" if entry.preset not in (None, "lab") else ""
    parts = [method + preset, pattern_words(entry.pattern), shown_name(entry.model or NONE, 60)]
    return " · ".join([*parts, *([entry.budget] if entry.budget else [])])


def place(progress: Progress) -> str:
    """Where the run stands: ``layers: block 2 (3 of 8), step 1 of 3``."""
    if progress.stage is None:
        return "the look at the dense model" if not progress.blocks else "between two stages"
    told = []
    if progress.block is not None:
        told.append(f"block {progress.block} ({progress.block + 1} of {progress.blocks})")
    elif progress.blocks_done and progress.blocks:
        told.append(f"{len(progress.blocks_done)} of {progress.blocks} blocks done")
    if progress.steps:
        told.append(f"step {progress.step} of {progress.steps}")
    return f"{progress.stage}: {', '.join(told)}" if told else progress.stage


def quality_words(quality: Quality) -> str:
    """``mean error 0.056, Wanda's 0.074 (0.75×)``."""
    if quality.error is None:
        return NOT_YET
    text = fmt_error(quality.error)
    if quality.error_wanda is not None:
        text += f", Wanda {fmt_error(quality.error_wanda)} ({fmt_ratio(quality.ratio)})"
    return text


def time_left(shown: Shown) -> str:
    """What is left, as a range."""
    pace = shown.pace
    if pace is None:
        return NOT_YET
    if pace.left is not None:
        return span(*pace.left)
    if pace.stage_left is not None:
        return f"{span(*pace.stage_left)} of this stage"
    return NOT_YET


def perplexities(progress: Progress) -> str:
    """``9.15 dense, 27.0 Wanda, 20.4 mask-only, 19.7 compensated``; empty where nothing was evaluated."""
    named = (
        ("dense", "dense"),
        ("wanda", "Wanda"),
        ("mask-only", "mask-only"),
        ("compensated", "compensated"),
    )
    found = [(progress.perplexity(state), label) for state, label in named]
    return ", ".join(f"{fmt_number(value)} {label}" for value, label in found if value is not None)


def kept_words(kept: Kept | None) -> str:
    """What a stop leaves behind, as a sentence."""
    if kept is None:
        return "Nothing is kept yet: resumed, it would begin again."
    of = f" of {kept.of}" if kept.of else ""
    return (
        f"Kept is everything up to {kept.count}{of} {kept.unit} of {kept.stage}; Resume goes on from there."
    )


def steering(shown: Shown) -> str:
    """What pause and stop will do, or are doing."""
    entry, pace = shown.entry, shown.pace
    soon = "after this step"
    if pace is not None and pace.heard_in is not None:
        soon += f", in about {fmt_seconds(max(0.1, pace.heard_in))}"
    keeps = kept_words(shown.progress.kept)
    if not entry.running or shown.replayed:
        return ""
    if shown.follows is not None:
        return f"Steered by {shown.follows}; you follow."
    if not entry.owner_here:
        return f"It runs on {entry.owner_host}: steer it there."
    if entry.asked == "stop":
        return f"Stopping {soon}. {keeps}"
    if entry.state == "paused":
        waits = "Going on …" if entry.asked == "run" else "It waits; nothing is lost."
        holds = f" Its memory on {entry.holds_gpu} stays taken." if entry.holds_gpu else ""
        return f"{waits}{holds} Stop ends it: {_lower(keeps)}"
    if entry.asked == "pause":
        return f"Pausing {soon}."
    return f"Pause and Stop are heard {soon}. {keeps}"


def shown_facts(shown: Shown) -> list[Fact]:
    """The numbers of the run on the desk."""
    progress, quality = shown.progress, shown.quality
    facts = []
    if shown.entry.running and not shown.replayed:
        facts.append(Fact("Time left", time_left(shown)))
    spent = "Running for" if shown.at_work else "Ran for"
    facts.append(Fact(spent, fmt_seconds(progress.seconds + shown.waited)))
    share = f"{quality.decided} of {quality.modules} modules"
    so_far = "Mean error so far" if shown.at_work else "Mean error"
    facts.append(Fact(so_far, quality_words(quality), None, share))
    facts.append(Fact("Peak memory", fmt_bytes(progress.peak_memory_bytes), None, shown.entry.device or ""))
    if told := perplexities(progress):
        facts.append(Fact("Perplexity", told))
    return facts


def shown_json(shown: Shown) -> dict[str, Any]:
    """The run on the desk, for the browser."""
    entry, progress = shown.entry, shown.progress
    return {
        "name": entry.name,
        "path": str(entry.path),
        "title": title(entry),
        "state": entry.state,
        "example": shown.example,
        "running": entry.running,
        "resumable": entry.resumable and not shown.example,
        "mine": shown.follows is None and entry.owner_here,
        "follows": shown.follows,
        "asked": entry.asked,
        "replayed": shown.replayed,
        "working": shown.at_work,
        "stages": [[part.name, part.state, fmt_seconds(part.seconds)] for part in progress.stages],
        "stage": progress.stage,
        "block": progress.block,
        "blocks": progress.blocks,
        "done": list(progress.blocks_done),
        "step": progress.step,
        "steps": progress.steps,
        "brief": place(replace(progress, steps=0)) if shown.at_work else "",
        "place": place(progress) if shown.at_work else "",
        "seconds": progress.seconds + shown.waited,
        "left": time_left(shown) if entry.running else "",
        "facts": [list(fact) for fact in shown_facts(shown)],
        "steering": steering(shown),
        "ended": ended(shown),
        "notice": progress.notice,
    }


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def ended(shown: Shown) -> str:
    """How a run that is at rest came to be so, and what can be done."""
    entry, progress = shown.entry, shown.progress
    if shown.replayed:
        return ""
    match entry.state:
        case "interrupted":
            why = "Stopped on request" if progress.words else "Its process ended without a word"
            return (
                f"{why}, at {place(progress)}. Kept: {kept_words(progress.kept)}; Resume goes on from there."
            )
        case "failed":
            return f"Failed: {shown_name(progress.words or entry.error or '', 600)}"
    return ""


def shown_lines(shown: Shown, seq: int) -> list[str]:
    """The run on the desk, a line each."""
    entry = shown.entry
    moment = f", replay of event {seq}" if shown.replayed else f", event {seq}"
    lines = [f"On the desk: {shown_name(entry.name)} ({entry.state}{moment}): {title(entry)}"]
    parts = [f"{part.name} {STAGE_WORDS[part.state]}" for part in shown.progress.stages]
    if parts and shown.at_work:
        lines.append(f"  stages: {', '.join(parts)}")
    if shown.at_work:
        lines.append(f"  {place(shown.progress)}")
    lines += [f"  {fact.label.lower()}: {fact.value}{bracketed(fact.remark)}" for fact in shown_facts(shown)]
    lines += [f"  {line}" for line in (ended(shown), steering(shown)) if line]
    if shown.progress.notice:
        lines.append(f"  notice: {shown_name(shown.progress.notice, 300)}")
    return lines


# -- the shelf


def counts(shelf: Sequence[ShelfEntry]) -> str:
    """``1 live, 3 finished``."""
    found: Counter[str] = Counter(entry.state for entry in shelf)
    order = ("live", "paused", "interrupted", "failed", "finished", "foreign", "damaged")
    return ", ".join(f"{found[state]} {state}" for state in order if found[state]) or "none yet"


def elsewhere(shelf: Sequence[ShelfEntry], here: Shown | None) -> list[tuple[ShelfEntry, str]]:
    """The runs at work besides the one on the desk, each in a sentence; a GPU that one holds is named."""
    told = []
    for entry in shelf:
        if not entry.running or (here is not None and entry.path == here.entry.path):
            continue
        does = "is paused" if entry.state == "paused" else "is at work"
        holds = f" It holds {entry.holds_gpu}: stop it to free the memory." if entry.holds_gpu else ""
        told.append((entry, f"Another run {does}: {shown_name(entry.name)}, {entry_progress(entry)}.{holds}"))
    return told


def entry_progress(entry: ShelfEntry) -> str:
    """How far a run came."""
    if entry.state in ("foreign", "damaged"):
        return shown_name(entry.error or NONE, 300)
    if entry.state == "finished":
        return f"in {fmt_seconds(entry.seconds)}"
    if entry.state == "failed":
        return shown_name(entry.error or NONE, 300)
    at = entry.stage or "before its first stage"
    return f"{at}, {entry.blocks_done} of {entry.blocks} blocks" if entry.stage and entry.blocks else at


def entry_quality(entry: ShelfEntry) -> str:
    """Perplexities: dense, then with the masks, then compensated."""
    told = [
        f"{fmt_number(value)} {label}"
        for value, label in (
            (entry.dense_ppl, "dense"),
            (entry.mask_only_ppl, "mask-only"),
            (entry.compensated_ppl, "compensated"),
        )
        if value is not None
    ]
    return " → ".join(told)


def when(moment: float | None) -> str:
    """A moment in local time, to the minute."""
    return NONE if moment is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def entry_words(entry: ShelfEntry) -> str:
    """A run on the shelf in one line."""
    what = f" {title(entry)};" if entry.method else ""
    quality = entry_quality(entry)
    tail = f"; perplexity {quality}" if quality else ""
    return f"{shown_name(entry.name)}: {entry.state};{what} {entry_progress(entry)}{tail}"


def entry_json(entry: ShelfEntry) -> dict[str, Any]:
    """A run on the shelf, for the browser."""
    return {
        "path": str(entry.path),
        "name": entry.name,
        "state": entry.state,
        "what": title(entry) if entry.method else "",
        "progress": entry_progress(entry),
        "quality": entry_quality(entry),
        "when": when(entry.started),
        "running": entry.running,
        "resumable": entry.resumable,
        "readable": entry.state not in ("foreign", "damaged"),
    }
