"""The process that a launched run lives in: reads a configuration from stdin, prunes, records, ends.

Knows nothing about who started it, except that it ends with its parent unless it was started detached.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from hyperprune_lab.errors import UserError
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.control import FileControl
from hyperprune_lab.pipeline.session import run_to_record


def main() -> int:
    """Run to the end; exit code 2 with one line on stderr for a mistake of input."""
    out = Path(sys.argv[1])
    control = FileControl(out)
    parent = os.environ.get("HYPERPRUNE_LAB_PARENT", "")
    if parent:
        threading.Thread(target=_end_with, args=(int(parent), control), daemon=True).start()
    try:
        config = RunConfig.from_json(json.load(sys.stdin))
        for _ in run_to_record(config, out, control):
            pass
    except UserError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


def _end_with(parent: int, control: FileControl) -> None:
    """Stop the run when the parent is gone: at the next step if it takes one, within ten seconds in any case."""
    while os.getppid() == parent:
        time.sleep(1.0)
    control.stop()
    time.sleep(10.0)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
