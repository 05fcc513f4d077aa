"""The wire between a widget and a browser, without either: what would be sent, when, and by which thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from comm.base_comm import BaseComm

from hyperprune_lab.widgets.view import View


@dataclass
class Message:
    """One message to the browser."""

    kind: str
    data: dict[str, Any]
    buffers: list[bytes]
    thread: str = field(default_factory=lambda: threading.current_thread().name)
    moment: float = field(default_factory=time.monotonic)


class Wire:
    """Every message of every widget made while it is in use."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def updates(self) -> list[Message]:
        """Messages that carry traits, but for those that make a widget."""
        return [one for one in self.messages if one.kind == "update"]

    def answers(self) -> list[Message]:
        """Answers to the browser's questions."""
        return [one for one in self.messages if one.data.get("content", {}).get("kind") == "answer"]

    def create_comm(self, **settings: Any) -> BaseComm:
        wire = self

        class Recorded(BaseComm):
            def publish_msg(
                self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any
            ) -> None:
                kind = (data or {}).get("method", msg_type)
                wire.messages.append(Message(kind, data or {}, list(buffers or ())))

        return Recorded(**settings)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Records what views send."""
    import comm

    recorded = Wire()
    monkeypatch.setattr(comm, "create_comm", recorded.create_comm)
    return recorded


def tell(view: View, kind: Any, **content: Any) -> None:
    """A message from the browser."""
    view._handle_custom_msg({"kind": kind, **content}, [])
