"""The report: one file that needs nothing, holds what the views say, keeps its size and says what it left out."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
from html.parser import HTMLParser

import pytest

from hyperprune_lab.errors import UserError
from hyperprune_lab.report.book import Writer
from hyperprune_lab.report.page import page, write_report
from hyperprune_lab.widgets.lab import Lab
from tests.widgets import tinyrun

VIEWS = ("map", "mask", "outliers", "reconstruction", "forgetting", "hypernetwork")


class Elements(HTMLParser):
    """Which elements stand in a page, and what in the script that is no script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.book = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id") == "book"

    def handle_data(self, data):
        if self._inside:
            self.book += data


def book_of(text: str) -> dict:
    raw = gzip.decompress(base64.b64decode(Elements(text).book))
    (length,) = struct.unpack("<I", raw[:4])
    book = json.loads(raw[4 : 4 + length])
    assert len(raw) == 4 + length + sum(book["bytes"])
    return book


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    tiny = tinyrun.Tiny(blocks=2, locals_=("self_attn.q_proj", tinyrun.HOSTILE))
    return tinyrun.write_run(tmp_path_factory.mktemp("report") / "<b>run&", tiny)


@pytest.fixture(scope="module")
def written(run):
    return page(run)


def test_it_holds_what_every_view_says_at_the_end(run, written):
    book = book_of(written[0])
    lab = Lab(run)
    assert lab.desk.settle()
    assert book["last"] == run.last_seq
    assert book["selection"] == list(lab.selection)
    for name in VIEWS:
        entry = book["entries"][name][book["selection"][0]][-1]
        assert book["pool"][entry[1 + book["own"][name].index("twin")]] == lab[name].text
    lab.desk.close()


def test_it_asks_for_nothing_outside_itself(written):
    for tag, attributes in Elements(written[0]).tags:
        assert tag not in ("img", "iframe", "object", "embed", "base")
        assert "src" not in attributes
        assert attributes.get("href") in (None, "data:,")
    assert "default-src 'none'" in written[0]
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", written[0]))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_names_stay_text(written):
    tags = [tag for tag, _ in Elements(written[0]).tags]
    assert set(tags) <= {
        *(
            "html",
            "head",
            "meta",
            "link",
            "title",
            "style",
            "body",
            "main",
            "noscript",
            "h1",
            "pre",
            "script",
        ),
    }
    assert "&lt;b&gt;run&amp;" in written[0]


def test_what_does_not_fit_is_left_out_and_said(run):
    whole = Writer(run, None).write(10_000_000)
    budget = len(whole.packed()) * 2 // 3
    less = Writer(run, None).write(budget)
    assert len(less.packed()) <= budget
    assert len(less.left) > len(whole.left)
    # What matters most is there all the same.
    assert less.selection == whole.selection
    for name in VIEWS:
        assert less.entries[name][less.focus]


def test_it_is_written_whole_or_not_at_all(run, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("an older one")
    with pytest.raises(UserError, match="allow it more"):
        write_report(run, path, most_bytes=50_000)
    assert path.read_text() == "an older one"
    written = write_report(run, path)
    assert path.stat().st_size == written.bytes
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_what_cannot_be_reported_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        write_report(run, tmp_path)
    with pytest.raises(UserError, match="no folder"):
        write_report(run, tmp_path / "gone" / "report.html")
