"""Settings of the server that `hyperprune-lab lab` starts: kernel sockets send small messages at once.

Jupyter leaves Nagle's algorithm on, which holds a small reply back until the browser's delayed
acknowledgement: about 45 ms for each move of a slider.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

_open = KernelWebsocketHandler.open


async def _open_without_delay(handler: KernelWebsocketHandler, *args: Any, **kwargs: Any) -> None:
    handler.set_nodelay(True)
    await _open(handler, *args, **kwargs)


setattr(KernelWebsocketHandler, "open", _open_without_delay)  # noqa: B010  # a patch, and mypy may know it
