"""The process that answers questions, one after the other: questions on stdin, replies on stdout, a line each.

Knows nothing about who asks; it ends when nobody can ask any more.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from hyperprune_lab.errors import UserError
from hyperprune_lab.methods.registry import DESCRIPTION, method, method_names
from hyperprune_lab.pipeline.check import check
from hyperprune_lab.pipeline.inquiry import question, reply_line
from hyperprune_lab.pipeline.whatif import BlockChange, WhatIf
from hyperprune_lab.record.layout import DATABASE

Tell = Callable[[str, float | None], None]
Question = Callable[[Mapping[str, Any], Tell], dict[str, Any]]


def main() -> int:
    """Answer until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(int(sys.argv[1]))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints goes to stderr
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(waiting,), daemon=True).start()
    while line := waiting.get():
        _answer(line, replies)
    return 0


def _listen(waiting: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        waiting.put(line)
    os._exit(0)  # nobody is left to read an answer


def _answer(line: bytes, replies: IO[bytes]) -> None:
    number, kind, request = question(line)

    def reply(what: str, value: Any) -> None:
        replies.write(reply_line(number, what, value))
        replies.flush()

    def tell(text: str, share: float | None = None) -> None:
        reply("progress", {"text": text, "share": share})

    try:
        if kind not in QUESTIONS:
            raise UserError(f"there is no question {kind!r}: ask {', '.join(QUESTIONS)}")
        reply("answer", QUESTIONS[kind](request, tell))
    except UserError as error:
        reply("error", str(error))
    except Exception as error:  # the next question may well have an answer
        traceback.print_exc()
        reply("error", f"{type(error).__name__}: {error}")


def _check(request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    out = request.get("out")
    return check(dict(request["config"]), out, request.get("shelf") or (), tell)


def _methods(_request: Mapping[str, Any], _tell: Tell) -> dict[str, Any]:
    known = [method(name) for name in method_names()]
    return {"methods": [{name: getattr(one, name) for name in DESCRIPTION} for one in known]}


def _what_if(request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """``run`` (a folder), ``device`` (None: the run's own), and the fields of :class:`BlockChange`."""
    asked = dict(request)
    path, device = Path(str(asked.pop("run", ""))), asked.pop("device", None)
    change = BlockChange.from_json(asked)
    status = os.stat(path / DATABASE) if (path / DATABASE).exists() else None
    key = (path.absolute(), device, status and (status.st_mtime_ns, status.st_size))
    if key not in _OPEN:
        _OPEN.clear()
        _OPEN[key] = WhatIf(path, device, tell)
    return _OPEN[key].answer(change, tell)


_OPEN: dict[Any, WhatIf] = {}
"""The run that was asked about last: a second question about it need not open its model again."""

QUESTIONS: dict[str, Question] = {"check": _check, "methods": _methods, "what-if": _what_if}


if __name__ == "__main__":
    sys.exit(main())
