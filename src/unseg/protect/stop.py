"""Ctrl-C and the system's request to end: what is in hand is finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

Given = TypeVar("Given")


class Stop:
    """Whether a run was asked to end.

    Args:
        signal: the number of the signal that asked, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def asked(self) -> bool:
        """Whether to begin nothing more."""
        return self.signal is not None

    def until(self, items: Iterable[Given]) -> Iterator[Given]:
        """Items, until a run is asked to end."""
        for item in items:
            if self.asked:
                return
            yield item

    def leave(self, text: str) -> None:
        """End as the signal asks, where one came.

        Args:
            text: what was done and how to go on, for whoever catches it.

        Raises:
            KeyboardInterrupt: after SIGINT (Ctrl-C).
            SystemExit: after SIGTERM, with the exit code 143.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt(text)
        if self.asked:
            raise SystemExit(128 + int(self.signal or 0))


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a :class:`Stop`; a second one ends at once.

    Handlers that a program has set for itself stay, and other threads than the main one have none.
    """
    stop = Stop()
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        restore()

    if threading.current_thread() is threading.main_thread():
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for number, handler in usual.items():
            if signal.getsignal(number) is handler:
                before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
