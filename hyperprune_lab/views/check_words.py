"""The run to come and the look before it, in words: the same ones in text, picture and browser.

Knows nothing about where the facts come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.views.theme import (
    NONE,
    fmt_bytes,
    fmt_count,
    fmt_seconds,
    fmt_share,
    method_style,
    shown_name,
)

if TYPE_CHECKING:
    from hyperprune_lab.views.run_control import Form, Looked, Work

MOST_EXCLUDED = 8
_WORK = {
    "checking": "Looking before the run",
    "starting": "Starting a process for the run",
    "resuming": "Resuming",
}


class Fact(NamedTuple):
    """One line of a check or of a run: ``share`` from 0 to 1 is drawn as a bar, ``remark`` is told quietly."""

    label: str
    value: str
    share: float | None = None
    remark: str = ""


def pattern_words(pattern: str | None) -> str:
    """``keeps 2 of every 4 (2:4)``; what is no pattern stays as it is."""
    try:
        return NMPattern.parse(pattern or "").describe()
    except UserError:
        return shown_name(pattern or NONE, 40)


def span(low: float, high: float) -> str:
    """A range of seconds; ``about`` where both ends read the same."""
    ends = fmt_seconds(low), fmt_seconds(high)
    return f"about {ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def form_words(form: Form) -> str:
    """The run to come in one line."""
    values = {one.name: one.value or one.default for one in form.fields}
    if not values:
        return NONE
    method = method_style(values["method"]).label
    return (
        f"{shown_name(values['model'])} · {pattern_words(values['pattern'])} · {method} · {values['budget']}"
    )


def form_lines(form: Form) -> list[str]:
    """What was changed, which modules are treated otherwise, and what is wrong."""
    lines = [
        f"Changed: {one.label} {shown_name(one.value)} (else {one.default or NONE})" for one in form.changed
    ]
    lines += [f"Otherwise: {shown_name(rule.label)}: {rule.wanted}" for rule in form.rules]
    lines += [f"To mend, {one.label}: {one.fault}" for one in form.fields if one.fault]
    lines += [f"To mend, {name}: {fault}" for name, fault in form.faults]
    lines += [form.unable] if form.unable else []
    return lines


def work_words(work: Work) -> str:
    """What is being done."""
    subject = f" {shown_name(work.subject)}" if work.subject else ""
    return f"{_WORK.get(work.kind, work.kind)}{subject} …"


# -- the look before the run


def check_headline(looked: Looked) -> str:
    """What came out, in one sentence."""
    match looked.state:
        case "asking":
            return f"Looking before the run: {looked.text or 'starting'} …"
        case "failed":
            return f"The look before the run failed: {looked.text}"
    if not looked.fresh:
        return "Checked with other settings: check again."
    blockers = len((looked.answer or {}).get("blockers", ()))
    if not blockers:
        return "This run can begin."
    return f"This run cannot begin like this: {blockers} {'thing' if blockers == 1 else 'things'} to mend."


def check_facts(answer: Mapping[str, Any]) -> list[Fact]:
    """What the run will prune and take; parts that could not be looked at are left out."""
    facts = []
    if covered := answer.get("coverage"):
        pruned, total = covered["pruned_parameters"], covered["total_parameters"]
        value = f"{fmt_share(covered['share'])} of {fmt_count(total)} parameters"
        linears = f"{covered['linears']} linears with {fmt_count(pruned)}"
        facts.append(Fact("Will be pruned", value, covered["share"], linears))
    if seconds := answer.get("seconds"):
        basis = "as a run like it took" if seconds["like"] else "calculated from this machine's speed"
        facts.append(Fact("Time", span(seconds["low"], seconds["high"]), None, basis))
    if memory := answer.get("memory"):
        needed, free = memory["needed_bytes"], memory["available_bytes"]
        share = min(1.0, needed / free) if free else None
        told = f"about {fmt_bytes(needed)} of {fmt_bytes(free)} free on {memory['device']}"
        facts.append(Fact("Memory", told, share, _largest(memory["parts"])))
    if disk := answer.get("disk"):
        needed, free = disk["needed_bytes"], disk["available_bytes"]
        share = min(1.0, needed / free) if free else None
        facts.append(Fact("Disk", f"about {fmt_bytes(needed)} of {fmt_bytes(free)} free", share))
    if data := answer.get("data"):
        read = f"{data['samples']} windows of {data['window']} tokens"
        facts.append(Fact("Reads", read, None, f"{data['source']}; {data['heldout']} held out"))
    if model := answer.get("model"):
        size = f"{fmt_count(model['parameters'])} parameters in {model['blocks']} blocks"
        download = "" if model["downloaded"] else ", to be downloaded first"
        name = f"{shown_name(model['architecture'])}, {model['dtype']}, context {model['context']}{download}"
        facts.append(Fact("Model", size, None, name))
    return facts


def _largest(parts: Mapping[str, float]) -> str:
    """What takes the most memory."""
    first = sorted(parts.items(), key=lambda part: -part[1])[:2]
    return "mostly " + " and ".join(f"{name} {fmt_bytes(size)}" for name, size in first) if first else ""


def excluded(answer: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What stays as it is: name, size, reason; out of reach first, then the largest."""
    rows = (answer.get("coverage") or {}).get("excluded", ())
    ordered = sorted(rows, key=lambda row: (row["status"] != "not covered", -row["parameters"]))
    return [
        (
            shown_name(row["name"]) + (f" ×{row['times']}" if row["times"] > 1 else ""),
            fmt_count(row["parameters"]),
            ("out of reach: " if row["status"] == "not covered" else "") + shown_name(row["reason"], 120),
        )
        for row in ordered
    ]


def by_stage(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How long each stage will take."""
    stages = (answer.get("seconds") or {}).get("stages", {})
    return [(str(stage), span(low, high)) for stage, (low, high) in stages.items()]


def check_json(looked: Looked) -> dict[str, Any]:
    """The look before the run, for the browser."""
    answer = looked.answer or {}
    left = excluded(answer)
    return {
        "state": looked.state,
        "fresh": looked.fresh,
        "ok": looked.ok,
        "headline": check_headline(looked),
        "share": looked.share,
        "blockers": _findings(answer, "blockers"),
        "warnings": _findings(answer, "warnings"),
        "facts": [list(fact) for fact in check_facts(answer)],
        "left": [list(row) for row in left[:MOST_EXCLUDED]],
        "more": max(0, len(left) - MOST_EXCLUDED),
        "stages": [list(row) for row in by_stage(answer)],
    }


def check_lines(looked: Looked) -> list[str]:
    """The look before the run, a line each."""
    answer = looked.answer or {}
    lines = [f"Check: {check_headline(looked)}"]
    lines += [f"  {fact.label.lower()}: {fact.value}{bracketed(fact.remark)}" for fact in check_facts(answer)]
    if stages := by_stage(answer):
        lines.append(f"  time by stage: {', '.join(' '.join(row) for row in stages)}")
    left = excluded(answer)
    lines += [f"  stays as it is: {name}, {size}: {reason}" for name, size, reason in left[:MOST_EXCLUDED]]
    if len(left) > MOST_EXCLUDED:
        lines.append(f"  and {len(left) - MOST_EXCLUDED} more")
    # What has to be mended stands at its field.
    return lines + [f"  mind, {where}: {message}" for where, message in _findings(answer, "warnings")]


def _findings(answer: Mapping[str, Any], kind: str) -> list[list[str]]:
    return [[str(one["field"]), shown_name(str(one["message"]), 600)] for one in answer.get(kind, ())]


def bracketed(text: str) -> str:
    return f" ({text})" if text else ""
