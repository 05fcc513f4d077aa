"""Questions that need the model, answered by a process of its own: what will a run take, what if a block were pruned
otherwise.

Knows nothing about the questions; the other end is ``inquiry_worker``. Asking never blocks: whoever asks looks at the
inquiry again. Needs no torch.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.launch import background_threads
from hyperprune_lab.record.values import decode, encode

_SOURCE = "the answers of a worker"
_LAST_BYTES = 1 << 14


@dataclass(eq=False)
class Inquiry:
    """One question. It is ``done`` when it has an ``answer``, an ``error`` (a text for people) or was ``cancelled``.

    ``progress`` is the newest word on the way: ``text``, and ``share`` from 0 to 1 where it is known.
    """

    number: int
    kind: str
    request: Mapping[str, Any]
    desk: Inquiries
    progress: dict[str, Any] | None = None
    answer: dict[str, Any] | None = None
    error: str | None = None
    cancelled: bool = False
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._over.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is done, at most ``seconds``; whether it is."""
        return self._over.wait(seconds)

    def cancel(self) -> None:
        """Give the question up at once, in the midst of its work if need be."""
        self.desk._cancel(self)

    def _end(self, **values: Any) -> None:
        if not self.done:
            for name, value in values.items():
                setattr(self, name, value)
            self._over.set()


class Inquiries:
    """A worker process for questions, started with the first of them, which it answers one after the other.

    The process keeps what it has opened, so that a second question about the same model is quick, and ends with this
    one or with :meth:`close`.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or background_threads()
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Inquiry] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._reader: threading.Thread | None = None

    def ask(self, kind: str, request: Mapping[str, Any]) -> Inquiry:
        """Put a question: ``check``, ``what-if`` or ``methods``; returns at once."""
        with self._lock:
            inquiry = Inquiry(next(self._numbers), kind, dict(request), self)
            self._waiting[inquiry.number] = inquiry
            self._send(inquiry)
        return inquiry

    def warm(self) -> None:
        """Start the process, so that the first question need not wait for it."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """End the process; what was asked and not answered is cancelled."""
        with self._lock:
            for inquiry in list(self._waiting.values()):
                inquiry._end(cancelled=True)
            self._waiting.clear()
            reader = self._reader
            self._end_process()
        if reader is not None and reader is not threading.current_thread():
            reader.join(5)

    def __enter__(self) -> Inquiries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cancel(self, inquiry: Inquiry) -> None:
        with self._lock:
            at_work = next(iter(self._waiting), None) == inquiry.number
            self._waiting.pop(inquiry.number, None)
            if inquiry.done:
                return
            inquiry._end(cancelled=True)
            if at_work:
                self._end_process()
                for other in self._waiting.values():
                    self._send(other)

    def _send(self, inquiry: Inquiry) -> None:
        line = encode({"number": inquiry.number, "kind": inquiry.kind, "request": dict(inquiry.request)})
        entrance = self._started().stdin
        assert entrance is not None
        # Where the process has just died the reader says so.
        with contextlib.suppress(BrokenPipeError, ValueError):
            entrance.write(line.encode() + b"\n")
            entrance.flush()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the reader, when the process has ended)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hyperprune_lab.pipeline.inquiry_worker", str(self._threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._reader = threading.Thread(
            target=self._read, args=(self._process, self._errors), name="inquiries", daemon=True
        )
        self._reader.start()
        return self._process

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _read(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        """Hand every reply to its inquiry; when the process ends, those that still wait learn of what."""
        assert process.stdout is not None
        assert process.stdin is not None
        with process.stdout as lines:
            for line in lines:
                try:
                    reply = decode(line.decode("ascii", "replace"), _SOURCE)
                    self._take(int(reply["number"]), str(reply["kind"]), reply["value"])
                except (UserError, KeyError, TypeError, ValueError):
                    continue
        code = process.wait()
        with contextlib.suppress(BrokenPipeError, OSError):
            process.stdin.close()
        cause = _last_words(errors)
        with self._lock:
            if self._process is not process:
                return  # ended on purpose
            self._process = None
            left, self._waiting = list(self._waiting.values()), {}
        for inquiry in left:
            inquiry._end(
                error=f"the process that was to answer has ended (code {code}): {cause or 'no word'}"
            )

    def _take(self, number: int, kind: str, value: Any) -> None:
        with self._lock:
            inquiry = self._waiting.get(number)
            if inquiry is None:
                return
            if kind == "progress":
                inquiry.progress = dict(value)
                return
            del self._waiting[number]
        if kind == "answer":
            inquiry._end(answer=dict(value), progress=None)
        else:
            inquiry._end(error=str(value))


def _last_words(errors: IO[bytes]) -> str:
    with errors:
        errors.seek(0, os.SEEK_END)
        errors.seek(max(0, errors.tell() - _LAST_BYTES))
        return errors.read().decode(errors="replace").strip().rpartition("\n")[2]


def reply_line(number: int, kind: str, value: Any) -> bytes:
    """One reply as the worker writes it: ``progress``, ``answer`` or ``error``."""
    text = encode({"number": number, "kind": kind, "value": value})
    assert "\n" not in text
    return text.encode("ascii") + b"\n"


def question(line: bytes) -> tuple[int, str, dict[str, Any]]:
    """Number, kind and request of a line that :meth:`Inquiries.ask` wrote; raises ``UserError``."""
    try:
        found = json.loads(line)
        return int(found["number"]), str(found["kind"]), decode(json.dumps(found["request"]), "a question")
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"a question is damaged: {error!r}") from error
