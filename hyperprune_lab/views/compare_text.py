"""The comparison in words: the same numbers as the table, the map and the colored text.

Knows nothing about pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hyperprune_lab.analysis.tokenloss import DENSE, SAME_NATS, Difference, TokenDifference
from hyperprune_lab.views import theme
from hyperprune_lab.views.compare import CompareData, Row
from hyperprune_lab.views.compare_words import context

TOKENS_TOLD = 6


def tell(data: CompareData) -> str:
    """All of it."""
    lines = [headline(data), "", *_table(data), "", *_masks(data), "", *_words(data), "", *_texts(data)]
    return "\n".join(lines).rstrip()


def headline(data: CompareData) -> str:
    """One sentence on the two that are held against each other."""
    ours, theirs = _named(data.focus), named_other(data)
    words = data.words
    if words.difference is None:
        return f"{ours} against {theirs}: {words.problem}"
    mean = words.difference
    sure = mean.low is None or mean.high is None or mean.low > 0 or mean.high < 0
    if not sure:
        verdict = "no difference that this text could tell"
    else:
        verdict = f"{theme.fmt_number(abs(mean.nats))} nats a token {'worse' if mean.nats > 0 else 'better'}"
    said = f"{ours} against {theirs}, {data.state}: {verdict}{_interval(mean)}{_unlike(data)}."
    return f"{said} {theme.fmt_share(mean.worse)} of tokens got worse, {theme.fmt_share(mean.better)} better."


def _unlike(data: CompareData) -> str:
    """Fields because of which the two have no perplexity in common, although both read these tokens."""
    if data.against == DENSE:
        return ""
    one, other = data.row(data.focus).group, data.row(data.against).group
    fields = {field.field for number in (one, other) for field in data.groups[number].differs}
    return f", with other {' and '.join(sorted(fields))}" if one != other else ""


def named_other(data: CompareData) -> str:
    """What the words are held against."""
    return "its dense model" if data.against == DENSE else _named(data.against)


def map_other(data: CompareData) -> str:
    """What the masks are held against."""
    against_run = data.reference not in (None, data.focus)
    return _named(str(data.reference)) if against_run else "Wanda's mask on the same input"


def group_line(data: CompareData, number: int) -> str:
    """What the perplexities of one part of the table rest on, and how they are unlike those of the first."""
    group = data.groups[number]
    first = data.rows_of(number)[0].standing
    window, tokens = group.protocol.get("evaluation window"), group.protocol.get("evaluation tokens")
    told = [f"read {theme.shown_name(first.text, 60)}" if first.text else ""]
    told += [f"windows of {window}" if window else "", f"{theme.fmt_count(tokens)} tokens" if tokens else ""]
    told += [f"dense {theme.fmt_number(group.dense)}" if group.dense is not None else ""]
    line = " · ".join(part for part in told if part)
    if not group.differs:
        return line
    fields = ", ".join(
        f"{one.field} ({_value(one.theirs)} against {_value(one.ours)})" for one in group.differs
    )
    return f"Not in one column with the above: other {fields}. {line}"


def _table(data: CompareData) -> Iterator[str]:
    for number in range(len(data.groups)):
        yield group_line(data, number)
        for row in data.rows_of(number):
            yield f"  {_row(data, row)}"
    if any(cell.mark == "tied" for row in data.rows for cell in row.cells.values()):
        yield "* best in its column; ~ not to be told from the best on this text (95 % interval)"
    elif any(cell.mark for row in data.rows for cell in row.cells.values()):
        yield "* best in its column"


def _row(data: CompareData, row: Row) -> str:
    one = row.standing
    role = " (reference)" if row.key == data.reference else ""
    told = []
    for state in ("mask-only", "compensated"):
        cells = {c.key.partition("/")[2]: row.cells[c.key] for c in data.columns if c.group == state}
        if cells["perplexity"].value is None:
            told.append(f"{state} {cells['perplexity'].shown}")
            continue
        parts = [f"ppl {_marked(cells['perplexity'])}", f"{_marked(cells['nats_lost'])} nats"]
        parts += (
            [f"gap closed {_marked(cells['gap_closed'])}"] if cells["gap_closed"].value is not None else []
        )
        parts += [f"skills {_marked(cells['skills'])}"] if cells["skills"].value is not None else []
        told.append(f"{state} {', '.join(parts)}")
    own = {c.key: row.cells[c.key] for c in data.columns if c.group == "run"}
    told += [f"error {_marked(own['error_rel'])}", _marked(own["seconds"]), _marked(own["memory"])]
    state = "" if one.state == "finished" else f" [{standing_words(row)}]"
    note = f" ({row.note})" if row.note else ""
    return f"{_named(row.key)}{role}{state}: {row.method} {one.pattern}; {'; '.join(told)}{note}"


def standing_words(row: Row) -> str:
    """How far an unfinished run is."""
    one = row.standing
    at = f", {theme.shown_name(one.stage, 30)}" if one.stage and one.awaits else ""
    return f"{one.state}{at}"


def _marked(cell: Any) -> str:
    return cell.shown + {"best": "*", "tied": "~"}.get(cell.mark, "")


def _masks(data: CompareData) -> Iterator[str]:
    found = data.map
    label = f"{found.measure.label}, {_named(data.focus)} against {map_other(data)}"
    if found.problem:
        yield f"Masks: {found.problem}"
    elif found.overall is None:
        yield f"Masks: {label}: {theme.NOT_YET}"
    else:
        yield f"Masks: {label}: {found.measure.form(found.overall)} overall"
    if found.left:
        yield f"  still comparing {found.left} modules"
    for cell in found.most:
        yield f"  {found.name_of(cell)}: {found.measure.form(cell.value)}"
    names = data.matrix.names
    if len(names) < 2:
        return
    chance = data.matrix.chance
    yield "Groups kept alike" + ("" if chance is None else f" (by chance {theme.fmt_share(chance)})") + ":"
    for number, name in enumerate(names):
        pairs = [
            f"{_named(other)} {theme.fmt_share(data.matrix.values[number][place])}"
            for place, other in enumerate(names[:number])
        ]
        if pairs:
            yield f"  {_named(name)}: {', '.join(pairs)}"


def _words(data: CompareData) -> Iterator[str]:
    words = data.words
    if words.problem:
        yield f"Words: {words.problem}"
        return
    partly = f" ({words.partly})" if words.partly else ""
    yield f"Words, nats a token, {_named(data.focus)} minus {named_other(data)}{partly}:"
    for domain in words.domains:
        mean = domain.difference
        yield f"  {theme.shown_name(domain.name, 40)} {theme.fmt_signed(mean.nats)}{_interval(mean)}"
    for label, tokens in (("worse", words.worst), ("better", words.better)):
        if tokens:
            yield f"Where it got {label} most:"
            for token in tokens[:TOKENS_TOLD]:
                yield f"  {token_line(token, words.has_text)}"
        else:
            yield f"No token is more than {SAME_NATS:g} nats {label}."


def token_line(token: TokenDifference, has_text: bool) -> str:
    """One token with its context and both losses."""
    before, piece, after = context(token)
    shown = f"{before}[{piece}]{after}" if has_text else f"token {token.position}"
    losses = f"{theme.fmt_number(token.theirs)} → {theme.fmt_number(token.ours)}"
    where = f"{theme.shown_name(token.domain, 30)}, window {token.window + 1}"
    return f"{theme.fmt_signed(token.difference)} ({losses}) {where}: {shown}"


def _texts(data: CompareData) -> Iterator[str]:
    if data.texts_problem:
        yield f"Continuations: {data.texts_problem}"
        return
    theirs = "dense" if data.against == DENSE else _named(data.against)
    yield f"Continuations, {data.state}; ‖ marks where {_named(data.focus)} leaves {theirs}:"
    for one in data.texts:
        ours = one.ours if one.split is None else f"{one.ours[: one.split]}‖{one.ours[one.split :]}"
        yield f"  {_line(one.prompt, 70)}"
        yield f"    {theirs}: {_line(one.theirs)}"
        yield f"    {_named(data.focus)}: {_line(ours)}" + (" (the same)" if one.split is None else "")


def _interval(mean: Difference) -> str:
    if mean.low is None or mean.high is None:
        return ""
    return f" ({theme.fmt_signed(mean.low)} to {theme.fmt_signed(mean.high)})"


def _line(text: str, longest: int = 120) -> str:
    shown = theme.shown_name(text.replace("\n", "⏎").strip(), 10_000)
    return shown if len(shown) <= longest else f"…{shown[1 - longest :]}"


def _named(key: str) -> str:
    return theme.shown_name(key, 40)


def _value(value: Any) -> str:
    text = ", ".join(str(one)[:8] for one in value) if isinstance(value, list) else str(value)
    return "unknown" if value is None else theme.shown_name(text, 30)
