"""Packed token files that the embedded model is trained on: story world, real text, a held-out slice of each.

Knows nothing about models or training; it turns text into uint16 tokens on disk, the same bytes for the same
seed.

    python -m hyperprune_lab.demo.corpus --text-dir TEXTS --stories 300000 --out DIR

Every document ends with ``<|end|>``. A source's last 3 % of characters is held out; the story world's
held-out stories come from a seed range of their own. Two domains are never trained on at all.
``manifest.json`` names each source with its licence, sha256, token counts and seeds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hyperprune_lab.demo.tokenizer import END, encode_plain, load_tokenizer, save_tokenizer, train_tokenizer
from hyperprune_lab.demo.world import HELD_OUT, stories
from hyperprune_lab.errors import UserError

HELD_OUT_SHARE = 0.03
STORY_WORLD = "story_world"
# Story seeds: training counts up from its seed; held-out stories lie in the world's held-out range, far from
# its start.
TRAIN_SEED, HELD_OUT_SEED, TOKENIZER_SEED = 1_000_000_000, HELD_OUT + 1_000_000_000, 2_000_000_000
HELD_OUT_STORIES = 2_000
CHUNK = 1_000
# Two bytes a token: telling LZMA so (position bits) packs better than treating the file as plain bytes.
_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 2, "lp": 1, "pb": 1}]


@dataclass(frozen=True)
class Source:
    """One real text: file, licence, how to cut it into documents; ``train`` False means never trained on."""

    name: str
    file: str
    licence: str
    split: Callable[[str], list[str]]
    train: bool = True


def strip_gutenberg(text: str) -> str:
    """The book between Project Gutenberg's START and END lines, without header and licence."""
    start = re.search(r"^\*\*\* ?START OF (?:THIS|THE) PROJECT GUTENBERG.*$", text, re.M)
    end = re.search(r"^\*\*\* ?END OF (?:THIS|THE) PROJECT GUTENBERG.*$", text, re.M)
    if start is None or end is None or end.start() < start.end():
        raise UserError(
            "a Gutenberg text has no START/END lines; give the file as Project Gutenberg publishes it"
        )
    return text[start.end() : end.start()].strip() + "\n"


def join_wrapped_lines(text: str) -> str:
    """Undo hard line wraps: single line breaks become spaces, blank lines stay paragraph breaks."""
    paragraphs = (re.sub(r"\s+", " ", part).strip() for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(part for part in paragraphs if part)


def untokenize(text: str) -> str:
    """Give pre-tokenized prose (``word , word ( word )``) ordinary spacing."""
    text = re.sub(r" +([.,!?;:)\]%])", r"\1", text)
    text = re.sub(r"([(\[]) +", r"\1", text)
    text = re.sub(r'(^| )" ([^"\n]*?) "', r'\1"\2"', text, flags=re.M)
    return re.sub(r" *\n *", " ", text).strip()


def _book(text: str) -> list[str]:
    return [join_wrapped_lines(strip_gutenberg(text.replace("\r\n", "\n")))]


def _whole(text: str) -> list[str]:
    return [join_wrapped_lines(text)]


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _reviews(text: str) -> list[str]:
    return [untokenize(part) for part in _paragraphs(text)]


def _fairy_tales(text: str) -> list[str]:
    return [
        part.strip() for part in re.split(r"\n\s*\n(?=Once upon a time|Once there was)", text) if part.strip()
    ]


def _json_lines(text: str) -> list[str]:
    return [json.loads(line)["text"].strip() for line in text.splitlines() if line.strip()]


_GUTENBERG = ("frankenstein", "grimm", "huckleberry_finn", "sherlock_holmes", "tom_sawyer")
SOURCES: tuple[Source, ...] = (
    Source("wikipedia", "wikipedia_train.txt", "CC BY-SA 3.0", _paragraphs),
    Source("tinystories", "tinystories_a.txt", "CDLA-Sharing-1.0", _fairy_tales),
    *(Source(f"gutenberg_{b}", f"gutenberg_{b}.txt", "public domain (USA)", _book) for b in _GUTENBERG),
    Source("state_union", "state_union.txt", "public domain", _whole),
    Source("inaugural", "inaugural.txt", "public domain", _whole),
    Source("genesis", "genesis.txt", "public domain", _whole),
    Source("movie_reviews", "movie_reviews.txt", "CC BY 4.0", _reviews),
    Source("wikipedia_untouched", "wikipedia_valid.txt", "CC BY-SA 3.0", _paragraphs, train=False),
    Source("tinystories_untouched", "tinystories_b.jsonl", "CDLA-Sharing-1.0", _json_lines, train=False),
)


def split_held_out(documents: list[str], share: float = HELD_OUT_SHARE) -> tuple[list[str], list[str]]:
    """(train, held out): the last ``share``, cut between documents or sentences, is held out."""
    if len(documents) == 1:
        text = documents[0]
        sentence = re.compile(r"[.!?][\"')]*\s").search(text, int(len(text) * (1 - share)))
        cut = sentence.end() if sentence else len(text)
        return [text[:cut].strip()], [text[cut:].strip()] if text[cut:].strip() else []
    wanted = share * sum(map(len, documents))
    cut, held = len(documents), 0
    while cut > 1 and held < wanted:
        cut -= 1
        held += len(documents[cut])
    return documents[:cut], documents[cut:]


def read_source(source: Source, text_dir: Path) -> tuple[list[str], list[str], str]:
    """(training documents, held-out documents, sha256); a source never trained on is all held out."""
    path = text_dir / source.file
    if not path.is_file():
        raise UserError(f"{path} is missing; --text-dir must hold {source.file}")
    raw = path.read_bytes()
    documents = source.split(raw.decode("utf-8"))
    train, held_out = split_held_out(documents) if source.train else ([], documents)
    return train, held_out, hashlib.sha256(raw).hexdigest()


def pack_documents(documents: Iterator[str] | list[str], tokenizer: Any) -> np.ndarray:
    """uint16 tokens of all documents, each followed by ``<|end|>``."""
    end = tokenizer.convert_tokens_to_ids(END)
    ids: list[int] = []
    for text in documents:
        ids.extend(encode_plain(tokenizer, text))
        ids.append(end)
    return np.asarray(ids, dtype=np.uint16)


def _story_chunk(task: tuple[str, int, int]) -> tuple[bytes, bytes]:
    """One worker's share: ``count`` stories from ``seed`` on, as (token bytes, compressed token bytes)."""
    folder, seed, count = task
    raw = pack_documents(stories(seed, count), load_tokenizer(folder)).astype("<u2").tobytes()
    return raw, _compress(raw)


def write_stories(path: Path, tokenizer_dir: Path, seed: int, count: int, workers: int) -> dict[str, Any]:
    """Make ``count`` stories and write their tokens; the file does not depend on the number of ``workers``.

    Workers compress their own chunks: xz streams in a row are one valid xz file. Returns the manifest entry.
    """
    tasks = [(str(tokenizer_dir), seed + at, min(CHUNK, count - at)) for at in range(0, count, CHUNK)]
    started, size, digest = time.monotonic(), 0, hashlib.sha256()
    with ProcessPoolExecutor(workers) as pool, path.open("wb") as file:
        for done, (raw, packed) in enumerate(pool.map(_story_chunk, tasks), start=1):
            digest.update(raw)
            size += len(raw)
            file.write(packed)
            if done % 20 == 0 or done == len(tasks):
                seconds = time.monotonic() - started
                print(
                    f"  stories: {done}/{len(tasks)} chunks, {size / 2e6:.2f} M tokens, {seconds:.0f} s",
                    flush=True,
                )
    return {"tokens": size // 2, "bytes": path.stat().st_size, "sha256_of_tokens": digest.hexdigest()}


def _compress(raw: bytes) -> bytes:
    return lzma.compress(raw, format=lzma.FORMAT_XZ, filters=_LZMA)


def write_tokens(path: Path, tokens: np.ndarray) -> dict[str, Any]:
    """Write uint16 tokens as little-endian bytes in an xz container; returns the manifest entry."""
    raw = tokens.astype("<u2").tobytes()
    path.write_bytes(_compress(raw))
    return {
        "tokens": int(tokens.size),
        "bytes": path.stat().st_size,
        "sha256_of_tokens": hashlib.sha256(raw).hexdigest(),
    }


def read_tokens(path: Path) -> np.ndarray:
    """uint16 tokens written by ``write_tokens``."""
    return np.frombuffer(lzma.decompress(path.read_bytes()), dtype="<u2").astype(np.uint16)


def tokenizer_texts(text_dir: Path, characters: int = 6_000_000) -> Iterator[str]:
    """The tokenizer's training text: half story world, half real text, each source cut to its share."""
    taken = 0
    for story in stories(TOKENIZER_SEED, 1_000_000):
        yield story
        taken += len(story)
        if taken >= characters:
            break
    trained = [source for source in SOURCES if source.train]
    texts = {source.name: read_source(source, text_dir)[0] for source in trained}
    total = sum(len(text) for documents in texts.values() for text in documents)
    for documents in texts.values():
        share = max(1, round(total / characters))
        whole = "\n\n".join(documents) if len(documents) == 1 else None
        yield from ([whole[: len(whole) // share]] if whole else islice(documents, 0, None, share))


def pack_real_text(text_dir: Path, tokenizer_dir: Path, out: Path) -> dict[str, Any]:
    """Write the token files of every real source into ``out``; returns their manifest entries by name."""
    tokenizer, entries = load_tokenizer(tokenizer_dir), {}
    for source in SOURCES:
        train, held_out, digest = read_source(source, text_dir)
        entry: dict[str, Any] = {"file": source.file, "licence": source.licence, "sha256": digest}
        if train:
            entry["train"] = write_tokens(
                out / "train" / f"{source.name}.xz", pack_documents(train, tokenizer)
            )
        entry["heldout"] = write_tokens(
            out / "heldout" / f"{source.name}.xz", pack_documents(held_out, tokenizer)
        )
        entries[source.name] = entry
        print(
            f"  {source.name}: {entry.get('train', {}).get('tokens', 0)}"
            f" + {entry['heldout']['tokens']} tokens",
            flush=True,
        )
    return entries


def pack_stories(tokenizer_dir: Path, out: Path, count: int, workers: int) -> dict[str, Any]:
    """Write the story world's token files into ``out``; returns their manifest entry."""
    path, held_out = f"{STORY_WORLD}.xz", min(HELD_OUT_STORIES, count)
    return {
        "licence": "generated by this project",
        "seeds": {"train": TRAIN_SEED, "heldout": HELD_OUT_SEED, "stories": count},
        "train": write_stories(out / "train" / path, tokenizer_dir, TRAIN_SEED, count, workers),
        "heldout": write_stories(out / "heldout" / path, tokenizer_dir, HELD_OUT_SEED, held_out, workers),
    }


def build_corpus(
    out: Path, tokenizer_dir: Path, text_dir: Path | None, story_count: int, workers: int
) -> dict[str, Any]:
    """Write ``out/train/*.xz``, ``out/heldout/*.xz`` and ``out/manifest.json``; returns the manifest.

    Without ``text_dir`` the real text already in ``out`` stays; with ``story_count`` 0 the stories already
    there stay. Raises ``UserError`` where what stays was made with another tokenizer.
    """
    for part in ("train", "heldout"):
        (out / part).mkdir(parents=True, exist_ok=True)
    index = out / "manifest.json"
    digest = hashlib.sha256((tokenizer_dir / "tokenizer.json").read_bytes()).hexdigest()
    manifest: dict[str, Any] = {
        "vocabulary": len(load_tokenizer(tokenizer_dir)),
        "tokenizer_sha256": digest,
        "sources": {},
    }
    if index.is_file():
        before = json.loads(index.read_text(encoding="utf-8"))
        if before["tokenizer_sha256"] != digest:
            raise UserError(f"{out} was packed with another tokenizer; choose an empty folder")
        manifest["sources"] = before["sources"]
    if text_dir is not None:
        manifest["sources"] |= pack_real_text(text_dir, tokenizer_dir, out)
    if story_count:
        manifest["sources"][STORY_WORLD] = pack_stories(tokenizer_dir, out, story_count, workers)
    index.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def main() -> None:
    """Command line: train the tokenizer if its folder has none, then pack what is asked for."""
    parser = argparse.ArgumentParser(
        description="Prepare the token files that the embedded model is trained on."
    )
    parser.add_argument(
        "--text-dir", type=Path, help="folder with the real texts; without it they stay as packed before"
    )
    parser.add_argument(
        "--stories", type=int, default=300_000, help="training stories; 0: they stay as packed before"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the token files")
    parser.add_argument(
        "--tokenizer", type=Path, default=Path("data/models/demo"), help="folder of the tokenizer"
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if not (options.tokenizer / "tokenizer.json").is_file():
        if options.text_dir is None:
            parser.error("training the tokenizer needs --text-dir")
        print("training the tokenizer", flush=True)
        save_tokenizer(train_tokenizer(tokenizer_texts(options.text_dir)), options.tokenizer)
    manifest = build_corpus(
        options.out, options.tokenizer, options.text_dir, options.stories, options.workers
    )
    parts = [
        entry[part]
        for entry in manifest["sources"].values()
        for part in ("train", "heldout")
        if part in entry
    ]
    tokens, size = sum(p["tokens"] for p in parts), sum(p["bytes"] for p in parts)
    print(f"{tokens / 1e6:.2f} M tokens, {size / 2**20:.1f} MiB in {options.out}", flush=True)


if __name__ == "__main__":
    main()
