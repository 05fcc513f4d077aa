"""Where text comes from: the project's own, a file, or a public data set at a pinned revision.

Knows nothing about tokens: a source yields pieces of text, lazily, and says where a document ends.

A ``.jsonl`` file is one document per line (its ``"text"``). Any other file is *one* document, however many
blank lines it has: nothing in a plain text says where documents end, so nothing is guessed.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from hyperprune_lab.calibration.tokens import PIECE_CHARACTERS
from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import data_folder

# (repository, revision): Parquet conversion of WikiText, and C4 as its makers publish it.
WIKITEXT = ("Salesforce/wikitext", "b08601e04326c79dfdd32d625aee71d232d685c3")
C4 = ("allenai/c4", "1588ec454efa1a09f29cd18ddd04fe05fc8653a2")
C4_SHARDS = {"train": 1024, "validation": 8}
HUB_NAMES = ("wikitext2", "c4")
STORIES = "stories"
HUB_SECONDS = 120.0  # until the first row of a public data set has to be there

# Stories that neither training (seeds from 1e9 to 2.1e9) nor evaluation (from 2**40) reads, a range per
# run's seed.
STORY_SEED, STORIES_PER_SEED, STORY_RANGES = 3_000_000_000, 1_000_000, 1_000_000

_FIRST_LEVEL_HEADING = re.compile(r"= [^=].* =")


class Piece(NamedTuple):
    """A stretch of text; ``ends_document`` is true for the last one of its document."""

    text: str
    ends_document: bool


@dataclass(frozen=True)
class Source:
    """A text's name, what identifies it, and its pieces; ``open`` starts again from the beginning.

    ``seeded`` is true where the seed already decides the text, so that none has to be read beyond need.
    """

    name: str
    open: Callable[[], Iterator[Piece]]
    details: dict[str, Any] = field(default_factory=dict)
    seeded: bool = False


def open_source(text: str | None, seed: int) -> Source:
    """The calibration text that ``text`` names (see `CalibrationConfig`).

    Raises UserError where there is no such file or data set; errors inside the text come while it is read.
    """
    if text is None or text == STORIES:
        told: dict[str, Any] = {"story_seed": _story_seed(seed)}
        if text == STORIES:
            return Source("story world", lambda: _stories(seed), told, seeded=True)
        prose = _prose()
        return Source("story world and prose", lambda: _mixed(seed, prose), told, seeded=True)
    if text == "wikitext2":
        details = {"repository": WIKITEXT[0], "revision": WIKITEXT[1], "split": "train"}
        return Source(text, lambda: _articles(wikitext_rows("train")), details)
    if text == "c4":
        details = {"repository": C4[0], "revision": C4[1], "split": "train, shard 0"}
        return Source(text, lambda: (Piece(row, True) for row in c4_rows("train")), details)
    path = text_file(text)
    return Source(path.name, lambda: file_pieces(path))


def text_file(name: str) -> Path:
    """The path of a text file; raises UserError where it is not one."""
    path = Path(name).expanduser()
    if path.is_dir():
        raise UserError(f"{name} is a directory; name a .txt or .jsonl file in it.")
    if not path.is_file():
        raise UserError(
            f"there is no text file {name}. Give the path of a .txt or .jsonl file, or one of "
            f"{', '.join((STORIES, *HUB_NAMES))}."
        )
    return path


def file_pieces(path: Path) -> Iterator[Piece]:
    """The pieces of a ``.jsonl`` file (one document a line) or of a plain UTF-8 text (one document).

    Raises UserError where the file cannot be read, is not UTF-8, or a line is not an object with a string
    ``"text"``.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _json_lines(file, path.name) if path.suffix == ".jsonl" else _blocks(file)
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror or error}.") from error


def wikitext_rows(split: str) -> Iterator[str]:
    """The rows of WikiText-2 (raw), in order: empty ones, headings and paragraphs, each with its line end."""
    repository, revision = WIKITEXT
    return _hub_rows(repository, "wikitext-2-raw-v1", revision=revision, split=split)


def c4_rows(split: str) -> Iterator[str]:
    """The documents of shard 0 of C4's ``train`` or ``validation`` split, streamed."""
    repository, revision = C4
    files = {split: f"en/c4-{split}.00000-of-{C4_SHARDS[split]:05d}.json.gz"}
    return _hub_rows(repository, data_files=files, revision=revision, split=split, streaming=True)


def _story_seed(seed: int) -> int:
    return STORY_SEED + seed % STORY_RANGES * STORIES_PER_SEED


def _stories(seed: int) -> Iterator[Piece]:
    from hyperprune_lab.demo.world import stories  # the world's vocabulary is loaded only where it is read

    for story in stories(_story_seed(seed), STORIES_PER_SEED):
        yield Piece(story, True)


def _prose() -> list[str]:
    """The project's prose, a text per document."""
    return [piece.text for piece in file_pieces(data_folder() / "calibration" / "prose.jsonl")]


def _mixed(seed: int, prose: list[str]) -> Iterator[Piece]:
    """Stories and prose, as many characters of each, in an order by seed; stories alone once the prose is used up."""
    shuffled = Random(seed).sample(prose, len(prose))
    stories = _stories(seed)
    ahead = 0  # characters by which the stories are ahead
    while shuffled:
        piece = Piece(shuffled.pop(), True) if ahead > 0 else next(stories)
        ahead += -len(piece.text) if ahead > 0 else len(piece.text)
        yield piece
    yield from stories


def _blocks(file: Any) -> Iterator[Piece]:
    """The file in blocks that end at a line end where one is near."""
    block = file.read(PIECE_CHARACTERS)
    while block:
        block += file.readline(PIECE_CHARACTERS)
        following = file.read(PIECE_CHARACTERS)
        yield Piece(block, not following)
        block = following


def _json_lines(file: Iterable[str], name: str) -> Iterator[Piece]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"{name}, line {number}: not a JSON object ({error}).") from error
        keys = list(row) if isinstance(row, dict) else type(row).__name__
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise UserError(f'{name}, line {number}: no string under the key "text"; found {keys}.')
        text = row["text"]
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{name}, line {number}: half of a surrogate pair, which is not text.") from error
        yield Piece(text, True)


def _articles(rows: Iterable[str]) -> Iterator[Piece]:
    """WikiText's rows with a document per article: a new one begins at each heading of the first level."""
    article = ""
    for row in rows:
        if article.strip() and _FIRST_LEVEL_HEADING.fullmatch(row.strip()):
            yield Piece(article, True)
            article = ""
        article += row
    if article.strip():
        yield Piece(article, True)


def _hub_rows(repository: str, *arguments: str, **options: Any) -> Iterator[str]:
    """The ``text`` column of a data set; UserError where ``datasets`` or the network is missing."""
    rescue = "Give a .txt or .jsonl file instead, or leave the text out for the project's own."
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"reading {repository} needs the hub extra: pip install 'hyperprune-lab[hub]'. {rescue}"
        ) from error

    def begin() -> tuple[list[str], Iterator[dict[str, str]]]:
        rows = iter(datasets.load_dataset(repository, *arguments, **options))
        return [row["text"] for row in [next(rows, None)] if row is not None], rows

    first, rows = _within(HUB_SECONDS, begin, f"{repository} cannot be read", rescue)
    yield from first
    try:
        for row in rows:
            yield row["text"]
    except Exception as error:  # the network stack's exceptions share no base class
        raise UserError(f"{repository} broke off: {error}. {rescue}") from error


def _within(seconds: float, work: Callable[[], Any], failure: str, rescue: str) -> Any:
    """The result of ``work``, in a thread of its own so that a silent network cannot hold the program."""
    outcome: dict[str, Any] = {}

    def worker() -> None:
        try:
            outcome["result"] = work()
        except Exception as error:  # handed over to the caller below
            outcome["error"] = error

    thread = threading.Thread(target=worker, name="open-data-set", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise UserError(f"{failure}: no answer within {seconds:.0f} seconds. {rescue}")
    if "error" in outcome:
        raise UserError(f"{failure}: {outcome['error']}. {rescue}") from outcome["error"]
    return outcome["result"]
